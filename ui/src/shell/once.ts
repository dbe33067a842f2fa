// OneAtATime: work that is asked for more often than it can be done. It is done once more after the last asking, never
// twice at the same time, and no more often than `every` milliseconds. After work that took long it can be left to rest
// for `restTimes` as long as that, up to REST_MILLISECONDS_MAX.

export interface Timing {
  now(): number;
  setTimer(callback: () => void, milliseconds: number): unknown;
  clearTimer(timer: never): void;
}

export const REST_MILLISECONDS_MAX = 10_000;

export class OneAtATime {
  readonly #work: () => Promise<void>;
  readonly #every: number;
  readonly #timing: Timing;
  readonly #restTimes: number;
  #isWorking = false;
  #isAsked = false;
  #isOver = false;
  #timer: unknown = null;
  #notBefore = 0;

  constructor(work: () => Promise<void>, every: number, timing: Timing, restTimes = 0) {
    this.#work = work;
    this.#every = every;
    this.#timing = timing;
    this.#restTimes = restTimes;
  }

  ask(): void {
    this.#isAsked = true;
    if (this.#isWorking || this.#isOver || this.#timer !== null) return;
    const wait = this.#notBefore - this.#timing.now();
    if (wait <= 0) void this.#do();
    else this.#timer = this.#timing.setTimer(() => void this.#do(), wait);
  }

  stop(): void {
    this.#isOver = true;
    if (this.#timer !== null) this.#timing.clearTimer(this.#timer as never);
  }

  async #do(): Promise<void> {
    this.#timer = null;
    this.#isAsked = false;
    this.#isWorking = true;
    const began = this.#timing.now();
    try {
      await this.#work();
    } finally {
      const ended = this.#timing.now();
      const rest = Math.min(REST_MILLISECONDS_MAX, this.#restTimes * (ended - began));
      this.#notBefore = Math.max(began + this.#every, ended + rest);
      this.#isWorking = false;
      if (this.#isAsked) this.ask();
    }
  }
}
