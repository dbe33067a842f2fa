// The events of a history, of which only those that are looked at are there: stretches of one length, read when seen.

import type { HistoryEvent } from "../api/types.ts";

export const STRETCH_EVENTS = 200;
export const STRETCHES_MAX = 50;

/** Keeps some stretches; those that were not asked for longest go first. Seqs count from 1. */
export class Stretches {
  readonly #stretches = new Map<number, readonly HistoryEvent[]>();

  /** The event of a seq; undefined if it was not read. */
  find(seq: number): HistoryEvent | undefined {
    return this.#stretches.get(stretchOf(seq))?.[(seq - 1) % STRETCH_EVENTS];
  }

  put(stretch: number, events: readonly HistoryEvent[]): void {
    this.#stretches.delete(stretch);
    this.#stretches.set(stretch, events);
    const [oldest] = this.#stretches.keys();
    if (this.#stretches.size > STRETCHES_MAX && oldest !== undefined) this.#stretches.delete(oldest);
  }

  /** Which stretches are wanted to show these seqs of `total`, and are not there as long as they could be. */
  missing(first: number, last: number, total: number): number[] {
    const wanted: number[] = [];
    for (let stretch = stretchOf(Math.max(1, first)); stretch <= stretchOf(Math.min(last, total)); stretch += 1) {
      const length = Math.min(STRETCH_EVENTS, total - stretch * STRETCH_EVENTS);
      if ((this.#stretches.get(stretch)?.length ?? 0) < length) wanted.push(stretch);
    }
    return wanted;
  }
}

export function stretchOf(seq: number): number {
  return Math.floor((seq - 1) / STRETCH_EVENTS);
}

/** Whether an event has all of these words somewhere: in its type, its key, or its data. */
export function hasWords(event: HistoryEvent, words: readonly string[]): boolean {
  const text = `${event.seq} ${event.type} ${event.type.replaceAll("_", " ")} ${event.key ?? ""} ${JSON.stringify(event.data)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function wordsOf(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

const TONES: [RegExp, "good" | "bad" | "plain"][] = [
  [/failed|refused|timed_out|terminated|timeout/, "bad"],
  [/completed|fired/, "good"],
];

export function toneOf(type: string): "good" | "bad" | "plain" {
  return TONES.find(([pattern]) => pattern.test(type))?.[1] ?? "plain";
}

/** What an event says in one line, beside its type and key. */
export function gistOf(event: HistoryEvent): string {
  const { failure, payload, ...others } = event.data as { failure?: unknown; payload?: unknown };
  if (isFailure(failure)) return `${failure.type ?? "Error"}: ${failure.message ?? ""}`;
  const rest = Object.entries(others).filter(([name, value]) => name !== "asked_seq" && !(name === "attempts" && value === 1));
  const shown = [...(payload === undefined ? [] : [payload]), ...rest.map(([, value]) => value)];
  return shown.map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join(" · ").slice(0, 300);
}

export function isFailure(value: unknown): value is { type?: string; message?: string; traceback?: string } {
  return typeof value === "object" && value !== null && "message" in value && ("traceback" in value || "type" in value);
}
