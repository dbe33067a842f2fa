// A run among its relatives: those above it, and below it the children that were opened, page by page. Of the children
// that are shown those that change are read anew; of the others nothing is known, however many there are.

import { type Api, ApiError, isAbort } from "../api/client.ts";
import type { RunSummary } from "../api/types.ts";
import { browserTiming } from "../shell/browser.ts";
import { narrowed, quoted } from "../runs/filter.ts";
import { OneAtATime } from "../shell/once.ts";

export const PAGE_RUNS = 100;
const ANCESTORS_MAX = 30;
const RENEWED_RUNS_MAX = 100;

interface Children {
  /** By their run ids, in the order in which they were started. */
  ids: readonly string[];
  next: string | null;
  isReading: boolean;
}

export type FamilyRow =
  | { kind: "run"; run: RunSummary; depth: number; place: "above" | "self" | "below"; isOpen: boolean }
  | { kind: "more"; of: string; depth: number; isReading: boolean }
  | { kind: "none"; of: string; depth: number };

export class Family {
  refusal = $state.raw<ApiError | null>(null);
  rows = $state.raw<readonly FamilyRow[]>([]);
  /** Runs of the same id, the newest first. */
  namesakes = $state.raw<readonly RunSummary[]>([]);

  readonly #api: Api;
  readonly #self: RunSummary;
  readonly #asking = new AbortController();
  readonly #renewing: OneAtATime;
  readonly #known = new Map<string, RunSummary>();
  readonly #open = new Map<string, Children>();
  #above: RunSummary[] = [];
  readonly #changed = new Set<string>();

  constructor(api: Api, run: RunSummary) {
    this.#api = api;
    this.#self = run;
    this.#known.set(run.run_id, run);
    this.#renewing = new OneAtATime(() => this.#renew(), 500, browserTiming, 4);
    this.#show();
    void this.#guarded(async () => {
      await this.open(run.run_id);
      await this.#readAbove();
      await this.#readNamesakes();
    });
  }

  /** The run itself, as it is now. */
  become(run: RunSummary): void {
    this.#known.set(run.run_id, run);
    this.#show();
  }

  change(ids: readonly string[] | null): void {
    const shown = [...this.#known.values()].map((run) => run.id);
    for (const id of ids ?? shown.slice(0, RENEWED_RUNS_MAX)) this.#changed.add(id);
    this.#renewing.ask();
  }

  stop(): void {
    this.#asking.abort();
    this.#renewing.stop();
  }

  async open(runId: string): Promise<void> {
    if (this.#open.has(runId)) return;
    this.#open.set(runId, { ids: [], next: null, isReading: true });
    this.#show();
    await this.#guarded(() => this.#readChildren(runId, null));
  }

  close(runId: string): void {
    this.#open.delete(runId);
    this.#show();
  }

  async readMore(runId: string): Promise<void> {
    const children = this.#open.get(runId);
    if (!children || children.isReading || children.next === null) return;
    this.#open.set(runId, { ...children, isReading: true });
    this.#show();
    await this.#guarded(() => this.#readChildren(runId, children.next));
  }

  async #readChildren(runId: string, cursor: string | null): Promise<void> {
    const filter = `ParentRunId = ${quoted(runId)} ORDER BY StartTime`;
    const page = await this.#api.runs(filter, PAGE_RUNS, cursor, this.#asking.signal);
    const children = this.#open.get(runId);
    if (!children) return;
    for (const run of page.runs) this.#known.set(run.run_id, run);
    const ids = new Set([...children.ids, ...page.runs.map((run) => run.run_id)]);
    this.#open.set(runId, { ids: [...ids], next: page.next, isReading: false });
    this.#show();
  }

  async #readAbove(): Promise<void> {
    let parent = this.#self.parent_run_id;
    while (parent !== null && this.#above.length < ANCESTORS_MAX) {
      const run: RunSummary = await this.#api.run(parent, null, this.#asking.signal);
      this.#known.set(run.run_id, run);
      this.#above = [run, ...this.#above];
      parent = run.parent_run_id;
    }
    this.#show();
  }

  async #readNamesakes(): Promise<void> {
    const filter = `WorkflowId = ${quoted(this.#self.id)}`;
    this.namesakes = (await this.#api.runs(filter, PAGE_RUNS, null, this.#asking.signal)).runs;
  }

  async #renew(): Promise<void> {
    const asked = [...this.#known.values()].filter((run) => this.#changed.has(run.id)).slice(0, RENEWED_RUNS_MAX);
    const mayHaveMore = [...this.#open].filter(([, children]) => children.next === null && !children.isReading && children.ids.length < PAGE_RUNS);
    this.#changed.clear();
    await this.#guarded(async () => {
      if (asked.length) {
        const page = await this.#api.runs(narrowed("", asked.map((run) => run.id)), 1_000, null, this.#asking.signal);
        for (const run of page.runs) if (this.#known.has(run.run_id)) this.#known.set(run.run_id, run);
      }
      for (const [runId] of mayHaveMore.slice(0, 5)) await this.#readChildren(runId, null);
      if (this.#changed.has(this.#self.id) || asked.some((run) => run.id === this.#self.id)) await this.#readNamesakes();
      this.#show();
    });
  }

  #show(): void {
    const above = this.#above.map((run, depth) => this.#rowOf(run, depth, "above"));
    const self = this.#known.get(this.#self.run_id)!;
    this.rows = [...above, ...this.#below(self, above.length, "self")];
  }

  #below(run: RunSummary, depth: number, place: "self" | "below"): FamilyRow[] {
    const rows: FamilyRow[] = [this.#rowOf(run, depth, place)];
    const children = this.#open.get(run.run_id);
    if (!children) return rows;
    for (const id of children.ids) rows.push(...this.#below(this.#known.get(id)!, depth + 1, "below"));
    if (children.next !== null || children.isReading) rows.push({ kind: "more", of: run.run_id, depth: depth + 1, isReading: children.isReading });
    else if (children.ids.length === 0) rows.push({ kind: "none", of: run.run_id, depth: depth + 1 });
    return rows;
  }

  #rowOf(run: RunSummary, depth: number, place: "above" | "self" | "below"): FamilyRow {
    return { kind: "run", run: this.#known.get(run.run_id) ?? run, depth, place, isOpen: place === "above" || this.#open.has(run.run_id) };
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isAbort(error)) this.refusal = error instanceof ApiError ? error : new ApiError(0, "unknown", String(error));
    }
  }
}
