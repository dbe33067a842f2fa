// What the Runs page has read: the listing of one filter, how many fit it, and the counts by status and type.

import { type Api, ApiError, isAbort } from "../api/client.ts";
import type { RunCounts } from "../api/types.ts";
import { browserTiming } from "../shell/browser.ts";
import { OneAtATime } from "../shell/once.ts";
import { narrowed } from "./filter.ts";
import { append, type Listing, NOTHING_READ, renewHead, renewRuns } from "./listing.ts";

export const PAGE_RUNS = 100;
/** So many runs behind the first page are asked for at once after a change. */
const RENEWED_RUNS_MAX = 100;

/** A page looks at 5,000 runs at most, and may find none that fits. */
const PAGES_IN_VAIN_MAX = 20;

export class Reading {
  listing = $state.raw<Listing>(NOTHING_READ);
  counts = $state.raw<RunCounts | null>(null);
  count = $state.raw<number | null>(null);
  /** Why the filter that was asked for shows nothing; the listing is that of the one before. */
  refusal = $state.raw<ApiError | null>(null);
  isReading = $state(true);
  /** So many pages had no run that fits that the page asks before it looks any further. */
  isFar = $state(false);

  readonly #api: Api;
  readonly #renewing: OneAtATime;
  readonly #counting: OneAtATime;
  #filter = "";
  #asking = new AbortController();
  #isReadingMore = false;
  #pagesInVain = 0;
  #changed = new Set<string>();

  constructor(api: Api) {
    this.#api = api;
    this.#renewing = new OneAtATime(() => this.#renew(), 200, browserTiming);
    this.#counting = new OneAtATime(() => this.#recount(), 1_000, browserTiming, 9);
  }

  /** Read the listing of another filter. */
  async read(filter: string): Promise<void> {
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#filter = filter;
    this.isReading = true;
    this.#isReadingMore = false;
    this.#pagesInVain = 0;
    this.isFar = false;
    this.count = null;
    const { signal } = this.#asking;
    await this.#guarded(async () => {
      const page = await this.#api.runs(filter, PAGE_RUNS, null, signal);
      if (signal.aborted) return;
      this.listing = append(NOTHING_READ, page);
      this.refusal = null;
    });
    if (signal.aborted) return;
    this.isReading = false;
    this.#counting.ask();
  }

  /** Read the next page, if there is one; by hand also after many in vain. */
  async readMore(byHand = false): Promise<void> {
    const { next } = this.listing;
    if (next === null || this.#isReadingMore || this.isReading || this.refusal) return;
    if (byHand) this.#pagesInVain = 0;
    else if (this.isFar) return;
    this.isFar = false;
    this.#isReadingMore = true;
    const { signal } = this.#asking;
    await this.#guarded(async () => {
      const page = await this.#api.runs(this.#filter, PAGE_RUNS * 2, next, signal);
      if (this.listing.next !== next || signal.aborted) return;
      this.#isReadingMore = false; // before the listing: whoever sees it may ask for more at once
      this.#pagesInVain = page.runs.length ? 0 : this.#pagesInVain + 1;
      this.isFar = this.#pagesInVain >= PAGES_IN_VAIN_MAX;
      this.listing = append(this.listing, page);
    });
    if (!signal.aborted) this.#isReadingMore = false;
  }

  /** Something has changed: these runs, or any. */
  change(ids: readonly string[] | null): void {
    for (const id of ids ?? []) this.#changed.add(id);
    this.#renewing.ask();
    this.#counting.ask();
  }

  stop(): void {
    this.#asking.abort();
    this.#renewing.stop();
    this.#counting.stop();
  }

  async #renew(): Promise<void> {
    if (this.isReading || this.refusal?.code === "invalid_input") return;
    const { signal } = this.#asking;
    const behind = new Set(this.listing.runs.slice(PAGE_RUNS).map((run) => run.id));
    const asked = [...this.#changed].filter((id) => behind.has(id)).slice(0, RENEWED_RUNS_MAX);
    this.#changed.clear();
    await this.#guarded(async () => {
      const page = await this.#api.runs(this.#filter, PAGE_RUNS, null, signal);
      if (signal.aborted) return;
      this.listing = renewHead(this.listing, page);
      this.refusal = null;
      if (asked.length === 0) return;
      const found = await this.#api.runs(narrowed(this.#filter, asked), 1_000, null, signal);
      if (found.next === null && !signal.aborted) this.listing = renewRuns(this.listing, new Set(asked), found.runs);
    });
  }

  async #recount(): Promise<void> {
    const { signal } = this.#asking;
    try {
      this.counts = await this.#api.counts();
      const count = await this.#api.count(this.#filter, signal);
      if (!signal.aborted) this.count = count;
    } catch {
      this.count = null; // the listing says what is wrong; a number that may be old is not shown
    }
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isAbort(error)) this.refusal = error instanceof ApiError ? error : new ApiError(0, "unknown", String(error));
    }
  }
}
