import assert from "node:assert/strict";
import { test } from "node:test";
import { OneAtATime, REST_MILLISECONDS_MAX } from "../src/shell/once.ts";

function world(every: number, restTimes = 0) {
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
  return { timers, state, settle, fire, once: new OneAtATime(work, every, timing, restTimes) };
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

test("what was asked for while it took long is done at once afterwards", async () => {
  const { once, state, settle } = world(250);
  once.ask();
  state.now += 4_000;
  once.ask();
  await settle();
  assert.equal(state.done, 2);
});

test("work that is to rest after it rests for as many times as long, and not for ever", async () => {
  for (const [took, rests] of [[400, 3_600], [60_000, REST_MILLISECONDS_MAX]] as const) {
    const { once, state, settle, timers } = world(250, 9);
    once.ask();
    state.now += took;
    await settle();
    once.ask();
    assert.deepEqual(timers.map((each) => each.milliseconds), [rests]);
  }
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
