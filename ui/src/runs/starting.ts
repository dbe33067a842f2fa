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
}

interface Typed {
  type: string;
  input: unknown[];
  id: string;
  queue: string;
  attributes: unknown;
}

/** Without what was left empty. */
export function bodyOfStart({ type, input, id, queue, attributes }: Typed): Start {
  const body: Start = { type, input };
  if (id.trim()) body.id = id.trim();
  if (queue.trim()) body.queue = queue.trim();
  if (isObject(attributes) && Object.keys(attributes).length) body.attributes = attributes;
  return body;
}

export function copiesOfStart(api: Api, origin: string, { type, input, id, queue, attributes }: Start): Copies {
  const words = [
    ...["start", type],
    ...input.flatMap((each) => ["--input", JSON.stringify(each)]),
    ...(id ? ["--id", id] : []),
    ...(queue ? ["--queue", queue] : []),
    ...Object.entries(attributes ?? {}).flatMap(([name, value]) => ["--attribute", `${name}=${JSON.stringify(value)}`]),
  ];
  const call = pythonArguments([type, ...input], { id, queue, attributes });
  return {
    cli: commandLine(words, api.namespace),
    python: pythonProgram(`run = await engine.start(${call})`, api.namespace),
    curl: curlLine("POST", origin + api.address("runs"), { type, input, id, queue, attributes }),
  };
}
