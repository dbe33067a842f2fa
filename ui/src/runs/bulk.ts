// One word to many runs: what can be said, which runs are meant, and how far it has come.

import type { RunSummary } from "../api/types.ts";
import { orderAt, quoted } from "./filter.ts";

export type BulkAction = "cancel" | "terminate" | "signal" | "retry";

interface What {
  word: string;
  means: string;
  isGrave?: boolean;
}

export const BULK: Record<BulkAction, What> = {
  cancel: { word: "Cancel", means: "Each is asked to stop, and undoes what it has to.", isGrave: true },
  terminate: { word: "Terminate", means: "Each ends at once, by force. Nothing is undone, and it cannot be taken back.", isGrave: true },
  signal: { word: "Signal", means: "Each gets the signal once, and handles it when it is ready for it." },
  retry: { word: "Retry", means: "Those that failed go on at the step that failed." },
};

/** Runs are named one by one in a filter, which has room for so many. */
export const CHOSEN_MAX = 400;

/** The filter of a bulk: of those that were chosen, or of all that fit; null for all runs. A bulk has no order. */
export function filterOf(filter: string, chosen: ReadonlySet<string>): string | null {
  if (chosen.size) return `RunId IN (${[...chosen].map(quoted).join(", ")})`;
  return filter.slice(0, orderAt(filter)).trim() || null;
}

export interface BulkLine {
  id: string;
  began_at: string;
  dry_run: boolean;
  is_complete: boolean;
  total: number;
  done: number;
  already: number;
  refused: number;
  refusals: { id: string; run_id: string; type: string; outcome: string; why: string }[];
  sample: RunSummary[];
}

/** How much of it is over, from 0 to 1. */
export function shareOf(line: BulkLine): number {
  if (line.is_complete || line.total === 0) return 1;
  return Math.min(1, (line.done + line.already + line.refused) / line.total);
}

export function runsWords(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "run" : "runs"}`;
}

export function outcomeWords(line: BulkLine): string {
  const parts = [`${runsWords(line.done)} done`];
  if (line.already) parts.push(`${line.already.toLocaleString("en")} were so before`);
  if (line.refused) parts.push(`${line.refused.toLocaleString("en")} refused`);
  return parts.join(", ");
}
