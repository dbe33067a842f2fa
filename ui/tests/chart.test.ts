import assert from "node:assert/strict";
import { test } from "node:test";
import { concernWords } from "../src/overview/concern.ts";
import { dotPath, figureWords, linePath, roundedUp, stacked } from "../src/overview/scale.ts";

test("the highest number of a chart is round, and not below what is shown", () => {
  assert.deepEqual([0, 0.003, 1, 7, 12, 51, 4_999].map(roundedUp), [1, 0.005, 1, 10, 20, 100, 5_000]);
});

test("parts of a bar stand on each other, and nothing takes no place", () => {
  assert.deepEqual(stacked([2, 0, 3], 10), [
    { series: 0, from: 0, to: 0.2 },
    { series: 2, from: 0.2, to: 0.5 },
  ]);
});

test("a line is broken where there is no value, and a value alone is a dot", () => {
  const values = [1, 2, null, 4, null];
  assert.equal(linePath(values, 4, 50, 100), "M5.0 75.0L15.0 50.0M35.0 0.0");
  assert.equal(dotPath(values, 4, 50, 100), "M35.0 0.0h.01");
});

test("numbers are told as short as they can be read", () => {
  assert.deepEqual([0, 0.123, 7, 999, 3_400, 434_600, 1_200_000].map(figureWords), ["0", "0.12", "7", "999", "3.4 k", "435 k", "1.2 M"]);
});

test("what needs a person is a sentence, of one and of many", () => {
  const concern = { kind: "parked", what: "blocked", filter: "", is_estimated: false } as const;
  assert.equal(concernWords({ ...concern, count: 1 }), "1 run is blocked: its code does not fit what it has done");
  assert.equal(concernWords({ ...concern, count: 2 }), "2 runs are blocked: their code does not fit what they have done");
  const failed = { kind: "failed", what: "1h", filter: "", is_estimated: true, count: 13_498.4 } as const;
  assert.equal(concernWords(failed), "about 13,498 runs failed within the last hour");
});
