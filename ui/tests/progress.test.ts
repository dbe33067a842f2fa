import assert from "node:assert/strict";
import { test } from "node:test";
import { progressLines } from "../src/run/progress.ts";

test("sentences, their parts and commands to copy are told apart", () => {
  const told = "It failed: ValueError: no\n  keepstep retry order-1   lets it go on\n  keepstep signal 'a b' go [JSON]\n  - charge\n\nIt is paused.";
  assert.deepEqual(progressLines(told), [
    { text: "It failed: ValueError: no", command: "", isPart: false },
    { text: "lets it go on", command: "keepstep retry order-1", isPart: true },
    { text: "", command: "keepstep signal 'a b' go [JSON]", isPart: true },
    { text: "- charge", command: "", isPart: true },
    { text: "It is paused.", command: "", isPart: false },
  ]);
});
