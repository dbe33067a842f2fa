import assert from "node:assert/strict";
import { test } from "node:test";
import { Changes, ECHO_MILLISECONDS, idsOf, POLL_MILLISECONDS, type Surroundings } from "../src/api/changes.ts";

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
  const timers = new Map<number, { callback: () => void; milliseconds: number }>();
  const state = { hidden: false, see: () => {}, made: 0 };
  const around: Surroundings = {
    openStream: () => { const stream = new Stream(); streams.push(stream); return stream as unknown as EventSource; },
    setTimer: (callback, milliseconds) => { timers.set(++state.made, { callback, milliseconds }); return state.made; },
    clearTimer: (timer) => { timers.delete(timer); },
    isHidden: () => state.hidden,
    onVisibility: (callback) => { state.see = callback; return () => { state.see = () => {}; }; },
  };
  const told: (readonly string[] | null)[] = [];
  const changes = new Changes("/changes", around);
  changes.listen((ids) => told.push(ids));
  const waits = () => [...timers.values()].map((each) => each.milliseconds);
  const tick = (milliseconds: number) => {
    const [timer, { callback }] = [...timers].find(([, each]) => each.milliseconds === milliseconds)!;
    timers.delete(timer);
    callback();
  };
  return { streams, timers, state, told, changes, tick, waits };
}

const { live: LIVE, polling: POLLING } = POLL_MILLISECONDS;

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

test("what is told is looked at once more a while later, for what has no event of its own", () => {
  const { streams, told, waits, tick } = world();
  streams[0]!.opens();
  streams[0]!.sends('{"ids": ["a"]}');
  streams[0]!.sends('{"ids": ["b"]}');
  assert.deepEqual(waits(), [LIVE, ECHO_MILLISECONDS]);
  tick(ECHO_MILLISECONDS);
  assert.deepEqual(told, [null, ["a"], ["b"], null]);
  assert.deepEqual(waits(), [LIVE]);
});

test("a poll goes on behind the stream, and more often while there is none", () => {
  const { streams, told, waits, tick } = world();
  assert.deepEqual(waits(), [POLLING]);
  streams[0]!.breaks();
  tick(POLLING);
  assert.deepEqual(told, [null]);
  streams[0]!.opens();
  assert.deepEqual(waits(), [LIVE, ECHO_MILLISECONDS]);
  tick(LIVE);
  assert.deepEqual(told, [null, null, null]);
  streams[0]!.breaks();
  streams[0]!.breaks();
  assert.deepEqual(waits(), [ECHO_MILLISECONDS, POLLING]);
});

test("a stream that was refused is opened anew at each poll until it is open", () => {
  const { streams, waits, tick } = world();
  streams[0]!.breaks(true);
  tick(POLLING);
  streams[1]!.breaks(true);
  tick(POLLING);
  assert.equal(streams.length, 3);
  streams[2]!.opens();
  assert.deepEqual(waits(), [LIVE, ECHO_MILLISECONDS]);
  tick(LIVE);
  assert.equal(streams.length, 3);
});

test("nothing goes on once it is closed", () => {
  const { streams, timers, changes, told } = world();
  streams[0]!.opens();
  streams[0]!.sends('{"ids": ["a"]}');
  changes.close();
  assert.deepEqual([timers.size, streams[0]!.closed], [0, true]);
  streams[0]!.sends('{"ids": ["b"]}');
  assert.deepEqual(told, [null, ["a"]]);
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
