// All that two runs are compared by: the newest events of each, as spans and with what they came to.

import type { Api } from "../api/client.ts";
import type { RunDetail } from "../api/types.ts";
import { type Told, valueOf } from "./diff.ts";

/** Of a longer history the last ones are compared. */
export const COMPARED_EVENTS_MAX = 5_000;
const PAGE_EVENTS = 1_000;

export async function readTold(api: Api, id: string, runId: string | null, signal: AbortSignal): Promise<Told> {
  const run: RunDetail = await api.run(id, runId, signal);
  const place = { before: run.events + 1 };
  const timeline = await api.timeline(run.id, run.run_id, place, COMPARED_EVENTS_MAX, signal);
  const values = new Map<number, unknown>();
  let after = Math.max(0, timeline.first_seq - 1);
  while (after < run.events) {
    const page = await api.history(run.id, run.run_id, { after }, PAGE_EVENTS, signal);
    if (page.events.length === 0) break;
    for (const event of page.events) values.set(event.seq, valueOf(event));
    after = page.last_seq;
  }
  return { run, spans: timeline.spans, values };
}
