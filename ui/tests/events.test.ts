import assert from "node:assert/strict";
import { test } from "node:test";
import type { HistoryEvent } from "../src/api/types.ts";
import { gistOf, hasWords, STRETCH_EVENTS, Stretches, STRETCHES_MAX, toneOf, wordsOf } from "../src/run/events.ts";

const event = (seq: number, given: Partial<HistoryEvent> = {}): HistoryEvent => ({ seq, type: "step_completed", time: "", key: "charge", data: {}, ...given });
const events = (first: number, count: number) => Array.from({ length: count }, (_, index) => event(first + index));

test("what is seen of a history is read, and nothing is read twice", () => {
  const kept = new Stretches();
  assert.deepEqual(kept.missing(150, 450, 50_000), [0, 1, 2]);
  kept.put(1, events(201, STRETCH_EVENTS));
  assert.deepEqual(kept.missing(150, 450, 50_000), [0, 2]);
  assert.equal(kept.find(201)!.seq, 201);
  assert.equal(kept.find(400)!.seq, 400);
  assert.equal(kept.find(401), undefined);
});

test("the last stretch of a history that has grown is read anew", () => {
  const kept = new Stretches();
  kept.put(0, events(1, 30));
  assert.deepEqual(kept.missing(1, 30, 30), []);
  assert.deepEqual(kept.missing(1, 31, 31), [0]);
  assert.deepEqual(kept.missing(1, 50, 0), []);
});

test("there is an end to how much of a history is kept", () => {
  const kept = new Stretches();
  for (let stretch = 0; stretch <= STRETCHES_MAX; stretch += 1) kept.put(stretch, events(stretch * STRETCH_EVENTS + 1, STRETCH_EVENTS));
  assert.equal(kept.find(1), undefined);
  assert.equal(kept.find(STRETCH_EVENTS + 1)!.seq, STRETCH_EVENTS + 1);
});

test("a search finds an event by all of its words, wherever they stand", () => {
  const found = event(7, { data: { payload: { customer: "C-Seven" } } });
  assert.ok(hasWords(found, wordsOf(" Step completed  c-seven charge ")));
  assert.ok(!hasWords(found, wordsOf("c-seven refund")));
});

test("an event says what it is about in a line", () => {
  assert.equal(gistOf(event(1, { data: { failure: { type: "ValueError", message: "declined", traceback: "…" } } })), "ValueError: declined");
  assert.equal(gistOf(event(1, { data: { name: "approval", payload: { ok: true } } })), '{"ok":true} · approval');
  assert.equal(gistOf(event(1, { data: { payload: 7, attempts: 1, asked_seq: 3 } })), "7");
  assert.equal(gistOf(event(1, { data: { payload: 7, attempts: 3 } })), "7 · 3");
  assert.equal(gistOf(event(1)), "");
});

test("failures and endings are told apart from the rest", () => {
  assert.deepEqual(["step_failed", "timer_fired", "signal_received", "timeout_reached"].map(toneOf), ["bad", "good", "plain", "bad"]);
});
