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
  version: string;
}

export async function readDefinitions(api: Api, signal?: AbortSignal): Promise<readonly Definition[]> {
  return (await api.get<{ definitions: Definition[] }>("definitions", {}, signal)).definitions;
}

/** Of a handler of that name, or of the one for all other names. */
export function handlerOf(definition: Definition | null, kind: HandlerKind, name: string): Signature | null {
  const handlers = definition?.handlers[kind];
  return handlers?.[name] ?? handlers?.["*"] ?? null;
}

/** Handlers that have names, for a choice. */
export function handlersOf(definition: Definition | null, kind: HandlerKind): string[] {
  return Object.keys(definition?.handlers[kind] ?? {}).filter((name) => name !== "*");
}
