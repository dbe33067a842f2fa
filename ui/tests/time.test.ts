import assert from "node:assert/strict";
import { test } from "node:test";
import { distanceWords, durationWords, momentWords } from "../src/words/time.ts";

const SECOND = 1_000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

test("a duration has two units at most, and no more digits than matter", () => {
  const cases: [number, string][] = [
    [-5, "0 ms"],
    [0, "0 ms"],
    [850.4, "850 ms"],
    [999.4, "999 ms"],
    [999.6, "1 s"],
    [4_240, "4.2 s"],
    [9_949, "9.9 s"],
    [9_960, "10 s"],
    [59_600, "1 min"],
    [65 * SECOND, "1 min 5 s"],
    [HOUR - 400, "1 h"],
    [3 * HOUR + 20 * MINUTE + 59 * SECOND, "3 h 20 min"],
    [12 * DAY + 4 * HOUR, "12 d 4 h"],
    [400 * DAY, "400 d"],
  ];
  for (const [milliseconds, words] of cases) assert.equal(durationWords(milliseconds), words);
});

test("a distance says whether it is behind or ahead", () => {
  assert.equal(distanceWords(1_000, 1_400), "now");
  assert.equal(distanceWords(0, 12 * SECOND), "12 s ago");
  assert.equal(distanceWords(3 * HOUR + 5, 0), "in 3 h");
  assert.equal(distanceWords(0, 2 * DAY), "2 d ago");
});

test("a moment is read the same everywhere, and sorts as text", () => {
  const at = new Date(2026, 10, 8, 9, 4, 5).getTime();
  assert.equal(momentWords(at), "2026-11-08 09:04:05");
  assert.equal(momentWords(new Date(2026, 0, 2, 0, 0, 0).getTime()), "2026-01-02 00:00:00");
});
