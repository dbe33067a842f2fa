// How each status looks: its word, its mark's shape and its colour. Shapes differ, so that nobody needs the colours.

import type { Condition, Status } from "../api/types.ts";

export type Shape = "ring" | "check" | "cross" | "dash" | "square" | "clock" | "arrow" | "octagon" | "question" | "bars" | "undo" | "dots" | "shield";

export interface Look {
  word: string;
  shape: Shape;
  colour: string;
}

const STATUS: Record<Status, Look> = {
  running: { word: "running", shape: "ring", colour: "var(--is-running)" },
  completed: { word: "completed", shape: "check", colour: "var(--is-completed)" },
  failed: { word: "failed", shape: "cross", colour: "var(--is-failed)" },
  cancelled: { word: "cancelled", shape: "dash", colour: "var(--is-cancelled)" },
  terminated: { word: "terminated", shape: "square", colour: "var(--is-terminated)" },
  timed_out: { word: "timed out", shape: "clock", colour: "var(--is-timed-out)" },
  continued: { word: "continued", shape: "arrow", colour: "var(--is-continued)" },
};

const CONDITION: Record<Exclude<Condition, "">, Look> = {
  waiting: { word: "waiting", shape: "ring", colour: "var(--is-waiting)" },
  queued: { word: "queued", shape: "dots", colour: "var(--is-waiting)" },
  paused: { word: "paused", shape: "bars", colour: "var(--is-attention)" },
  blocked: { word: "blocked", shape: "octagon", colour: "var(--is-failed)" },
  uncertain: { word: "uncertain", shape: "question", colour: "var(--is-attention)" },
  quarantined: { word: "quarantined", shape: "shield", colour: "var(--is-failed)" },
  compensating: { word: "undoing", shape: "undo", colour: "var(--is-attention)" },
};

export const STATUSES = Object.keys(STATUS) as Status[];

/** Of a running run its condition says more than "running" does. */
export function lookOf(status: Status, condition: Condition = ""): Look {
  return status === "running" && condition !== "" ? CONDITION[condition] : STATUS[status];
}

/** Whether a person has to do something before it goes on. */
export function needsSomebody(status: Status, condition: Condition): boolean {
  return status === "running" && ["blocked", "uncertain", "quarantined"].includes(condition);
}
