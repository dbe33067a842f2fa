// What workers have published of workflows and steps: their arguments and results, as JSON schemas.

import type { Schema } from "../form/schema.ts";
import type { Api } from "./client.ts";

export interface Argument {
  name: string;
  required: boolean;
  schema: Schema;
  /** Of one that is not simply given by its position: keyword, variadic or variadic_keyword. */
  kind?: string;
}

export interface Signature {
  arguments: readonly Argument[];
  result: Schema;
  doc: string;
}

export type HandlerKind = "signal" | "query" | "update";

export interface Definition extends Signature {
  name: string;
  kind: "workflow" | "step";
  queue: string;
  handlers: Partial<Record<HandlerKind, Readonly<Record<string, Signature>>>>;
  /** Schemas of signals that its code receives, by their names. */
  receives: Readonly<Record<string, Schema>>;
  version: string;
}

export async function readDefinitions(api: Api, signal?: AbortSignal): Promise<readonly Definition[]> {
  return (await api.get<{ definitions: Definition[] }>("definitions", {}, signal)).definitions;
}

/** Of a handler of that name, of a signal that is received, or of the handler for all other names. */
export function handlerOf(definition: Definition | null, kind: HandlerKind, name: string): Signature | null {
  const handlers = definition?.handlers[kind];
  const received = kind === "signal" ? definition?.receives[name] : undefined;
  return handlers?.[name] ?? (received === undefined ? null : receiving(received)) ?? handlers?.["*"] ?? null;
}

function receiving(schema: Schema): Signature {
  return { arguments: [{ name: "value", required: true, schema }], result: {}, doc: "" };
}

/** Those that have names, for a choice; of signals also those that are received. */
export function handlersOf(definition: Definition | null, kind: HandlerKind): string[] {
  const received = kind === "signal" ? Object.keys(definition?.receives ?? {}) : [];
  return [...Object.keys(definition?.handlers[kind] ?? {}).filter((name) => name !== "*"), ...received];
}
