// What the Run page has read of its run: what it is now, and its timeline as far as that was asked for.

import { type Api, ApiError, isAbort } from "../api/client.ts";
import type { RunDetail, Span } from "../api/types.ts";
import { browserTiming } from "../shell/browser.ts";
import { OneAtATime } from "../shell/once.ts";
import { joined } from "./spans.ts";

/** Events of one page of a timeline; of a longer history the last ones are read first. */
const TIMELINE_EVENTS = 2_000;

export interface Timeline {
  spans: readonly Span[];
  /** The engine's time when it was read. */
  now: number;
  firstSeq: number;
  moreWaits: number;
}

export class RunReading {
  run = $state.raw<RunDetail | null>(null);
  timeline = $state.raw<Timeline | null>(null);
  refusal = $state.raw<ApiError | null>(null);
  isReadingEarlier = $state(false);

  readonly #api: Api;
  readonly #id: string;
  readonly #runId: string | null;
  readonly #renewing: OneAtATime;
  readonly #asking = new AbortController();
  #earlier: readonly Span[] = [];
  #earlierFirstSeq = 0;
  #tailAfter: number | null = null;

  constructor(api: Api, id: string, runId: string | null) {
    this.#api = api;
    this.#id = id;
    this.#runId = runId;
    this.#renewing = new OneAtATime(() => this.#renew(), 200, browserTiming);
    this.#renewing.ask();
  }

  change(ids: readonly string[] | null): void {
    if (ids === null || ids.includes(this.#id) || ids.includes(this.run?.id ?? "")) this.#renewing.ask();
  }

  /** Read it anew now, after an action. */
  renew(): void {
    this.#renewing.ask();
  }

  stop(): void {
    this.#asking.abort();
    this.#renewing.stop();
  }

  async #renew(): Promise<void> {
    const { signal } = this.#asking;
    try {
      const run = await this.#api.run(this.#id, this.#runId, signal);
      this.run = run;
      this.refusal = null;
      await this.#readTail(run, signal);
    } catch (error) {
      if (!isAbort(error)) this.refusal = error instanceof ApiError ? error : new ApiError(0, "unknown", String(error));
    }
  }

  /** The newest stretch. Once it was read it goes on from the same event, so that what was read before it stays whole. */
  async #readTail(run: RunDetail, signal: AbortSignal): Promise<void> {
    const after = this.#tailAfter;
    const isWithin = after !== null && run.events - after <= 2 * TIMELINE_EVENTS;
    const place = isWithin ? { after } : { before: run.events + 1 };
    const limit = isWithin ? 2 * TIMELINE_EVENTS : TIMELINE_EVENTS;
    const tail = await this.#api.timeline(run.id, run.run_id, place, limit, signal);
    if (!isWithin) {
      this.#tailAfter = Math.max(0, tail.first_seq - 1);
      this.#earlier = [];
      this.#earlierFirstSeq = tail.first_seq;
    }
    this.timeline = {
      spans: joined(this.#earlier, tail.spans),
      now: Date.parse(tail.now),
      firstSeq: this.#earlierFirstSeq,
      moreWaits: tail.more_waits,
    };
  }

  /** Read what comes before the timeline that is there. */
  async readEarlier(): Promise<void> {
    const { run, timeline } = this;
    if (!run || !timeline || timeline.firstSeq <= 1 || this.isReadingEarlier) return;
    this.isReadingEarlier = true;
    try {
      const place = { before: timeline.firstSeq };
      const page = await this.#api.timeline(run.id, run.run_id, place, TIMELINE_EVENTS, this.#asking.signal);
      this.#earlier = joined(page.spans, this.#earlier);
      this.#earlierFirstSeq = page.first_seq;
      this.timeline = { ...timeline, spans: joined(page.spans, timeline.spans), firstSeq: page.first_seq };
    } catch (error) {
      if (!isAbort(error)) this.refusal = error as ApiError;
    } finally {
      this.isReadingEarlier = false;
    }
  }
}
