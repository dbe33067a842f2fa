// The scale of a timeline: from moments to places between 0 and 1. Time is drawn evenly, but for long stretches in which
// nothing was executed: those are folded to a small width of their own, so that work of milliseconds is seen beside
// waits of days.

export interface Interval {
  from: number;
  to: number;
}

export interface Piece extends Interval {
  /** Places of `from` and `to`. */
  start: number;
  end: number;
  isFolded: boolean;
}

export const FOLDS_MAX = 12;
/** An idle stretch is folded when it is so many times longer than all that is not idle; none is if nothing is. */
const FOLD_TIMES = 5;
const FOLD_WIDTH = 0.07;
const FOLDS_WIDTH_MAX = 0.4;

export class Scale {
  readonly pieces: readonly Piece[];

  constructor(pieces: readonly Piece[]) {
    this.pieces = pieces;
  }

  placeOf(moment: number): number {
    const piece = this.pieces.find((each) => moment <= each.to) ?? this.pieces.at(-1)!;
    const share = piece.to > piece.from ? (moment - piece.from) / (piece.to - piece.from) : 0;
    return piece.start + Math.max(0, Math.min(1, share)) * (piece.end - piece.start);
  }

  momentOf(place: number): number {
    const piece = this.pieces.find((each) => place <= each.end) ?? this.pieces.at(-1)!;
    const share = piece.end > piece.start ? (place - piece.start) / (piece.end - piece.start) : 0;
    return piece.from + Math.max(0, Math.min(1, share)) * (piece.to - piece.from);
  }
}

/** The stretches of `whole` in which nothing of `work` happened and no moment of `marks` lies, in their order. */
export function idleStretches(whole: Interval, work: readonly Interval[], marks: readonly number[]): Interval[] {
  const busy = [...work, ...marks.map((at) => ({ from: at, to: at }))].sort((one, other) => one.from - other.from);
  const idle: Interval[] = [];
  let reached = whole.from;
  for (const { from, to } of busy) {
    if (from > reached) idle.push({ from: reached, to: Math.min(from, whole.to) });
    reached = Math.max(reached, to);
  }
  if (whole.to > reached) idle.push({ from: reached, to: whole.to });
  return idle.filter((each) => each.to > each.from);
}

export function foldedScale(whole: Interval, work: readonly Interval[], marks: readonly number[]): Scale {
  const span = Math.max(1, whole.to - whole.from);
  const idle = idleStretches(whole, work, marks);
  const active = span - idle.reduce((sum, each) => sum + each.to - each.from, 0);
  const folded = new Set(
    idle
      .filter((each) => active > 0 && each.to - each.from > FOLD_TIMES * active)
      .sort((one, other) => other.to - other.from - (one.to - one.from))
      .slice(0, FOLDS_MAX),
  );
  return new Scale(laidOut(whole, idle.filter((each) => folded.has(each))));
}

function laidOut(whole: Interval, folds: readonly Interval[]): Piece[] {
  const foldWidth = Math.min(FOLD_WIDTH, FOLDS_WIDTH_MAX / Math.max(1, folds.length));
  const even = Math.max(1, whole.to - whole.from - folds.reduce((sum, each) => sum + each.to - each.from, 0));
  const perMillisecond = (1 - folds.length * foldWidth) / even;
  const pieces: Piece[] = [];
  let place = 0;
  const add = (from: number, to: number, isFolded: boolean): void => {
    if (to <= from && !isFolded) return;
    const end = place + (isFolded ? foldWidth : (to - from) * perMillisecond);
    pieces.push({ from, to, start: place, end, isFolded });
    place = end;
  };
  let reached = whole.from;
  for (const fold of folds) {
    add(reached, fold.from, false);
    add(fold.from, fold.to, true);
    reached = fold.to;
  }
  add(reached, whole.to, false);
  if (pieces.length === 0) add(whole.from, whole.from + 1, false);
  return pieces;
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5]
  .concat([72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 2592e6, 7776e6, 31536e6]);

export interface Tick {
  place: number;
  /** Milliseconds after the beginning. */
  after: number;
}

/** Even moments after `origin` that stand `apart` or further from each other, within the places of `view`. */
export function ticksOf(scale: Scale, origin: number, view: View, apart: number): Tick[] {
  const ticks: Tick[] = [];
  for (const piece of scale.pieces) {
    if (piece.isFolded || piece.end <= view.from || piece.start >= view.to) continue;
    const perPlace = (piece.to - piece.from) / (piece.end - piece.start);
    const step = STEPS.find((each) => each / perPlace >= apart);
    if (step === undefined) continue;
    const begin = Math.max(piece.from, scale.momentOf(Math.max(view.from, piece.start)));
    const end = Math.min(piece.to, scale.momentOf(Math.min(view.to, piece.end)));
    for (let after = Math.ceil((begin - origin) / step) * step; after + origin <= end; after += step) {
      const place = scale.placeOf(after + origin);
      if (ticks.length === 0 || place - ticks.at(-1)!.place >= apart * 0.999) ticks.push({ place, after });
    }
  }
  return ticks;
}

/** The part of the scale that is seen. */
export interface View {
  from: number;
  to: number;
}

export const WHOLE: View = { from: 0, to: 1 };
const VIEW_MIN = 1e-5;

export function zoomed(view: View, times: number, about = (view.from + view.to) / 2): View {
  const width = Math.min(1, Math.max(VIEW_MIN, (view.to - view.from) / times));
  const share = (about - view.from) / (view.to - view.from);
  return within(about - share * width, width);
}

export function moved(view: View, by: number): View {
  return within(view.from + by * (view.to - view.from), view.to - view.from);
}

export function viewBetween(one: number, other: number): View {
  const from = Math.max(0, Math.min(one, other));
  return within(from, Math.max(VIEW_MIN, Math.min(1, Math.max(one, other)) - from));
}

function within(from: number, width: number): View {
  const begin = Math.max(0, Math.min(1 - width, from));
  return { from: begin, to: begin + width };
}
