import assert from "node:assert/strict";
import { test } from "node:test";
import type { Queue } from "../src/api/operations.ts";
import { limitsBody, limitWords, typedOf } from "../src/queues/limits.ts";
import { typeWords } from "../src/workers/schema.ts";

const QUEUE = {
  name: "gpu",
  limits: { concurrency: 4, rate: "100/m", weights: { gold: 3 } },
  declared: { concurrency: 2 },
  changed: ["concurrency"],
} as unknown as Queue;

test("only what was changed is sent, and an empty field is no limit", () => {
  const typed = typedOf(QUEUE);
  assert.equal(limitsBody(QUEUE, typed), null);
  typed.concurrency.text = "8";
  typed.rate.text = " ";
  typed.weights.text = "gold=3, silver = 2";
  assert.deepEqual(limitsBody(QUEUE, typed), { concurrency: 8, rate: null, weights: { gold: 3, silver: 2 } });
});

test("a limit that is to be as code has it is not sent beside that", () => {
  const typed = typedOf(QUEUE);
  typed.concurrency = { text: "9", isReset: true };
  assert.deepEqual(limitsBody(QUEUE, typed), { reset: ["concurrency"] });
});

test("what is no whole number is said before it is sent", () => {
  for (const text of ["many", "1.5"]) {
    const typed = typedOf(QUEUE);
    typed.per_key.text = text;
    assert.throws(() => limitsBody(QUEUE, typed), /Of these with the same key: a whole number is wanted/);
  }
  const typed = typedOf(QUEUE);
  typed.weights.text = "gold";
  assert.throws(() => limitsBody(QUEUE, typed), /Turns of keys/);
});

test("limits are told in a few words each", () => {
  assert.deepEqual(limitWords(QUEUE), ["4 at a time", "100/m", "turns: gold=3"]);
});

test("a type of an argument is told in a word or two", () => {
  const schemas = [{ type: "integer" }, { $ref: "#/$defs/Order" }, { anyOf: [{ type: "string" }, { type: "null" }] }, {}];
  assert.deepEqual(schemas.map(typeWords), ["integer", "Order", "string | null", "any"]);
  assert.equal(typeWords({ type: "array", items: { enum: ["a", 1] } }), 'list of "a" | 1');
});
