import assert from "node:assert/strict";
import { test } from "node:test";
import { type Item, ranked } from "../src/shell/palette.ts";

const item = (kind: string, word: string): Item => ({ id: `${kind} ${word}`, kind, word, run: () => {} });
const ITEMS = [item("page", "Queues"), item("run", "order/42"), item("run", "reorder-7"), item("view", "Failed orders"), item("queue", "gpu")];
const found = (typed: string) => ranked(ITEMS, typed).map((each) => each.word);

test("where nothing is typed everything is there, in its order", () => {
  assert.deepEqual(found(" "), ["Queues", "order/42", "reorder-7", "Failed orders", "gpu"]);
});

test("what begins with the words comes before what has them later, and that before what has them within", () => {
  assert.deepEqual(found("order"), ["order/42", "Failed orders", "reorder-7"]);
  assert.deepEqual(found("run order"), ["order/42", "reorder-7"]);
  assert.deepEqual(found("queue"), ["Queues", "gpu"]);
  assert.deepEqual(found("nothing of it"), []);
});
