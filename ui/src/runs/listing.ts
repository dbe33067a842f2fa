// The listing of runs as far as it was read: keyset pages put one after the other, and kept up to date in place.

import type { RunPage, RunSummary } from "../api/types.ts";

export interface Listing {
  runs: readonly RunSummary[];
  /** Where the next page begins; null if there is none. */
  next: string | null;
}

export const NOTHING_READ: Listing = { runs: [], next: null };

/** So many are kept in one tab; who looks for something further back narrows the filter. */
export const RUNS_MAX = 20_000;

export function append(listing: Listing, page: RunPage): Listing {
  const known = new Set(listing.runs.map((run) => run.run_id));
  const runs = [...listing.runs, ...page.runs.filter((run) => !known.has(run.run_id))];
  return runs.length < RUNS_MAX ? { runs, next: page.next } : { runs: runs.slice(0, RUNS_MAX), next: null };
}

/** The first page, read anew, in place of what it covers; what was read behind it stays. */
export function renewHead(listing: Listing, page: RunPage): Listing {
  if (page.next === null) return { runs: page.runs, next: null };
  if (page.runs.length === 0) return listing; // it looked as far as a page looks, and found nothing that fits
  const fresh = new Set(page.runs.map((run) => run.run_id));
  const last = listing.runs.findLastIndex((run) => fresh.has(run.run_id));
  if (last === -1) return { runs: page.runs, next: page.next };
  const behind = listing.runs.slice(last + 1);
  if (behind.length === 0) return { runs: page.runs, next: page.next };
  return { runs: [...page.runs, ...behind].slice(0, RUNS_MAX), next: listing.next };
}

/** Those that were `asked` for by their ids, as they are now; those that no longer fit the filter go. */
export function renewRuns(listing: Listing, asked: ReadonlySet<string>, found: readonly RunSummary[]): Listing {
  const now = new Map(found.map((run) => [run.run_id, run]));
  const runs = listing.runs.flatMap((run) => {
    if (!asked.has(run.id)) return [run];
    const renewed = now.get(run.run_id);
    return renewed ? [renewed] : [];
  });
  return { runs, next: listing.next };
}
