import assert from "node:assert/strict";
import { test } from "node:test";
import { scrollTo, visibleWindow } from "../src/list/window.ts";

test("the rows that are seen are there, with some around them", () => {
  assert.deepEqual(visibleWindow(0, 100, 10, 1_000, 2), { first: 0, end: 12 });
  assert.deepEqual(visibleWindow(505, 100, 10, 1_000, 2), { first: 48, end: 63 });
  assert.deepEqual(visibleWindow(9_900, 100, 10, 1_000, 2), { first: 988, end: 1_000 });
});

test("a list that became shorter than where it is scrolled to shows no row that is not there", () => {
  assert.deepEqual(visibleWindow(9_900, 100, 10, 5, 2), { first: 5, end: 5 });
  assert.deepEqual(visibleWindow(-40, 100, 10, 0), { first: 0, end: 0 });
});

test("scrolling to a row moves as little as needed", () => {
  assert.equal(scrollTo(3, 0, 100, 10), 0);
  assert.equal(scrollTo(9, 0, 100, 10), 0);
  assert.equal(scrollTo(10, 0, 100, 10), 10);
  assert.equal(scrollTo(2, 50, 100, 10), 20);
});
