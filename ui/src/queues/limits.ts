// The limits of a queue: how they are told, and what of a form is sent.

import type { LimitName, Limits, Queue } from "../api/operations.ts";

export interface Limit {
  name: LimitName;
  word: string;
  /** An example of what may be typed. */
  example: string;
  kind: "number" | "rate" | "weights";
}

export const LIMITS: readonly Limit[] = [
  { name: "concurrency", word: "At work at a time", example: "4", kind: "number" },
  { name: "per_worker", word: "Of these by one worker", example: "2", kind: "number" },
  { name: "per_key", word: "Of these with the same key", example: "1", kind: "number" },
  { name: "rate", word: "Begun at most", example: "100/m", kind: "rate" },
  { name: "rate_per_key", word: "Begun at most with the same key", example: "10/s", kind: "rate" },
  { name: "weights", word: "Turns of keys", example: "gold=3, silver=2", kind: "weights" },
];

export function limitText(value: Limits[LimitName]): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") return Object.entries(value).map(([key, weight]) => `${key}=${weight}`).join(", ");
  return String(value);
}

/** Those that hold, in a few words each. */
export function limitWords(queue: Queue): string[] {
  const words: string[] = [];
  const { concurrency, per_worker, per_key, rate, rate_per_key, weights } = queue.limits;
  if (concurrency !== undefined) words.push(`${concurrency} at a time`);
  if (per_worker !== undefined) words.push(`${per_worker} a worker`);
  if (per_key !== undefined) words.push(`${per_key} a key`);
  if (rate !== undefined) words.push(`${limitText(rate)}`);
  if (rate_per_key !== undefined) words.push(`${limitText(rate_per_key)} a key`);
  if (weights !== undefined && Object.keys(weights).length) words.push(`turns: ${limitText(weights)}`);
  return words;
}

export type Typed = Record<LimitName, { text: string; isReset: boolean }>;

export function typedOf(queue: Queue): Typed {
  const typed = LIMITS.map(({ name }) => [name, { text: limitText(queue.limits[name]), isReset: false }]);
  return Object.fromEntries(typed) as Typed;
}

/** What is to change; null if nothing is. Raises an error that says what is wrong. */
export function limitsBody(queue: Queue, typed: Typed): Record<string, unknown> | null {
  const body: Record<string, unknown> = {};
  const reset = LIMITS.filter(({ name }) => typed[name].isReset).map(({ name }) => name);
  for (const limit of LIMITS) {
    const { text, isReset } = typed[limit.name];
    if (isReset || text.trim() === limitText(queue.limits[limit.name])) continue;
    body[limit.name] = valueOf(limit, text.trim());
  }
  if (reset.length) body["reset"] = reset;
  return Object.keys(body).length ? body : null;
}

function valueOf(limit: Limit, text: string): unknown {
  if (text === "") return null;
  if (limit.kind === "rate") return text;
  if (limit.kind === "number") return wholeNumber(text, limit.word);
  const pairs = text.split(",").map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([key = "", weight = ""]) => [key.trim(), wholeNumber(weight.trim(), limit.word)]));
}

function wholeNumber(text: string, word: string): number {
  const number = Number(text);
  if (text === "" || !Number.isInteger(number)) throw new Error(`${word}: a whole number is wanted, not "${text}".`);
  return number;
}
