import assert from "node:assert/strict";
import { test } from "node:test";
import { argumentsOf, argumentsSchema, argumentsValue } from "../src/form/arguments.ts";
import { problemsOf, Unfit, withoutGaps } from "../src/form/check.ts";
import { beginning, lookOf, nameOf, type Schema } from "../src/form/schema.ts";
import { jsonOf, numberOf, shownText, textOfJson } from "../src/form/typed.ts";

const ORDER: Schema = {
  $ref: "#/$defs/Order",
  $defs: {
    Order: {
      title: "Order",
      type: "object",
      properties: {
        id: { type: "string", minLength: 2 },
        lines: { type: "array", items: { $ref: "#/$defs/Line" }, minItems: 1 },
        note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
        rank: { enum: ["a", "b"], default: "a" },
        gift: { anyOf: [{ type: "integer" }, { $ref: "#/$defs/Line" }], default: 1 },
        pair: { type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false },
        express: { type: "boolean" },
      },
      required: ["id", "lines", "express"],
      additionalProperties: false,
    },
    Line: { title: "Line", type: "object", properties: { sku: { type: "string" }, n: { type: "integer", maximum: 9 } }, required: ["sku"] },
  },
};

const problems = (value: unknown, schema: Schema = ORDER) => problemsOf(value, schema).map((each) => `${each.path.join(".")}: ${each.text}`);

test("a form begins with what a value must have, and nothing that nobody has said", () => {
  assert.deepEqual(beginning(ORDER, ORDER), { id: undefined, lines: [], express: false });
  assert.equal(beginning({ anyOf: [{ type: "null" }, { type: "string" }] }, true), null);
  assert.equal(beginning({ const: "card" }, true), "card");
});

test("a value that contains itself ends somewhere", () => {
  const tree: Schema = { $ref: "#/$defs/T", $defs: { T: { type: "object", properties: { inner: { $ref: "#/$defs/T" } }, required: ["inner"] } } };
  assert.ok(JSON.stringify(beginning(tree, tree)).length < 200);
  const circle: Schema = { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } };
  assert.deepEqual(lookOf(circle, circle).kind, "any");
});

test("what may be null is a field of its own kind, and several kinds are alternatives by name", () => {
  const note = lookOf({ anyOf: [{ type: "string" }, { type: "null" }] }, true);
  assert.deepEqual([note.kind, note.isNullable], ["text", true]);
  const many = lookOf({ type: ["integer", "string", "null"] }, true);
  assert.deepEqual([many.kind, many.isNullable], ["alternatives", true]);
  assert.deepEqual([{ type: "integer" }, { $ref: "#/$defs/Line" }, { type: "string", format: "date" }, {}].map((each) => nameOf(each, ORDER)), [
    "whole number",
    "Line",
    "date",
    "JSON",
  ]);
});

test("every problem is told at its field", () => {
  assert.deepEqual(problems({ id: "o1", lines: [{ sku: "tea", n: 2 }], express: true, gift: { sku: "x" }, pair: [1, "a"] }), []);
  assert.deepEqual(problems({ id: "o", lines: [], express: 1, rank: "c" }), [
    "id: At least 2 characters are needed.",
    "lines: At least 1 items are needed.",
    "express: True or false is expected.",
    'rank: One of these is expected: "a", "b".',
  ]);
  assert.deepEqual(problems({ lines: [{ n: 10 }], express: true, extra: 1, gift: { n: "x" } }), [
    "id: This is needed.",
    "lines.0.sku: This is needed.",
    "lines.0.n: It must be at most 9.",
    "extra: Nothing is expected here.",
    "gift.sku: This is needed.",
    "gift.n: A whole number is expected.",
  ]);
  assert.deepEqual(problems({ id: "o1", lines: [{ sku: "tea" }], express: true, pair: [1, "a", 2] }), ["pair.2: Nothing is expected here."]);
});

test("what was typed and is no value is a problem, and stays as it was typed", () => {
  assert.deepEqual(problems(numberOf("1x", true), { type: "integer" }), [": That is no number."]);
  assert.deepEqual(problems(numberOf("1.5", true), { type: "integer" }), [": A whole number is expected."]);
  assert.equal((jsonOf("{") as Unfit).text, "{");
  const shown = (typed: string, value: unknown) => shownText(typed, value, (text) => numberOf(text, false), String);
  assert.equal(shown("1.", 1), "1.");
  assert.equal(shown("1.", 2), "2");
  assert.equal(shownText('{"a":1}', { a: 1 }, jsonOf, textOfJson), '{"a":1}');
});

test("numbers of which a browser has lost digits are not sent", () => {
  assert.match(problems(JSON.parse("12345678901234567890"), { type: "integer" })[0]!, /not kept exactly/);
  assert.match(problems([{ deep: JSON.parse("12345678901234567890") }], {})[0]!, /^0\.deep: .*not kept exactly/);
  assert.deepEqual(problems(JSON.parse("1e300"), {}), []);
  assert.deepEqual(problems(2 ** 60, { type: "number" }), []);
});

test("what was left out is not sent", () => {
  assert.deepEqual(withoutGaps({ a: undefined, b: [{ c: undefined, d: null }] }), { b: [{ d: null }] });
});

const ARGUMENTS = [
  { name: "order", required: true, schema: ORDER },
  { name: "tip", required: false, schema: { type: "number" } },
  { name: "more", required: false, kind: "variadic", schema: { $ref: "#/$defs/Line", $defs: { Line: { type: "string" } } } },
  { name: "apart", required: false, kind: "keyword", schema: {} },
] as const;

test("arguments are one object, whose definitions do not mix", () => {
  const schema = argumentsSchema(ARGUMENTS);
  const order = { id: "o1", lines: [{ sku: "tea" }], express: false };
  assert.deepEqual(problems({ order, more: ["x"] }, schema), []);
  assert.deepEqual(problems({ order: { ...order, lines: ["x"] }, more: [{ sku: "tea" }] }, schema), [
    "order.lines.0: An object is expected.",
    "more.0: A text is expected.",
  ]);
  assert.deepEqual(problems({ apart: 1 }, schema), ["order: This is needed.", "apart: Nothing is expected here."]);
});

test("arguments are sent as a list, without those that were left out at its end", () => {
  assert.deepEqual(argumentsOf({ order: 1 }, ARGUMENTS), [1]);
  assert.deepEqual(argumentsOf({ order: 1, tip: 2, more: ["x", "y"] }, ARGUMENTS), [1, 2, "x", "y"]);
  assert.throws(() => argumentsOf({ order: 1, more: ["x"] }, ARGUMENTS), /tip is left out/);
});

test("a list of arguments is the same object again", () => {
  assert.deepEqual(argumentsValue([1, 2, "x", "y"], ARGUMENTS), { order: 1, tip: 2, more: ["x", "y"] });
  assert.deepEqual(argumentsValue([1], ARGUMENTS), { order: 1 });
});
