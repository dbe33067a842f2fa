import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "../src/api/types.ts";
import { lookOf, needsSomebody, STATUSES } from "../src/status/look.ts";

const CONDITIONS: Condition[] = ["waiting", "queued", "paused", "blocked", "uncertain", "quarantined", "compensating"];

test("every status and condition is told by its word and, among those of its kind, by its shape", () => {
  const statuses = STATUSES.map((each) => lookOf(each));
  const conditions = CONDITIONS.map((each) => lookOf("running", each));
  assert.equal(new Set([...statuses, ...conditions].map((look) => look.word)).size, STATUSES.length + CONDITIONS.length);
  assert.equal(new Set(statuses.map((look) => look.shape)).size, STATUSES.length);
  assert.equal(new Set(conditions.map((look) => look.shape)).size, CONDITIONS.length);
});

test("a closed run shows its status, whatever its condition was", () => {
  assert.equal(lookOf("failed", "compensating").word, "failed");
});

test("only a run that goes on by itself needs nobody", () => {
  assert.deepEqual(CONDITIONS.filter((each) => needsSomebody("running", each)), ["blocked", "uncertain", "quarantined"]);
  assert.equal(needsSomebody("failed", "blocked"), false);
});
