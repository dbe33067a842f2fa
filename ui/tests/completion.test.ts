import assert from "node:assert/strict";
import { test } from "node:test";
import { accepted, complete, type Vocabulary } from "../src/runs/completion.ts";

const WORDS: Vocabulary = {
  fields: { Status: "status", StartTime: "datetime", WorkflowType: "keyword", customer: "keyword", amount: "double", "order total": "int", is_new: "bool" },
  types: [
    { type: "sell", count: 2_000 },
    { type: "it's", count: 1 },
  ],
};

const after = (filter: string) => complete(filter, filter.length, WORDS).suggestions.map((each) => each.text);

test("first comes a field, with its type beside it", () => {
  assert.deepEqual(after("St"), ["Status", "StartTime", "customer"]);
  assert.deepEqual(complete("amo", 3, WORDS).suggestions, [{ text: "amount", about: "double" }]);
  assert.ok(after("").includes("`order total`"));
  assert.deepEqual(after("NOT (cust"), ["customer"]);
});

test("then an operator that its type has, and then a value", () => {
  assert.deepEqual(after("Status "), ["=", "!=", "IN", "NOT IN"]);
  assert.ok(after("amount ").includes("BETWEEN") && !after("amount ").includes("STARTS_WITH"));
  assert.deepEqual(after("status = 'fa"), ["'failed'"]);
  assert.deepEqual(after("WorkflowType = "), ["'sell'", "'it''s'"]);
  assert.deepEqual(after("is_new = "), ["TRUE", "FALSE"]);
  assert.deepEqual(after("Status IN ('failed', 'tim"), ["'timed_out'"]);
  assert.deepEqual(after("customer IS "), ["NULL", "NOT NULL"]);
  assert.deepEqual(after("amount BETWEEN 1 "), ["AND"]);
});

test("parts are joined, and the end is an order", () => {
  assert.deepEqual(after("Status = 'failed' "), ["AND", "OR", "ORDER BY"]);
  assert.deepEqual(after("Status = 'failed' AND cu"), ["customer"]);
  assert.deepEqual(after("amount BETWEEN 1 AND 5 A"), ["AND"]);
  assert.deepEqual(after("Status IN ('failed') ORDER BY Start"), ["StartTime"]);
  assert.deepEqual(after("amount > 5 ORDER BY amount "), ["DESC", "ASC"]);
});

test("nothing is suggested for what is whole, or not known", () => {
  assert.deepEqual(after("Status = 'failed'"), []);
  assert.deepEqual(after("Status"), []);
  assert.deepEqual(after("customer = 'c"), []);
});

test("a suggestion takes the place of what was begun, also in the middle", () => {
  const filter = "sta = 'failed'";
  const found = complete(filter, 3, WORDS);
  assert.deepEqual(accepted(filter, 3, found, found.suggestions[0]!), { filter: "Status = 'failed'", caret: 6 });
  const end = complete("Status = 'fa", 12, WORDS);
  assert.deepEqual(accepted("Status = 'fa", 12, end, end.suggestions[0]!), { filter: "Status = 'failed' ", caret: 18 });
});
