import assert from "node:assert/strict";
import { test } from "node:test";
import { errorPlace, narrowed, orderAt, quoted, wantedOf, wanting } from "../src/runs/filter.ts";

test("a text is written so that it ends where it should", () => {
  assert.equal(quoted("it's"), "'it''s'");
  assert.equal(quoted("a\\"), "'a\\\\'");
});

test("a filter is narrowed to some ids without its order, and its OR stays within", () => {
  assert.equal(narrowed("", ["a", "b'"]), "WorkflowId IN ('a', 'b''')");
  const filter = "a = 1 OR b = 2 ORDER BY amount DESC";
  assert.equal(narrowed(filter, ["x"]), "(a = 1 OR b = 2) AND WorkflowId IN ('x')");
  assert.equal(narrowed("order  by StartTime", ["x"]), "WorkflowId IN ('x')");
});

test("an order within a text or a name is none", () => {
  for (const filter of ["a = 'x ORDER BY y'", "a = 'it''s ORDER BY'", "a = 'it\\' ORDER BY'", 'a = " ORDER BY "', "`ORDER BY` = 1", "a = 'open ORDER BY"]) {
    assert.equal(orderAt(filter), filter.length, filter);
  }
  assert.equal(orderAt("a = '\\\\' ORDER BY b"), 9);
});

test("what a button puts into the filter is known again, and goes without touching the rest", () => {
  const failed = wanting("", "Status", "failed");
  assert.equal(failed, "Status = 'failed'");
  assert.equal(wantedOf(failed, "Status"), "failed");
  const both = wanting(failed, "WorkflowType", "it's \\ one");
  assert.equal(wantedOf(both, "WorkflowType"), "it's \\ one");
  assert.equal(wanting(both, "Status", "running"), "WorkflowType = 'it''s \\\\ one' AND Status = 'running'");
  assert.equal(wanting(wanting(both, "WorkflowType", null), "Status", null), "");
  assert.equal(wantedOf("status='failed' AND x > 1", "Status"), "failed");
  assert.equal(wantedOf("NOT Status = 'failed'", "Status"), null);
});

test("a button narrows what was typed: an OR is put into brackets, an order stays last", () => {
  assert.equal(wanting("a = 1 OR b = 2", "Status", "failed"), "(a = 1 OR b = 2) AND Status = 'failed'");
  assert.equal(wanting("x BETWEEN 1 AND 5 ORDER BY x", "Status", "failed"), "x BETWEEN 1 AND 5 AND Status = 'failed' ORDER BY x");
  assert.equal(wanting("a = 'x OR y' AND (b = 1 OR c = 2)", "Status", "failed"), "a = 'x OR y' AND (b = 1 OR c = 2) AND Status = 'failed'");
  assert.equal(wantedOf("Status = 'failed' OR a = 1", "Status"), null);
});

test("the place of an error is the word or text that begins there, or one beyond the end", () => {
  assert.deepEqual(errorPlace("Status = 'running' AND custmer = 1", 24), { start: 23, end: 30 });
  assert.deepEqual(errorPlace("a = 'never ended", 5), { start: 4, end: 16 });
  assert.deepEqual(errorPlace("a >", 4), { start: 3, end: 4 });
  assert.deepEqual(errorPlace("a >", 40), { start: 3, end: 4 });
  assert.deepEqual(errorPlace("a ?? b", 3), { start: 2, end: 3 });
  assert.equal(errorPlace("a", null), null);
});

test("the server counts characters where the browser counts halves of some", () => {
  assert.deepEqual(errorPlace("a = '😀' AND b", 13), { start: 13, end: 14 });
});
