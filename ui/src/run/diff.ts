// Two runs, operation by operation: what each did under the same key, and in what that differs.

import type { HistoryEvent, RunDetail, Span } from "../api/types.ts";
import { timeOf } from "../words/time.ts";
import { isSealed } from "./sealed.ts";

export interface Side {
  outcome: string;
  /** Its result or its error, as far as it can be shown; undefined if there is none. */
  value: unknown;
  attempts: number;
  /** Milliseconds from the asking to the end; null while it is open, or where that is not known. */
  took: number | null;
  seq: number;
}

export interface Pair {
  key: string;
  kind: string;
  name: string;
  one: Side | null;
  other: Side | null;
  /** Whether they came to another end: another outcome, result or error. Times and attempts are none. */
  isOther: boolean;
  /** What one of them came to cannot be read, and so not be compared. */
  isSealed: boolean;
}

export interface Told {
  run: RunDetail;
  spans: readonly Span[];
  /** Results and errors, by the seqs of their events. */
  values: ReadonlyMap<number, unknown>;
}

/** What an event says that an operation came to. */
export function valueOf({ data }: HistoryEvent): unknown {
  return data["payload"] ?? data["failure"] ?? data["sealed"];
}

/** In the order of the first run; what only the other one did stands behind what it did before that. */
export function pairsOf(one: Told, other: Told): Pair[] {
  const whole = [
    pairOf("input", "run", "input", { ...NO_SIDE, value: one.run.input ?? null }, { ...NO_SIDE, value: other.run.input ?? null }),
  ];
  const [mine, theirs] = [byKey(one.spans), byKey(other.spans)];
  const order = merged([...mine.keys()], [...theirs.keys()]);
  const pairs = order.map((id) => {
    const [a, b] = [mine.get(id), theirs.get(id)];
    const span = (a ?? b)!;
    return pairOf(span.key, span.kind, span.name, a ? sideOf(a, one.values) : null, b ? sideOf(b, other.values) : null);
  });
  return [...whole, ...pairs, pairOf("end", "run", "end", endOf(one.run), endOf(other.run))];
}

const NO_SIDE: Side = { outcome: "", value: undefined, attempts: 0, took: null, seq: 0 };

function endOf(run: RunDetail): Side {
  const took = run.closed_at === null ? null : timeOf(run.closed_at) - timeOf(run.started_at);
  return { ...NO_SIDE, outcome: run.status, value: run.failure ?? run.result, took };
}

/** The last of each key counts; what was done once more is not compared. */
function byKey(spans: readonly Span[]): Map<string, Span> {
  const found = new Map<string, Span>();
  for (const span of spans) if (!span.superseded && span.kind !== "queue") found.set(`${span.kind}:${span.key}`, span);
  return found;
}

function sideOf(span: Span, values: ReadonlyMap<number, unknown>): Side {
  const begun = span.asked_at ?? span.started_at;
  const took = begun !== null && span.ended_at !== null ? timeOf(span.ended_at) - timeOf(begun) : null;
  return { outcome: span.outcome, value: span.ended_at === null ? undefined : values.get(span.seq), attempts: span.attempts, took, seq: span.seq };
}

function pairOf(key: string, kind: string, name: string, one: Side | null, other: Side | null): Pair {
  const unread = isSealed(one?.value) || isSealed(other?.value);
  const isOther = one === null || other === null || one.outcome !== other.outcome || (!unread && said(one.value) !== said(other.value));
  return { key, kind, name, one, other, isOther, isSealed: unread };
}

/** Tracebacks differ by lines that mean nothing. */
function said(value: unknown): string {
  if (typeof value === "object" && value !== null && "traceback" in value) {
    const { type, message } = value as { type?: unknown; message?: unknown };
    return JSON.stringify([type, message]);
  }
  return sorted(value);
}

function sorted(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
        : part,
    ) ?? ""
  );
}

/** All of both lists, each in its order as far as they agree. */
export function merged(one: readonly string[], other: readonly string[]): string[] {
  const mine = new Set(one);
  const behind = new Map<string, string[]>();
  let anchor = "";
  for (const id of other) {
    if (mine.has(id)) anchor = id;
    else behind.set(anchor, [...(behind.get(anchor) ?? []), id]);
  }
  return [...(behind.get("") ?? []), ...one.flatMap((id) => [id, ...(behind.get(id) ?? [])])];
}

export interface Line {
  text: string;
  where: "both" | "one" | "other";
}

export const LINES_MAX = 400;

/** The lines of two texts, those that only one of them has beside each other. Of longer texts all lines differ. */
export function linesOf(one: string, other: string): Line[] {
  const [a, b] = [one.split("\n"), other.split("\n")];
  if (one === other) return a.map((text) => ({ text, where: "both" }));
  if (a.length > LINES_MAX || b.length > LINES_MAX) {
    return [...a.map((text): Line => ({ text, where: "one" })), ...b.map((text): Line => ({ text, where: "other" }))];
  }
  // length[i][j]: of the longest common part of a from i and b from j.
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      length[i]![j] = a[i] === b[j] ? length[i + 1]![j + 1]! + 1 : Math.max(length[i + 1]![j]!, length[i]![j + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ text: a[i]!, where: "both" });
      [i, j] = [i + 1, j + 1];
    } else if (j >= b.length || (i < a.length && length[i + 1]![j]! >= length[i]![j + 1]!)) {
      lines.push({ text: a[i]!, where: "one" });
      i += 1;
    } else {
      lines.push({ text: b[j]!, where: "other" });
      j += 1;
    }
  }
  return lines;
}

/** A value as text of which lines can be compared. */
export function textOf(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "object" && value !== null && "traceback" in value) {
    const { type, message, traceback } = value as { type?: string; message?: string; traceback?: string };
    return `${type ?? "Error"}: ${message ?? ""}\n${traceback ?? ""}`.trimEnd();
  }
  return JSON.stringify(JSON.parse(sorted(value)), null, 2);
}
