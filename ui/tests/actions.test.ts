import assert from "node:assert/strict";
import { test } from "node:test";
import type { Definition } from "../src/api/definitions.ts";
import type { RunSummary } from "../src/api/types.ts";
import { actionsFor } from "../src/run/actions.ts";

const BASKET = { handlers: { query: { contents: {} }, update: { put: {} } } } as unknown as Definition;

const of = (status: string, condition = "", parked = "", definition: Definition | null = null) =>
  actionsFor({ status, condition, waiting_for: [{ kind: "step", parked }] } as unknown as RunSummary, definition).join(" ");

test("a run is offered what it can be asked for, and a closed one next to nothing", () => {
  assert.equal(of("running", "waiting"), "signal pause fork cancel terminate");
  assert.equal(of("running", "paused"), "signal resume fork cancel terminate");
  assert.equal(of("running", "quarantined"), "retry signal pause fork cancel terminate");
  assert.equal(of("running", "uncertain", "uncertain"), "resolve signal pause fork cancel terminate");
  assert.equal(of("running", "compensating", "undo_exhausted"), "resolve retry signal pause fork cancel terminate");
  assert.equal(of("running", "waiting", "", BASKET), "signal update query pause fork cancel terminate");
  assert.equal(of("failed"), "retry fork again");
  assert.deepEqual(actionsFor({ status: "failed", condition: "", waiting_for: [], is_undone: true }), ["fork", "again"]);
  assert.equal(of("completed", "", "", BASKET), "query fork again");
});
