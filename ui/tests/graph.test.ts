import assert from "node:assert/strict";
import { test } from "node:test";
import type { Span } from "../src/api/types.ts";
import { branchOf, type Graph, graphOf, nodeWords } from "../src/run/graph.ts";

const span = (key: string, seq: number, asked_seq: number, more: Partial<Span> = {}) =>
  ({
    kind: "step",
    key,
    name: key.replace(/^.*\(\)(#\d+)?\//, "").replace(/#\d+$/, ""),
    seq,
    asked_seq,
    ended_at: "2026-01-01T00:00:00Z",
    outcome: "completed",
    superseded: false,
    ...more,
  }) as Span;

const edgesOf = (graph: Graph) => graph.edges.map((edge) => `${edge.from} > ${edge.to}${edge.isBack ? " back" : ""}`.replaceAll("step:", "")).sort();
const placesOf = (graph: Graph) => Object.fromEntries(graph.nodes.map((node) => [node.id.replace("step:", ""), [node.layer, node.column]]));

test("the branch of an operation is the tasks that are in its key", () => {
  assert.equal(branchOf("charge#2"), "");
  assert.equal(branchOf("book()#2/price"), "book()#2/");
  assert.equal(branchOf("a()/b()#3/price[x/y]"), "a()/b()#3/");
});

test("what was asked for at the end of another follows it, and all that were waited for together lead on", () => {
  const graph = graphOf([
    span("begin", 2, 1),
    span("book()/price", 3, 2),
    span("book()#2/price", 4, 2),
    span("book()/order", 5, 3),
    span("book()#2/order", 6, 4),
    span("finish", 7, 6),
  ]);
  assert.deepEqual(edgesOf(graph), [
    "begin > book()#2/price",
    "begin > book()/price",
    "book()#2/order > finish",
    "book()#2/price > book()#2/order",
    "book()/order > finish",
    "book()/price > book()/order",
    "start > begin",
  ]);
  assert.deepEqual(placesOf(graph), {
    begin: [0, 0.5],
    "book()/price": [1, 0],
    "book()#2/price": [1, 1],
    "book()/order": [2, 0],
    "book()#2/order": [2, 1],
    finish: [3, 0.5],
  });
});

test("what is open leads nowhere, and what has no known cause follows what was before it", () => {
  const graph = graphOf([span("pay", 2, 1), span("approval", 0, 0, { kind: "signal", ended_at: null, outcome: "open" })]);
  assert.deepEqual(edgesOf(graph), ["pay > signal:approval", "start > pay"]);
  assert.deepEqual(graph.nodes.map((node) => node.tone), ["good", "open"]);
});

test("of many operations those of one name are one, and what repeats leads back", () => {
  const loop = Array.from({ length: 400 }, (_, n) => span(n % 2 ? `ship#${(n + 1) / 2}` : `charge#${n / 2 + 1}`, n + 2, n + 1));
  const graph = graphOf([...loop.slice(0, 399), { ...loop[399]!, outcome: "failed" }]);
  assert.equal(graph.isGrouped, true);
  assert.deepEqual(edgesOf(graph), ["charge > ship", "ship > charge back", "start > charge"]);
  assert.equal(nodeWords(graph.nodes[1]!), "199 completed, 1 failed");
  assert.equal(graph.nodes[1]!.tone, "bad");
  assert.equal(graphOf(loop, false).nodes.length, 400);
});

test("neighbours do not overlap, however many there are", () => {
  const spans = [span("begin", 2, 1), ...Array.from({ length: 50 }, (_, n) => span(`t()#${n + 1}/a`, n + 3, 2)), span("end", 60, 52)];
  const graph = graphOf(spans, false);
  assert.deepEqual(graphOf(spans).nodes.map((node) => [node.name, node.spans.length]), [["begin", 1], ["a", 50], ["end", 1]]);
  const columns = graph.nodes.filter((node) => node.layer === 1).map((node) => node.column).sort((one, other) => one - other);
  assert.ok(columns.every((column, index) => index === 0 || column - columns[index - 1]! >= 0.999));
  assert.deepEqual(placesOf(graph)["end"], [2, 24.5]);
  assert.equal(graph.edges.filter((edge) => edge.to === "step:end").length, 50);
});

test("a run that has done nothing has an empty graph", () => {
  assert.deepEqual(graphOf([]), { nodes: [], edges: [], layers: 1, columns: 0, isGrouped: false });
});
