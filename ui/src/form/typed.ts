// What is typed into a field, as the value that it stands for. Text that stands for none is kept as it is, as `Unfit`.

import { Unfit } from "./check.ts";

export function numberOf(text: string, isWhole: boolean): number | Unfit {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) return new Unfit(text, "That is no number.");
  if (isWhole && !Number.isInteger(number)) return new Unfit(text, "A whole number is expected.");
  return number;
}

/** Nothing typed is nothing given. */
export function jsonOf(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return new Unfit(text, `That is no JSON: ${why}. A text stands in quotes: "like this".`);
  }
}

/** What a field shows: as it was typed, as long as that still stands for the value. */
export function shownText(typed: string, value: unknown, valueOf: (text: string) => unknown, textOf: (value: unknown) => string): string {
  if (value instanceof Unfit) return value.text;
  const meant = valueOf(typed);
  return !(meant instanceof Unfit) && JSON.stringify(meant) === JSON.stringify(value) ? typed : textOf(value);
}

export function textOfJson(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

const INPUTS: Record<string, string> = { date: "date", "date-time": "datetime-local", email: "email", uri: "url" };

/** The kind of field that a browser has for a format. */
export function inputOf(format: string): string {
  return INPUTS[format] ?? "text";
}

const EXAMPLES: Record<string, string> = {
  uuid: "00000000-0000-0000-0000-000000000000",
  decimal: "12.50",
  duration: "PT1H30M",
  time: "09:30:00",
};

export function exampleOf(format: string): string {
  return EXAMPLES[format] ?? "";
}

/** A moment as browsers want it in their field, in the reader's time zone; and back, as a moment in UTC. */
export function localMoment(value: unknown): string {
  const at = typeof value === "string" ? new Date(value) : null;
  if (at === null || Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function momentOf(local: string): string | Unfit {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? new Unfit(local, "That is no moment.") : at.toISOString();
}
