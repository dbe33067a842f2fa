// What can be done to a run, when, and what it means.

import type { RunSummary } from "../api/types.ts";

export type Action = "signal" | "pause" | "resume" | "retry" | "cancel" | "terminate";

interface What {
  word: string;
  means: string;
  done: string;
  takesReason?: boolean;
  isGrave?: boolean;
}

export const ACTIONS: Record<Action, What> = {
  signal: { word: "Signal", means: "The signal is kept, and handled when the run is ready for it.", done: "Signalled." },
  pause: { word: "Pause", means: "It begins nothing more, and what comes waits. Steps that are being executed end first.", done: "Paused." },
  resume: { word: "Resume", means: "It goes on where it stands.", done: "Resumed." },
  retry: { word: "Retry", means: "It goes on at the step that failed. What was done before is not done again.", done: "Retried." },
  cancel: {
    word: "Cancel",
    means: "It is asked to stop, and undoes what it has to.",
    done: "Asked to stop.",
    takesReason: true,
    isGrave: true,
  },
  terminate: {
    word: "Terminate",
    means: "It ends at once, by force. Nothing is undone, and it cannot be taken back.",
    done: "Terminated.",
    takesReason: true,
    isGrave: true,
  },
};

/** Those that the run can be asked for now, the most usual first. */
export function actionsFor(run: Pick<RunSummary, "status" | "condition" | "waiting_for">): Action[] {
  if (run.status !== "running") return run.status === "failed" ? ["retry"] : [];
  const isParked = run.condition === "quarantined" || run.waiting_for.some((wait) => wait.parked === "undo_exhausted");
  return [
    ...(isParked ? (["retry"] as const) : []),
    "signal",
    run.condition === "paused" ? "resume" : "pause",
    "cancel",
    "terminate",
  ];
}

/** A value that was typed as JSON; nothing typed is null. Raises an error that says what is wrong. */
export function parsedValue(text: string): unknown {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`That is no JSON: ${why}. A text stands in quotes: "like this".`);
  }
}
