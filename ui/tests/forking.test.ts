import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunDetail, Span } from "../src/api/types.ts";
import { anewWords, answersUpTo, latestPoint } from "../src/run/forking.ts";
import { framesOf, placeOf } from "../src/run/traceback.ts";

const span = (kind: string, key: string, seq: number, more: Partial<Span> = {}) =>
  ({ kind, key, name: key.replace(/#\d+$/, ""), seq, ended_at: "2026-01-01T00:00:00Z", outcome: "completed", superseded: false, ...more }) as Span;

const SPANS = [
  span("step", "charge", 2, { superseded: true }),
  span("timer", "sleep", 3),
  span("step", "charge", 4),
  span("step", "ship", 5),
  span("step", "ship#2", 6),
  span("child", "gift", 7, { ended_at: null, outcome: "open" }),
];

test("results can be others as far as events are kept, and the newest of them stand first", () => {
  assert.deepEqual(answersUpTo(SPANS, 5).map((each) => each.key), ["ship", "charge"]);
  assert.deepEqual(answersUpTo(SPANS, 1), []);
});

test("what comes after the event is done anew, and what is open too", () => {
  assert.equal(anewWords(SPANS, 4), "2 × ship, gift");
  assert.equal(anewWords(SPANS.slice(0, 5), 6), "");
  assert.equal(anewWords(["a", "b", "c"].map((key) => span("step", key, 9)), 1, 2), "a, b and 1 more");
});

test("a closed run is forked before its end", () => {
  assert.equal(latestPoint({ status: "running", events: 5 } as RunDetail), 5);
  assert.equal(latestPoint({ status: "failed", events: 5 } as RunDetail), 4);
});

const TRACEBACK = `Traceback (most recent call last):
  File "/srv/.venv/lib/python3.12/site-packages/keepstep/worker/attempt.py", line 80, in run
    return await call()
  File "/srv/shop/orders.py", line 12, in charge
    send(
    ~~~~^
        order)
  File "/srv/.venv/lib/python3.12/site-packages/httpx/client.py", line 9, in send
    raise Refused
httpx.Refused: no
`;

test("an error was raised where one's own code last stood", () => {
  const frames = framesOf(TRACEBACK);
  assert.deepEqual(frames.map((each) => [each.line, each.source, each.isForeign]), [
    [80, "return await call()", true],
    [12, "send(", false],
    [9, "raise Refused", true],
  ]);
  assert.equal(placeOf(frames)?.function, "charge");
  assert.equal(placeOf(framesOf("no traceback at all")), null);
});
