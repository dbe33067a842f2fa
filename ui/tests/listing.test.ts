import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunSummary } from "../src/api/types.ts";
import { append, NOTHING_READ, renewHead, renewRuns, RUNS_MAX, type Listing } from "../src/runs/listing.ts";

const run = (id: string, status = "running") => ({ id, run_id: `run-${id}`, status }) as RunSummary;
const runs = (...ids: string[]) => ids.map((id) => run(id));
const ids = (listing: Listing) => listing.runs.map((each) => each.id).join(" ");

test("pages follow each other, and a run that moved into the next one is not shown twice", () => {
  const one = append(NOTHING_READ, { runs: runs("d", "c"), next: "2" });
  const two = append(one, { runs: runs("c", "b", "a"), next: null });
  assert.equal(ids(two), "d c b a");
  assert.equal(two.next, null);
});

test("there is an end to what one tab keeps", () => {
  const many = Array.from({ length: RUNS_MAX - 1 }, (_, index) => run(`n${index}`));
  const full = append({ runs: many, next: "x" }, { runs: runs("a", "b"), next: "y" });
  assert.equal(full.runs.length, RUNS_MAX);
  assert.equal(full.next, null);
});

test("a first page that is read anew brings new runs, and keeps what was read behind it", () => {
  const before = { runs: runs("d", "c", "b", "a"), next: "4" };
  const after = renewHead(before, { runs: [run("e"), run("d", "failed")], next: "2" });
  assert.equal(ids(after), "e d c b a");
  assert.equal(after.runs[1]!.status, "failed");
  assert.equal(after.next, "4");
});

test("a run of the first page that no longer fits goes", () => {
  const before = { runs: runs("d", "c", "b", "a"), next: "4" };
  assert.equal(ids(renewHead(before, { runs: runs("d", "b"), next: "2" })), "d b a");
});

test("a first page without anything that was known begins the listing anew", () => {
  const after = renewHead({ runs: runs("b", "a"), next: "2" }, { runs: runs("z", "y"), next: "7" });
  assert.deepEqual([ids(after), after.next], ["z y", "7"]);
});

test("a first page that covers all that was read says where the next one begins", () => {
  const after = renewHead({ runs: runs("b", "a"), next: null }, { runs: runs("c", "b", "a"), next: "3" });
  assert.deepEqual([ids(after), after.next], ["c b a", "3"]);
});

test("a first page that is the only one is the whole listing", () => {
  assert.equal(ids(renewHead({ runs: runs("c", "b", "a"), next: "9" }, { runs: runs("b"), next: null })), "b");
});

test("a first page that found nothing yet takes nothing away", () => {
  const before = { runs: runs("b", "a"), next: "2" };
  assert.equal(renewHead(before, { runs: [], next: "9" }), before);
});

test("runs that are asked for by their ids change in place, and go if they no longer fit", () => {
  const before = { runs: runs("c", "b", "a"), next: "3" };
  const after = renewRuns(before, new Set(["b", "a"]), [run("b", "completed")]);
  assert.deepEqual(after.runs.map((each) => [each.id, each.status]), [["c", "running"], ["b", "completed"]]);
  assert.equal(after.next, "3");
});
