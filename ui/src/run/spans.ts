// Spans as a timeline draws them: when they begin and end, in which order they stand, what is told of them.

import type { Span } from "../api/types.ts";
import { distanceWords, durationWords, timeOf } from "../words/time.ts";
import type { Interval } from "./scale.ts";

export interface Bar extends Interval {
  span: Span;
  isOpen: boolean;
  /** When its next attempt begins, or its timer fires; null if that is not ahead. */
  ahead: number | null;
}

/** What a worker does itself; all else is waiting. */
const WORK = new Set(["step", "undo", "update", "handler"]);

/** The bars of some spans, those that began first at the top. */
export function barsOf(spans: readonly Span[], now: number): Bar[] {
  const bars = spans.map((span) => barOf(span, now));
  return bars.sort((one, other) => one.from - other.from || (one.span.seq || Infinity) - (other.span.seq || Infinity));
}

function barOf(span: Span, now: number): Bar {
  const times = [span.asked_at, span.started_at, span.ended_at].filter((each) => each !== null).map(timeOf);
  const isOpen = isGoingOn(span);
  const from = times[0] ?? now;
  const ahead = span.next_attempt_at ?? span.until;
  return {
    span,
    from,
    to: Math.max(from, isOpen ? now : (times.at(-1) ?? from)),
    isOpen,
    ahead: isOpen && ahead !== null && timeOf(ahead) > now ? timeOf(ahead) : null,
  };
}

export function isGoingOn(span: Span): boolean {
  return span.ended_at === null && span.outcome !== "abandoned";
}

/** Where something was executed. A step that waits for its next attempt is executed by nobody. */
export function workOf(bars: readonly Bar[]): Interval[] {
  return bars.filter((bar) => WORK.has(bar.span.kind) && bar.ahead === null);
}

/** Moments that are seen even if nothing was executed: where spans begin and end. */
export function marksOf(bars: readonly Bar[]): number[] {
  return bars.flatMap((bar) => (bar.isOpen ? [bar.from] : [bar.from, bar.to]));
}

/** Spans of two stretches of a history. One that begins in the earlier and ends in the later one is in both. */
export function joined(earlier: readonly Span[], later: readonly Span[]): Span[] {
  const identity = (span: Span) => `${span.kind}\0${span.key}`;
  const begun = new Map(earlier.filter((span) => span.ended_at === null).map((span) => [identity(span), span]));
  const whole = later.map((span) => {
    const start = span.asked_at === null ? begun.get(identity(span)) : undefined;
    if (!start) return span;
    begun.delete(identity(span));
    return { ...span, asked_at: start.asked_at, started_at: start.started_at, until: span.until ?? start.until };
  });
  const merged = new Set(earlier.filter((span) => span.ended_at === null && !begun.has(identity(span))));
  return [...earlier.filter((span) => !merged.has(span)), ...whole];
}

/** What stands beside a bar. */
export function barWords(bar: Bar, now: number): string {
  const { span } = bar;
  const took = bar.to > bar.from ? durationWords(bar.to - bar.from) : "";
  if (bar.ahead !== null) {
    const when = distanceWords(bar.ahead, now);
    return span.kind === "timer" ? `fires ${when}` : `attempt ${span.attempts} ${when}`;
  }
  if (span.outcome === "abandoned") return "no longer wanted";
  if (bar.isOpen) return [span.attempts > 1 ? `attempt ${span.attempts}` : "", took].filter(Boolean).join(", ");
  return span.attempts > 1 ? `${took || "0 ms"}, ${span.attempts} attempts` : took;
}

export function outcomeTone(span: Span): "open" | "good" | "bad" | "plain" {
  if (isGoingOn(span)) return ["uncertain", "undo_exhausted"].includes(span.outcome) ? "bad" : "open";
  if (["failed", "timed_out", "terminated"].includes(span.outcome)) return "bad";
  return ["abandoned", "cancelled"].includes(span.outcome) ? "plain" : "good";
}
