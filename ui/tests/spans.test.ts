import assert from "node:assert/strict";
import { test } from "node:test";
import type { Span } from "../src/api/types.ts";
import { barsOf, barWords, joined, outcomeTone, workOf } from "../src/run/spans.ts";

const at = (seconds: number) => new Date(seconds * 1_000).toISOString();
const span = (given: Partial<Span>): Span => ({
  key: "k", kind: "step", name: "charge", asked_at: at(1), started_at: null, ended_at: at(3), outcome: "completed", attempts: 1,
  next_attempt_at: null, until: null, error: null, seq: 5, run_id: "", resolved_by: "", superseded: false, ...given,
});
const bar = (given: Partial<Span>, now = 10_000) => barsOf([span(given)], now)[0]!;

test("a bar goes from the asking to the end, or to now while it is open", () => {
  assert.deepEqual([bar({}).from, bar({}).to, bar({}).isOpen], [1_000, 3_000, false]);
  assert.deepEqual([bar({ ended_at: null, outcome: "open" }).to, bar({ ended_at: null, outcome: "open" }).isOpen], [10_000, true]);
  assert.deepEqual([bar({ asked_at: null }).from, bar({ asked_at: null }).to], [3_000, 3_000]);
  assert.equal(bar({ asked_at: null, started_at: at(2) }).from, 2_000);
  assert.equal(bar({ ended_at: null, outcome: "abandoned" }).to, 1_000);
});

test("bars stand in the order in which they began; of those at the same time, in that of their events", () => {
  const spans = [span({ key: "c", asked_at: at(2) }), span({ key: "b", seq: 9 }), span({ key: "w", seq: 0 }), span({ key: "a", seq: 4 })];
  assert.deepEqual(barsOf(spans, 0).map((each) => each.span.key), ["a", "b", "w", "c"]);
});

test("a bar says how long it took, how often it was tried, and when it goes on", () => {
  const open = { ended_at: null, outcome: "open" };
  assert.equal(barWords(bar({}), 10_000), "2 s");
  assert.equal(barWords(bar({ attempts: 3 }), 10_000), "2 s, 3 attempts");
  assert.equal(barWords(bar({ asked_at: null }), 10_000), "");
  assert.equal(barWords(bar({ ...open, attempts: 2, next_attempt_at: at(40) }), 10_000), "attempt 2 in 30 s");
  assert.equal(barWords(bar({ ...open, kind: "timer", until: at(70) }), 10_000), "fires in 1 min");
  assert.equal(barWords(bar({ ...open, kind: "signal" }), 10_000), "9 s");
  assert.equal(barWords(bar({ ...open, attempts: 2 }), 10_000), "attempt 2, 9 s");
  assert.equal(barWords(bar({ ended_at: null, outcome: "abandoned" }), 10_000), "no longer wanted");
});

test("waiting, also for the next attempt, is no work", () => {
  const open = { ended_at: null, outcome: "open" };
  const bars = barsOf([span({}), span({ kind: "timer" }), span({ ...open, next_attempt_at: at(40) }), span({ ...open, kind: "undo" })], 10_000);
  assert.deepEqual(workOf(bars).map(({ from, to }) => [from, to]), [[1_000, 3_000], [1_000, 10_000]]);
});

test("a span that begins in one stretch of the history and ends in the next is one", () => {
  const begin = span({ kind: "timer", ended_at: null, outcome: "open", started_at: at(1), until: at(3), seq: 2 });
  const end = span({ kind: "timer", asked_at: null, seq: 7 });
  const other = span({ key: "other", ended_at: null, outcome: "open" });
  const whole = joined([begin, other], [end, span({ key: "new" })]);
  assert.deepEqual(whole.map((each) => [each.key, each.asked_at, each.ended_at]), [
    ["other", at(1), null],
    ["k", at(1), at(3)],
    ["new", at(1), at(3)],
  ]);
  assert.equal(whole[1]!.until, at(3));
});

test("an outcome is good, bad, open or neither", () => {
  assert.equal(outcomeTone(span({})), "good");
  assert.equal(outcomeTone(span({ outcome: "failed" })), "bad");
  assert.equal(outcomeTone(span({ outcome: "abandoned", ended_at: null })), "plain");
  assert.equal(outcomeTone(span({ outcome: "open", ended_at: null })), "open");
  assert.equal(outcomeTone(span({ outcome: "uncertain", ended_at: null })), "bad");
});
