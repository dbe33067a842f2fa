import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunSummary } from "../src/api/types.ts";
import { actionsFor, parsedValue } from "../src/run/actions.ts";

const of = (status: string, condition = "", parked = "") =>
  actionsFor({ status, condition, waiting_for: [{ kind: "step", parked }] } as unknown as RunSummary).join(" ");

test("a run is offered what it can be asked for, and a closed one next to nothing", () => {
  assert.equal(of("running", "waiting"), "signal pause cancel terminate");
  assert.equal(of("running", "paused"), "signal resume cancel terminate");
  assert.equal(of("running", "quarantined"), "retry signal pause cancel terminate");
  assert.equal(of("running", "compensating", "undo_exhausted"), "retry signal pause cancel terminate");
  assert.equal(of("failed"), "retry");
  assert.equal(of("completed"), "");
});

test("a value is JSON, nothing is null, and what is neither is refused with a hint", () => {
  assert.deepEqual(parsedValue(' {"ok": [1]} '), { ok: [1] });
  assert.equal(parsedValue("  "), null);
  assert.throws(() => parsedValue("yes"), /That is no JSON: .* "like this"/);
});
