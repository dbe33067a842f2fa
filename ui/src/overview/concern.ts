// What needs a person, in a sentence each.

import type { Concern } from "../api/operations.ts";

const PARKED: Record<string, string> = {
  blocked: "blocked: their code does not fit what they have done",
  uncertain: "uncertain: somebody must say whether a step happened",
  quarantined: "in quarantine: they killed their workers",
};

export function concernWords(concern: Concern): string {
  const about = concern.is_estimated ? "about " : "";
  const count = `${about}${Math.round(concern.count).toLocaleString("en")}`;
  const isOne = concern.count === 1;
  const runs = isOne ? "run" : "runs";
  switch (concern.kind) {
    case "parked":
      return `${count} ${runs} ${isOne ? "is" : "are"} ${isOne ? singular(PARKED[concern.what]) : (PARKED[concern.what] ?? concern.what)}`;
    case "failed":
      return `${count} ${runs} failed within the last hour`;
    case "unserved":
      return `Nobody serves the queue ${concern.what}, where ${count} ${isOne ? "waits" : "wait"}`;
    case "paused":
      return `The queue ${concern.what} is paused, and ${count} ${isOne ? "waits" : "wait"} there`;
    case "worker_gone":
      return `A worker is gone: ${concern.what}; what it had is taken over`;
  }
}

function singular(words: string | undefined): string {
  return (words ?? "").replace("their code", "its code").replace("they have done", "it has done").replace("they killed their", "it killed its");
}
