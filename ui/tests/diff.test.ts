import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunDetail, Span } from "../src/api/types.ts";
import { LINES_MAX, linesOf, merged, pairsOf, textOf, type Told } from "../src/run/diff.ts";
import { isSealed } from "../src/run/sealed.ts";

const span = (key: string, seq: number, more: Partial<Span> = {}) =>
  ({ kind: "step", key, name: key, seq, asked_at: "2026-01-01T00:00:00Z", started_at: null, ended_at: "2026-01-01T00:00:02Z", outcome: "completed", attempts: 1, superseded: false, ...more }) as Span;

const told = (spans: Span[], values: [number, unknown][], run: Partial<RunDetail> = {}): Told => ({
  run: { status: "completed", input: [1], result: 1, started_at: "2026-01-01T00:00:00Z", closed_at: "2026-01-01T00:00:09Z", ...run } as RunDetail,
  spans,
  values: new Map(values),
});

test("runs are compared key by key, in what they came to and not in how long it took", () => {
  const one = told([span("a", 2), span("b", 3), span("c", 4)], [[2, { x: 1, y: 2 }], [3, "yes"], [4, 5]]);
  const other = told(
    [span("a", 2, { ended_at: "2026-01-01T00:00:05Z", attempts: 3 }), span("b", 3), span("d", 4), span("c", 5)],
    [[2, { y: 2, x: 1 }], [3, "no"], [4, 0], [5, 5]],
    { result: 2 },
  );
  const pairs = pairsOf(one, other);
  assert.deepEqual(pairs.map((pair) => `${pair.name}${pair.isOther ? " differs" : ""}`), ["input", "a", "b differs", "d differs", "c", "end differs"]);
  assert.deepEqual([pairs[1]!.one!.took, pairs[1]!.other!.took, pairs[3]!.one], [2_000, 5_000, null]);
});

test("what was done once more is compared, and not what failed before it", () => {
  const one = told([span("a", 2, { outcome: "failed", superseded: true }), span("a", 4)], [[2, "x"], [4, "y"]]);
  const pairs = pairsOf(one, told([span("a", 2)], [[2, "y"]]));
  assert.deepEqual(pairs.map((pair) => pair.isOther), [false, false, false]);
});

test("an error is the same if it says the same, whatever its traceback", () => {
  const failed = (traceback: string) => told([], [], { status: "failed", failure: { type: "E", message: "no", traceback } });
  assert.equal(pairsOf(failed("line 1"), failed("line 2")).at(-1)!.isOther, false);
  assert.match(textOf({ type: "E", message: "no", traceback: "line 1" }), /^E: no\nline 1$/);
});

test("what nobody here can read is not said to be the same", () => {
  const one = told([span("a", 2), span("b", 3)], [[2, "<encrypted with key 'k1', 80 bytes>"], [3, "<b> 3 bytes"]]);
  const pairs = pairsOf(one, one);
  assert.deepEqual(pairs.map((pair) => pair.isSealed), [false, true, false, false]);
  assert.equal(pairs.some((pair) => pair.isOther), false);
  assert.deepEqual(["<encrypted with key 'k1'>", "<kept as blob 12ab…>", "<40 bytes>", "<encrypted>", "40 bytes", 7].map(isSealed), [true, true, true, false, false, false]);
});

test("both lists are there whole, each in its order", () => {
  assert.deepEqual(merged(["a", "b", "c"], ["x", "a", "y", "z", "c"]), ["x", "a", "y", "z", "b", "c"]);
  assert.deepEqual(merged([], ["x"]), ["x"]);
});

test("lines that only one of two texts has stand where they differ", () => {
  const lines = linesOf("a\nb\nc", "a\nx\nc").map((line) => `${line.where} ${line.text}`);
  assert.deepEqual(lines, ["both a", "one b", "other x", "both c"]);
  const long = Array.from({ length: LINES_MAX + 1 }, (_, n) => String(n)).join("\n");
  assert.equal(linesOf(long, `${long}\nmore`).length, 2 * LINES_MAX + 3);
  assert.ok(linesOf(long, long).every((line) => line.where === "both"));
});
