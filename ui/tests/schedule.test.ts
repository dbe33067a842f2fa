import assert from "node:assert/strict";
import { test } from "node:test";
import type { Schedule } from "../src/api/schedules.ts";
import { changeBody, draftOf, emptyDraft, newBody } from "../src/schedules/schedule.ts";
import { lengthText } from "../src/words/length.ts";
import { zonedWords } from "../src/words/zone.ts";

const SCHEDULE = {
  id: "nightly",
  type: "close",
  input: ["berlin"],
  overlap: "skip",
  catchup: 86_400,
  left: null,
  paused: false,
  note: "",
  spec: { cron: ["0 3 * * *"], every: [900], tz: "Europe/Berlin", jitter: 0, calendar: [], exclude: [], offset: 0 },
} as unknown as Schedule;

test("nothing that stayed as it was is sent", () => {
  const before = draftOf(SCHEDULE);
  assert.deepEqual(changeBody(before, { ...before }), {});
  assert.deepEqual(changeBody(before, { ...before, overlap: "allow", limit: "3" }), { overlap: "allow", limit: 3 });
  assert.deepEqual(changeBody({ ...before, limit: "3" }, before), { limit: null });
});

test("cron and intervals are sent together, as one of them alone would take the other away", () => {
  const before = draftOf(SCHEDULE);
  const body = changeBody(before, { ...before, cron: "0 4 * * *\n\n 0 5 * * 1 " });
  assert.deepEqual(body, { cron: ["0 4 * * *", "0 5 * * 1"], every: ["15m"] });
});

test("another workflow is sent with its input, which is a list", () => {
  const before = draftOf(SCHEDULE);
  assert.deepEqual(changeBody(before, { ...before, type: "open" }), { type: "open", input: ["berlin"] });
  assert.throws(() => changeBody(before, { ...before, input: '"berlin"' }), /a list with one value for each argument/);
  assert.throws(() => changeBody(before, { ...before, input: "[" }), /no JSON/);
  assert.throws(() => newBody({ ...emptyDraft("UTC"), limit: "many" }), /whole number/);
});

test("lengths are told in the largest unit that fits", () => {
  assert.deepEqual([1, 90, 5_400, 86_400, 0.5].map(lengthText), ["1s", "90s", "90m", "1d", "0.5s"]);
});

test("a moment is told by the clock of its zone", () => {
  assert.equal(zonedWords(Date.parse("2031-03-31T07:00:00Z"), "Europe/Berlin"), "Mon 2031-03-31 09:00");
  assert.equal(zonedWords(Date.parse("2031-03-31T07:00:05Z"), "No/Where"), "Mon 2031-03-31 07:00:05");
});
