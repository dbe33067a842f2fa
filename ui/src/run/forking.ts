// Where a run can be forked, whose results can be edited, and what is done anew.

import type { HistoryEvent, RunSummary, Span } from "../api/types.ts";
import { isGoingOn } from "./spans.ts";

/** What a fork begins with: the last event that is kept, and an operation whose result is to be another one. */
export interface ForkPoint {
  at: number;
  key: string | null;
}

const ANSWERED = new Set(["step", "undo", "child", "callback", "task"]);
const ANSWERS = new Set(["step_completed", "step_failed", "callback_completed", "callback_failed", "child_closed"]);

/** As late as it can be. */
export function latestPoint(run: Pick<RunSummary, "status" | "events">): number {
  return run.status === "running" ? run.events : Math.max(1, run.events - 1);
}

export function hasAnswer(span: Span): boolean {
  return ANSWERED.has(span.kind) && span.ended_at !== null && span.seq > 0 && !span.superseded;
}

export function isAnswer(event: HistoryEvent): boolean {
  return ANSWERS.has(event.type) && event.key !== null;
}

/** Operations with a result in the events that are kept, the newest first. */
export function answersUpTo(spans: readonly Span[], at: number): Span[] {
  const found = new Map<string, Span>();
  for (const span of spans) {
    if (hasAnswer(span) && span.seq <= at) found.set(span.key, span);
  }
  return [...found.values()].reverse();
}

/** What was done behind the event, or is being done: "2 × charge, ship". Empty if that is nothing. */
export function anewWords(spans: readonly Span[], at: number, namesMax = 6): string {
  const counts = new Map<string, number>();
  for (const span of spans) {
    const isAnew = span.seq > at || (isGoingOn(span) && span.seq <= at);
    if (isAnew && ANSWERED.has(span.kind) && !span.superseded) counts.set(span.name, (counts.get(span.name) ?? 0) + 1);
  }
  const words = [...counts].map(([name, count]) => (count > 1 ? `${count} × ${name}` : name));
  const more = words.length > namesMax ? ` and ${words.length - namesMax} more` : "";
  return words.slice(0, namesMax).join(", ") + more;
}
