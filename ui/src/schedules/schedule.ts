// What a schedule's form says, as words that the API takes; only what was changed is sent.

import type { Firing, Overlap, Schedule } from "../api/schedules.ts";
import type { Status } from "../api/types.ts";
import { STATUSES } from "../status/look.ts";
import { lengthText } from "../words/length.ts";

/** What stands in the fields of the form. */
export interface Draft {
  id: string;
  type: string;
  /** The arguments as a JSON array. */
  input: string;
  /** Expressions, one a line. */
  cron: string;
  /** Lengths, separated by commas. */
  every: string;
  tz: string;
  overlap: Overlap;
  catchup: string;
  limit: string;
  jitter: string;
  paused: boolean;
  note: string;
}

export function emptyDraft(zone: string): Draft {
  return {
    id: "",
    type: "",
    input: "[]",
    cron: "0 9 * * MON-FRI",
    every: "",
    tz: zone,
    overlap: "skip",
    catchup: "1d",
    limit: "",
    jitter: "",
    paused: false,
    note: "",
  };
}

export function draftOf(schedule: Schedule): Draft {
  const { spec } = schedule;
  return {
    id: schedule.id,
    type: schedule.type,
    input: "input" in schedule ? JSON.stringify(schedule.input) : "",
    cron: spec.cron.join("\n"),
    every: spec.every.map(lengthText).join(", "),
    tz: spec.tz,
    overlap: schedule.overlap,
    catchup: lengthText(schedule.catchup),
    limit: schedule.left === null ? "" : String(schedule.left),
    jitter: spec.jitter ? lengthText(spec.jitter) : "",
    paused: schedule.paused,
    note: schedule.note,
  };
}

/** When it fires, as the API takes it. Cron, intervals and calendars replace each other, so the first two go together. */
export function whenOf(draft: Draft): Record<string, unknown> {
  return { cron: several(draft.cron, "\n"), every: several(draft.every, ","), tz: draft.tz.trim(), jitter: draft.jitter.trim() || 0 };
}

/** The body that makes a schedule. Raises an error that says what is wrong. */
export function newBody(draft: Draft): Record<string, unknown> {
  return {
    ...whenOf(draft),
    id: draft.id.trim(),
    type: draft.type.trim(),
    input: argumentsOf(draft.input),
    overlap: draft.overlap,
    catchup: draft.catchup,
    limit: limitOf(draft.limit),
    paused: draft.paused,
    note: draft.note,
  };
}

/** The body that changes one: nothing of what stayed as it was. */
export function changeBody(before: Draft, draft: Draft): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const differs = (field: keyof Draft) => before[field] !== draft[field];
  const when = whenOf(draft);
  if (differs("cron") || differs("every")) Object.assign(body, { cron: when["cron"], every: when["every"] });
  if (differs("tz")) body["tz"] = when["tz"];
  if (differs("jitter")) body["jitter"] = when["jitter"];
  if (differs("type")) body["type"] = draft.type.trim();
  if (differs("input") || differs("type")) body["input"] = argumentsOf(draft.input);
  if (differs("overlap")) body["overlap"] = draft.overlap;
  if (differs("catchup")) body["catchup"] = draft.catchup;
  if (differs("limit")) body["limit"] = limitOf(draft.limit);
  return body;
}

function several(text: string, separator: string): string[] {
  return text.split(separator).map((each) => each.trim()).filter((each) => each !== "");
}

function limitOf(text: string): number | null {
  if (text.trim() === "") return null;
  const limit = Number(text);
  if (!Number.isInteger(limit)) throw new Error(`The limit is a whole number, not "${text}".`);
  return limit;
}

function argumentsOf(text: string): unknown[] {
  let found: unknown;
  try {
    found = JSON.parse(text.trim() || "[]");
  } catch (error) {
    throw new Error(`The input is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!Array.isArray(found)) throw new Error('The input is a list with one value for each argument, such as ["berlin"].');
  return found;
}

export function lastOf(schedule: Schedule): Firing | undefined {
  return schedule.recent.at(-1);
}

export function isStatus(word: string): word is Status {
  return (STATUSES as string[]).includes(word);
}
