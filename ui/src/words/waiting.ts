// What a run waits for, in a few words: for a list, where a whole sentence has no room.

import type { RunSummary, Wait } from "../api/types.ts";
import { distanceWords, timeOf } from "./time.ts";

export function waitingWords(run: RunSummary, now: number): string {
  if (run.status !== "running") return run.error ?? "";
  if (run.error) return run.error;
  const [first, ...others] = run.waiting_for;
  if (!first) return run.status_text;
  const more = others.length ? ` and ${others.length} more` : "";
  return waitWords(first, now) + more;
}

export function waitWords(wait: Wait, now: number): string {
  const name = wait.name ?? "";
  const until = wait.until ? timeOf(wait.until) : null;
  switch (wait.kind) {
    case "signal":
      return `signal ${name}`;
    case "timer":
      return until === null ? "timer" : until <= now ? "timer, due" : `timer, ${distanceWords(until, now)}`;
    case "step":
      return stepWords(wait, until, now);
    case "callback":
      return `callback ${wait.key ?? ""}`.trim();
    case "human_task":
      return `person: ${name}`;
    case "child":
      return `child ${name}`;
    case "handler":
      return `handler ${name}`;
    case "queue":
      return queueWords(wait, until, now);
    default:
      return "a condition in its code";
  }
}

function stepWords(wait: Wait, until: number | null, now: number): string {
  if (wait.parked === "uncertain") return `somebody to say whether ${wait.name} happened`;
  if (wait.parked) return `somebody to mend the undo ${wait.name}`;
  const attempt = wait.attempt && wait.attempt > 1 ? `, attempt ${wait.attempt}` : "";
  const when = until !== null && until > now ? ` ${distanceWords(until, now)}` : "";
  return `step ${wait.name}${attempt}${when}`;
}

function queueWords(wait: Wait, until: number | null, now: number): string {
  if (until !== null && until > now) return `begins ${distanceWords(until, now)}`;
  const queue = `queue ${wait.queue ?? ""}`;
  if (wait.is_paused) return `${queue}, which is paused`;
  if (wait.holder) return `${queue}, for ${wait.holder}`;
  return `${queue}, ${wait.before ?? 0} before it`;
}
