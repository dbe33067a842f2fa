import assert from "node:assert/strict";
import { test } from "node:test";
import { Changes, idsOf, type Surroundings } from "../src/api/changes.ts";

class Stream extends EventTarget {
  readyState = 0;
  closed = false;
  close() { this.closed = true; }
  opens() { this.readyState = 1; this.dispatchEvent(new Event("open")); }
  breaks(refused = false) { this.readyState = refused ? 2 : 0; this.dispatchEvent(new Event("error")); }
  sends(data: string) { this.dispatchEvent(new MessageEvent("runs", { data })); }
}

function world() {
  const streams: Stream[] = [];
  const timers = new Map<number, () => void>();
  const state = { hidden: false, see: () => {}, made: 0 };
  const around: Surroundings = {
    openStream: () => { const stream = new Stream(); streams.push(stream); return stream as unknown as EventSource; },
    setTimer: (callback) => { timers.set(++state.made, callback); return state.made; },
    clearTimer: (timer) => { timers.delete(timer); },
    isHidden: () => state.hidden,
    onVisibility: (callback) => { state.see = callback; return () => { state.see = () => {}; }; },
  };
  const told: (readonly string[] | null)[] = [];
  const changes = new Changes("/changes", around);
  changes.listen((ids) => told.push(ids));
  const tick = () => { const [[timer, callback]] = [...timers] as [[number, () => void]]; timers.delete(timer); callback(); };
  return { streams, timers, state, told, changes, tick };
}

test("what changes is told as it is heard, and after a gap everything is asked anew", () => {
  const { streams, told, changes } = world();
  streams[0]!.opens();
  streams[0]!.sends('{"ids": ["a", "b"]}');
  assert.deepEqual(told, [null, ["a", "b"]]);
  assert.equal(changes.liveness, "live");
  streams[0]!.breaks();
  assert.equal(changes.liveness, "polling");
  streams[0]!.opens();
  assert.deepEqual(told, [null, ["a", "b"], null]);
});

test("while there is no stream there is one poll, and none once it is back", () => {
  const { streams, told, timers, tick } = world();
  streams[0]!.breaks();
  streams[0]!.breaks();
  assert.equal(timers.size, 1);
  tick();
  tick();
  assert.deepEqual(told, [null, null]);
  streams[0]!.opens();
  assert.equal(timers.size, 0);
});

test("a stream that was refused is opened anew at the next poll, and the poll goes on until it is open", () => {
  const { streams, timers, tick } = world();
  streams[0]!.breaks(true);
  tick();
  assert.equal(streams.length, 2);
  assert.equal(timers.size, 1);
  streams[1]!.breaks(true);
  assert.equal(timers.size, 1);
  tick();
  assert.equal(streams.length, 3);
  streams[2]!.opens();
  assert.equal(timers.size, 0);
});

test("a tab that is hidden asks for nothing, and for everything once it is seen again", () => {
  const { streams, told, state } = world();
  streams[0]!.opens();
  state.hidden = true;
  streams[0]!.sends('{"ids": ["a"]}');
  assert.deepEqual(told, [null]);
  state.hidden = false;
  state.see();
  state.see();
  assert.deepEqual(told, [null, null]);
});

test("an event that cannot be read, or names nothing, stands for any change", () => {
  assert.equal(idsOf('{"ids": [], "run_ids": [], "all": true}'), null);
  assert.equal(idsOf("nonsense"), null);
  assert.equal(idsOf('{"ids": [1]}'), null);
  assert.equal(idsOf("null"), null);
  assert.deepEqual(idsOf('{"ids": []}'), []);
});
