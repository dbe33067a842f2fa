import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunSummary, Wait } from "../src/api/types.ts";
import { waitingWords, waitWords } from "../src/words/waiting.ts";

const NOW = Date.parse("2026-11-28T10:00:00Z");
const run = (given: Partial<RunSummary>) =>
  ({ status: "running", error: null, waiting_for: [], status_text: "", ...given }) as unknown as RunSummary;

test("each wait has its few words", () => {
  const cases: [Wait, string][] = [
    [{ kind: "signal", name: "paid" }, "signal paid"],
    [{ kind: "timer", until: "2026-11-28T13:00:00Z" }, "timer, in 3 h"],
    [{ kind: "timer", until: "2026-11-28T09:00:00Z" }, "timer, due"],
    [{ kind: "step", name: "charge", attempt: 1 }, "step charge"],
    [{ kind: "step", name: "charge", attempt: 3, until: "2026-11-28T10:00:40Z" }, "step charge, attempt 3 in 40 s"],
    [{ kind: "step", name: "charge", parked: "uncertain" }, "somebody to say whether charge happened"],
    [{ kind: "step", name: "refund", parked: "undo_exhausted" }, "somebody to mend the undo refund"],
    [{ kind: "child", name: "ship" }, "child ship"],
    [{ kind: "human_task", name: "approve" }, "person: approve"],
    [{ kind: "queue", queue: "slow", before: 4 }, "queue slow, 4 before it"],
    [{ kind: "queue", queue: "slow", is_paused: true }, "queue slow, which is paused"],
    [{ kind: "queue", queue: "slow", holder: "order-7" }, "queue slow, for order-7"],
    [{ kind: "queue", queue: "slow", until: "2026-11-28T10:05:00Z" }, "begins in 5 min"],
    [{ kind: "condition" }, "a condition in its code"],
  ];
  for (const [wait, words] of cases) assert.equal(waitWords(wait, NOW), words);
});

test("a run says the first thing that it waits for and how many more, an error before all, or what its code says", () => {
  const waits: Wait[] = [{ kind: "signal", name: "a" }, { kind: "signal", name: "b" }];
  assert.equal(waitingWords(run({ waiting_for: waits }), NOW), "signal a and 1 more");
  assert.equal(waitingWords(run({ waiting_for: waits, error: "code changed" }), NOW), "code changed");
  assert.equal(waitingWords(run({ status_text: "packing" }), NOW), "packing");
  assert.equal(waitingWords(run({ status: "failed", error: "ValueError: no" }), NOW), "ValueError: no");
  assert.equal(waitingWords(run({ status: "completed", waiting_for: waits }), NOW), "");
});
