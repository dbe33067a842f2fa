// The structure of what ran, as a graph: what led to what. A node is an operation or, in a long run, all operations of
// one name on branches alike.
//
// An operation follows the one at whose end the code asked for it, which history has (`asked_seq`). Several that were
// waited for together are known by the last of them alone; the others lead to what came next on the branch that had
// begun theirs. Branches are the tasks in the keys (docs/architecture.md): `book()#2/charge` is on `book()#2/`.

import type { Span } from "../api/types.ts";
import { isGoingOn, outcomeTone } from "./spans.ts";

export type Tone = "open" | "good" | "bad" | "plain";

export interface Node {
  id: string;
  kind: string;
  name: string;
  /** Those that it stands for, in their order. */
  spans: readonly Span[];
  tone: Tone;
  /** Place among the layers, from 0. */
  layer: number;
  /** Place within its layer; not always a whole number. */
  column: number;
}

export interface Edge {
  from: string;
  to: string;
  /** It leads back to what began before, as loops do. */
  isBack: boolean;
}

export interface Graph {
  nodes: readonly Node[];
  edges: readonly Edge[];
  layers: number;
  /** The rightmost column that is taken. */
  columns: number;
  isGrouped: boolean;
}

export const NODES_MAX = 300;
/** Beside each other; more are not seen at once. */
export const COLUMNS_MAX = 24;
export const START = "start";
const LEFT_OUT = new Set(["version", "note", "message", "queue"]);

export function idOf(span: Span): string {
  return `${span.kind}:${span.key}`;
}

/** The branch that an operation is on: the enclosing tasks in its key. */
export function branchOf(key: string): string {
  return /^.*\(\)(?:#\d+)?\//s.exec(key)?.[0] ?? "";
}

interface Cause {
  from: Span | null;
  to: Span;
}

/** What led to each span; null for what the beginning of the run led to. Spans come in the order of their events. */
export function causesOf(spans: readonly Span[]): Cause[] {
  const ends = new Map(spans.filter((span) => span.ended_at !== null).map((span) => [span.seq, span]));
  const causes: Cause[] = [];
  const leads = new Set<Span>();
  spans.forEach((span, index) => {
    const known = span.asked_seq > 0 ? ends.get(span.asked_seq) : undefined;
    const from = known ?? (span.asked_seq > 0 || isCutOff(span) ? null : lastBefore(spans, index));
    causes.push({ from, to: span });
    if (from) leads.add(from);
  });
  for (const [index, span] of spans.entries()) {
    if (leads.has(span) || isGoingOn(span)) continue;
    for (let at = index + 1; at < spans.length; at += 1) {
      if (!comesTogether(span, spans[at]!)) continue;
      causes.push({ from: span, to: spans[at]! });
      break;
    }
  }
  return causes;
}

/** Whether it was begun before the events that are there, so that what led to it is not among them. */
function isCutOff(span: Span): boolean {
  return span.asked_at === null && span.kind !== "step" && span.kind !== "undo";
}

/** Of what nobody knows why it began, the one before it on its branch or on those around. */
function lastBefore(spans: readonly Span[], index: number): Span | null {
  const branch = branchOf(spans[index]!.key);
  for (let at = index - 1; at >= 0; at -= 1) {
    if (spans[at]!.ended_at !== null && branch.startsWith(branchOf(spans[at]!.key))) return spans[at]!;
  }
  return null;
}

/** Whether the one could have been waited for before the other was begun: that is on its branch or around it. */
function comesTogether(one: Span, other: Span): boolean {
  return other.asked_seq >= one.seq && branchOf(one.key).startsWith(branchOf(other.key));
}

/** The graph of some spans; where it would be too large, unless it is said how, those that are alike are one node. */
export function graphOf(spans: readonly Span[], isGrouped: boolean | null = null): Graph {
  const shown = spans.filter((span) => !LEFT_OUT.has(span.kind)).sort((one, other) => (one.seq || Infinity) - (other.seq || Infinity));
  if (isGrouped !== null || shown.length > NODES_MAX) return made(shown, isGrouped ?? true);
  const each = made(shown, false);
  return each.columns < COLUMNS_MAX ? each : made(shown, true);
}

function made(shown: readonly Span[], grouped: boolean): Graph {
  const groupOf = grouped ? nameGroup : idOf;
  const groups = new Map<string, Span[]>();
  for (const span of shown) {
    const group = groups.get(groupOf(span));
    if (group && grouped) group.push(span);
    else groups.set(groupOf(span), [span]);
  }
  const order = new Map([...groups.keys()].map((id, index) => [id, index]));
  const edges = new Map<string, Edge>();
  for (const { from, to } of causesOf(shown)) {
    const [one, other] = [from ? groupOf(from) : START, groupOf(to)];
    const isBack = one !== START && order.get(one)! >= order.get(other)!;
    edges.set(`${one}\0${other}`, { from: one, to: other, isBack });
  }
  const placed = laidOut([...groups.keys()], [...edges.values()]);
  const nodes = [...groups].map(([id, members]) => nodeOf(id, members, placed.get(id)!));
  return {
    nodes,
    edges: [...edges.values()],
    layers: Math.max(0, ...nodes.map((node) => node.layer)) + 1,
    columns: Math.max(0, ...nodes.map((node) => node.column)),
    isGrouped: grouped,
  };
}

/** All of a name, on branches of the same names. */
function nameGroup(span: Span): string {
  return `${span.kind}:${branchOf(span.key).replace(/#\d+/g, "")}${span.name}`;
}

function nodeOf(id: string, spans: readonly Span[], place: { layer: number; column: number }): Node {
  const tones = new Set(spans.filter((span) => !span.superseded || spans.length === 1).map(outcomeTone));
  const tone = (["bad", "open", "good", "plain"] as const).find((each) => tones.has(each)) ?? "plain";
  return { id, kind: spans[0]!.kind, name: spans[0]!.name || spans[0]!.key, spans, tone, ...place };
}

/** Layers by the longest way from the beginning, and columns that keep each node below what led to it. */
function laidOut(ids: readonly string[], edges: readonly Edge[]): Map<string, { layer: number; column: number }> {
  const before = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { from, to, isBack } of edges) if (!isBack && from !== START) before.get(to)!.push(from);
  const places = new Map<string, { layer: number; column: number }>();
  const layers: string[][] = [];
  for (const id of ids) {
    // What led to a node stands before it, so its layer is known.
    const layer = Math.max(-1, ...before.get(id)!.map((each) => places.get(each)!.layer)) + 1;
    places.set(id, { layer, column: 0 });
    (layers[layer] ??= []).push(id);
  }
  for (const layer of layers) {
    const wished = layer.map((id) => ({ id, column: mean(before.get(id)!.map((each) => places.get(each)!.column)) }));
    wished.sort((one, other) => one.column - other.column);
    for (const { id, column } of spread(wished)) places.get(id)!.column = column;
  }
  const least = Math.min(0, ...[...places.values()].map((each) => each.column));
  for (const place of places.values()) place.column -= least;
  return places;
}

/** Columns that are one apart at least, and as near to those wished for as that allows: runs of neighbours are centred. */
function spread(wished: readonly { id: string; column: number }[]): { id: string; column: number }[] {
  const blocks: { ids: string[]; sum: number }[] = [];
  const startOf = (block: { ids: string[]; sum: number }) => block.sum / block.ids.length;
  for (const { id, column } of wished) {
    blocks.push({ ids: [id], sum: column });
    while (blocks.length > 1 && startOf(blocks.at(-2)!) + blocks.at(-2)!.ids.length > startOf(blocks.at(-1)!)) {
      const [one, other] = [blocks.at(-2)!, blocks.at(-1)!];
      blocks.splice(-2, 2, { ids: [...one.ids, ...other.ids], sum: one.sum + other.sum - one.ids.length * other.ids.length });
    }
  }
  return blocks.flatMap((block) => block.ids.map((id, index) => ({ id, column: startOf(block) + index })));
}

function mean(numbers: readonly number[]): number {
  return numbers.length ? numbers.reduce((sum, each) => sum + each, 0) / numbers.length : 0;
}

/** What stands below a node's name. */
export function nodeWords(node: Node): string {
  if (node.spans.length === 1) return node.spans[0]!.outcome.replaceAll("_", " ");
  const counts = new Map<string, number>();
  for (const span of node.spans) counts.set(span.outcome, (counts.get(span.outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count.toLocaleString("en")} ${outcome.replaceAll("_", " ")}`).join(", ");
}
