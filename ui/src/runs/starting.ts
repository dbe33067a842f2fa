// How a run is started: what is sent, and the same from elsewhere.

import type { Api } from "../api/client.ts";
import { isObject } from "../form/check.ts";
import { type Copies, commandLine, curlLine, pythonArguments, pythonProgram } from "../copying/copies.ts";

export interface Start {
  type: string;
  input: unknown[];
  id?: string;
  queue?: string;
  attributes?: Record<string, unknown>;
  if_closed?: "restart";
}

/** A run that is started once more, with what it was given. */
export interface Before {
  type: string;
  id: string;
  queue: string;
  /** Its arguments, in order; undefined where they cannot be read. */
  input: readonly unknown[] | undefined;
  attributes: Readonly<Record<string, unknown>>;
}

interface Typed {
  type: string;
  input: unknown[];
  id: string;
  queue: string;
  attributes: unknown;
  /** Whether a closed run of that id may be followed by another one. */
  isAgain: boolean;
}

/** Without what was left empty. */
export function bodyOfStart({ type, input, id, queue, attributes, isAgain }: Typed): Start {
  const body: Start = { type, input };
  if (id.trim()) body.id = id.trim();
  if (queue.trim()) body.queue = queue.trim();
  if (isObject(attributes) && Object.keys(attributes).length) body.attributes = attributes;
  if (isAgain && body.id) body.if_closed = "restart";
  return body;
}

export function copiesOfStart(api: Api, origin: string, { type, input, id, queue, attributes, if_closed }: Start): Copies {
  const words = [
    ...["start", type],
    ...input.flatMap((each) => ["--input", JSON.stringify(each)]),
    ...(id ? ["--id", id] : []),
    ...(queue ? ["--queue", queue] : []),
    ...(if_closed ? ["--if-closed", if_closed] : []),
    ...Object.entries(attributes ?? {}).flatMap(([name, value]) => ["--attribute", `${name}=${JSON.stringify(value)}`]),
  ];
  const call = pythonArguments([type, ...input], { id, queue, attributes, if_closed });
  return {
    cli: commandLine(words, api.namespace),
    python: pythonProgram(`run = await engine.start(${call})`, api.namespace),
    curl: curlLine("POST", origin + api.address("runs"), { type, input, id, queue, attributes, if_closed }),
  };
}
