import assert from "node:assert/strict";
import { test } from "node:test";
import { foldedScale, FOLDS_MAX, idleStretches, moved, ticksOf, viewBetween, WHOLE, zoomed } from "../src/run/scale.ts";

const DAY = 86_400_000;
const near = (one: number, other: number) => assert.ok(Math.abs(one - other) < 1e-6, `${one} is not ${other}`);

test("idle is where nothing is executed, however many things overlap", () => {
  const work = [{ from: 0, to: 10 }, { from: 5, to: 7 }, { from: 40, to: 50 }, { from: 45, to: 60 }];
  assert.deepEqual(idleStretches({ from: 0, to: 100 }, work, [80]), [{ from: 10, to: 40 }, { from: 60, to: 80 }, { from: 80, to: 100 }]);
});

test("days of waiting between milliseconds of work are folded, and the work is seen", () => {
  const scale = foldedScale({ from: 0, to: 3 * DAY }, [{ from: 0, to: 30 }, { from: 3 * DAY - 20, to: 3 * DAY }], []);
  assert.deepEqual(scale.pieces.map((each) => each.isFolded), [false, true, false]);
  assert.ok(scale.placeOf(30) > 0.5);
  assert.ok(scale.placeOf(3 * DAY - 20) - scale.placeOf(30) < 0.1);
  near(scale.placeOf(3 * DAY), 1);
});

test("a wait that is no longer than the work stays as it is", () => {
  const scale = foldedScale({ from: 0, to: 100 }, [{ from: 0, to: 40 }, { from: 60, to: 100 }], []);
  assert.equal(scale.pieces.length, 1);
  near(scale.placeOf(50), 0.5);
});

test("places and moments belong to each other everywhere, and time never goes back", () => {
  const scale = foldedScale({ from: 1_000, to: 1_000 + DAY }, [{ from: 1_000, to: 1_500 }, { from: 500_000, to: 500_100 }], [9_000]);
  let before = -1;
  for (const moment of [1_000, 1_250, 1_500, 9_000, 400_000, 500_050, 1_000_000, 1_000 + DAY]) {
    const place = scale.placeOf(moment);
    assert.ok(place >= before);
    assert.ok(Math.abs(scale.momentOf(place) - moment) < 1e-3, String(moment));
    before = place;
  }
});

test("folds leave room for what is not folded, however many there could be", () => {
  const work = Array.from({ length: 100 }, (_, index) => ({ from: index * DAY, to: index * DAY + 5 }));
  const scale = foldedScale({ from: 0, to: 100 * DAY }, work, []);
  assert.equal(scale.pieces.filter((each) => each.isFolded).length, FOLDS_MAX);
  assert.ok(scale.pieces.filter((each) => each.isFolded).reduce((sum, each) => sum + each.end - each.start, 0) < 0.41);
  near(scale.pieces.at(-1)!.end, 1);
});

test("where nothing was executed at all, the waits are what there is to see", () => {
  const scale = foldedScale({ from: 0, to: 3 * DAY }, [], [DAY]);
  assert.equal(scale.pieces.length, 1);
  near(scale.placeOf(DAY), 1 / 3);
});

test("a run that took no time has a scale, too", () => {
  const scale = foldedScale({ from: 5, to: 5 }, [], [5]);
  assert.equal(scale.placeOf(5), 0);
  assert.equal(scale.momentOf(0), 5);
});

test("ticks stand at even times after the beginning, apart from each other, and in no fold", () => {
  const even = foldedScale({ from: 1_000, to: 11_000 }, [{ from: 1_000, to: 11_000 }], []);
  assert.deepEqual(ticksOf(even, 1_000, WHOLE, 0.2).map((each) => each.after), [0, 2_000, 4_000, 6_000, 8_000, 10_000]);
  assert.deepEqual(ticksOf(even, 1_000, { from: 0.5, to: 0.6 }, 0.05).map((each) => each.after), [5_000, 5_500, 6_000]);
  const folded = foldedScale({ from: 0, to: 3 * DAY }, [{ from: 0, to: 100 }], []);
  assert.ok(ticksOf(folded, 0, WHOLE, 0.1).every((each) => each.after <= 100));
});

test("a view stays within the whole, whatever is done to it", () => {
  assert.deepEqual(zoomed(WHOLE, 0.5), WHOLE);
  assert.deepEqual(zoomed({ from: 0.4, to: 0.6 }, 2), { from: 0.45, to: 0.55 });
  assert.deepEqual(moved({ from: 0, to: 0.5 }, -3), { from: 0, to: 0.5 });
  assert.deepEqual(moved({ from: 0, to: 0.5 }, 9), { from: 0.5, to: 1 });
  assert.deepEqual(viewBetween(0.9, -2), { from: 0, to: 0.9 });
  const deep = Array.from({ length: 100 }).reduce((view: { from: number; to: number }) => zoomed(view, 2), WHOLE);
  assert.ok(deep.to > deep.from);
});
