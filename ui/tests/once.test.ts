import assert from "node:assert/strict";
import { test } from "node:test";
import { OneAtATime } from "../src/shell/once.ts";

function world(every: number) {
  const timers: { callback: () => void; milliseconds: number }[] = [];
  const state = { now: 1_000, done: 0, finish: () => {} };
  const timing = {
    now: () => state.now,
    setTimer: (callback: () => void, milliseconds: number) => timers.push({ callback, milliseconds }),
    clearTimer: () => { timers.length = 0; },
  };
  const work = () => new Promise<void>((resolve) => { state.done += 1; state.finish = resolve; });
  const settle = async () => { state.finish(); await new Promise((resolve) => setImmediate(resolve)); };
  const fire = () => { const timer = timers.shift()!; state.now += timer.milliseconds; timer.callback(); };
  return { timers, state, settle, fire, once: new OneAtATime(work, every, timing) };
}

test("what is asked for while it is done is done once more, after a while", async () => {
  const { once, state, settle, timers, fire } = world(250);
  once.ask();
  once.ask();
  once.ask();
  assert.equal(state.done, 1);
  await settle();
  assert.deepEqual([state.done, timers.map((each) => each.milliseconds)], [1, [250]]);
  once.ask();
  assert.equal(timers.length, 1);
  fire();
  assert.equal(state.done, 2);
  await settle();
  assert.equal(timers.length, 0);
});

test("work that takes long takes no more than a tenth of the time", async () => {
  const { once, state, settle, timers } = world(250);
  once.ask();
  state.now += 400;
  await settle();
  once.ask();
  assert.deepEqual(timers.map((each) => each.milliseconds), [3_600]);
});

test("nothing is done any more once it was stopped", async () => {
  const { once, state, settle, timers } = world(250);
  once.ask();
  await settle();
  once.ask();
  once.stop();
  assert.equal(timers.length, 0);
  once.ask();
  assert.equal(state.done, 1);
});
