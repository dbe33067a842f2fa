// What can be done to a run, when, what it means, and how it is done from elsewhere.

import type { Api } from "../api/client.ts";
import type { Definition } from "../api/definitions.ts";
import type { RunSummary, Wait } from "../api/types.ts";
import { type Copies, commandLine, curlLine, pythonArguments, pythonProgram, pythonValue } from "../copying/copies.ts";

export type Plain = "pause" | "resume" | "retry" | "cancel" | "terminate";
export type Spoken = "signal" | "update" | "query";
export type Action = Plain | Spoken | "fork" | "resolve" | "again";

interface What {
  word: string;
  means: string;
  done: string;
  takesReason?: boolean;
  isGrave?: boolean;
}

export const ACTIONS: Record<Action, What> = {
  signal: { word: "Signal", means: "The signal is kept, and handled when the run is ready for it.", done: "Signalled." },
  update: { word: "Update", means: "The run does something that is asked for, and answers.", done: "Updated." },
  query: { word: "Query", means: "The run's code answers from what it knows. Nothing is changed.", done: "Asked." },
  resolve: { word: "Resolve", means: "Say what became of it; the run goes on with that.", done: "Resolved." },
  fork: {
    word: "Fork",
    means: "A new run begins with this one's history up to an event, and does anew what comes after. This one stays as it is.",
    done: "Forked.",
  },
  again: { word: "Start again", means: "A new run begins with what this one was given.", done: "Started." },
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

export const isSpoken = (action: Action): action is Spoken => ["signal", "update", "query"].includes(action);

type Asked = Pick<RunSummary, "status" | "condition" | "waiting_for"> & { is_undone?: boolean };

/** What waits for a person to say what became of it. */
export function parkedWaits(run: Asked): Wait[] {
  return run.waiting_for.filter((wait) => wait.parked);
}

/** Those that the run can be asked for now, the most urgent first. */
export function actionsFor(run: Asked, definition: Definition | null = null): Action[] {
  const query: Action[] = Object.keys(definition?.handlers.query ?? {}).length ? ["query"] : [];
  const mayGoOn = run.status === "failed" && run.is_undone !== true;
  if (run.status !== "running") return [...(mayGoOn ? (["retry"] as const) : []), ...query, "fork", "again"];
  const parked = parkedWaits(run);
  const mayRetry = run.condition === "quarantined" || parked.some((wait) => wait.parked === "undo_exhausted");
  return [
    ...(parked.length ? (["resolve"] as const) : []),
    ...(mayRetry ? (["retry"] as const) : []),
    "signal",
    ...(Object.keys(definition?.handlers.update ?? {}).length ? (["update"] as const) : []),
    ...query,
    run.condition === "paused" ? "resume" : "pause",
    "fork",
    "cancel",
    "terminate",
  ];
}

/** Whose run is meant: of a closed one there may be newer ones of the same id. */
type Which = Pick<RunSummary, "id" | "run_id" | "status">;

interface Said {
  /** Of a signal, an update or a query. */
  name?: string;
  /** Arguments, or the one value of a signal. */
  args?: readonly unknown[];
  reason?: string;
  key?: string;
  /** What a resolved step has returned; left away where `error` says that it failed. */
  value?: unknown;
  error?: string;
  at?: number;
  replace?: Readonly<Record<string, unknown>>;
  newId?: string;
}

/** The path below a run's own, and the body that is sent there. */
export function callOf(action: Action, said: Said): { path: string; body: Record<string, unknown> | undefined } {
  const name = encodeURIComponent(said.name ?? "");
  switch (action) {
    case "signal":
      return { path: `signals/${name}`, body: { value: said.args?.[0] ?? null } };
    case "update":
      return { path: `updates/${name}`, body: { args: said.args ?? [] } };
    case "query":
      return { path: `queries/${name}`, body: { args: said.args ?? [] } };
    case "resolve":
      return { path: "resolve", body: said.error === undefined ? { key: said.key, value: said.value ?? null } : { key: said.key, error: said.error } };
    case "fork": {
      const body: Record<string, unknown> = { at: said.at, replace: said.replace ?? {} };
      if (said.newId) body["id"] = said.newId;
      return { path: "fork", body };
    }
    default:
      return { path: action, body: ACTIONS[action].takesReason ? { reason: said.reason ?? "" } : undefined };
  }
}

export function copiesOf(api: Api, origin: string, run: Which, action: Action, said: Said): Copies {
  const isNewest = run.status === "running";
  const { path, body } = callOf(action, said);
  const address = api.address(`runs/${encodeURIComponent(run.id)}/${path}`, isNewest ? {} : { run_id: run.run_id });
  const handle = `engine.get(${pythonArguments(isNewest ? [run.id] : [run.id, run.run_id])})`;
  const [statement, ...others] = pythonLines(action, handle, said);
  return {
    cli: commandLine(wordsOf(action, isNewest ? run.id : run.run_id, said), api.namespace),
    python: pythonProgram([statement, ...others].join("\n    "), api.namespace),
    curl: curlLine("POST", origin + address, body),
  };
}

function wordsOf(action: Action, id: string, said: Said): string[] {
  const json = (said.args ?? []).map((each) => JSON.stringify(each ?? null));
  const reason = said.reason ? ["--reason", said.reason] : [];
  switch (action) {
    case "signal":
    case "update":
    case "query":
      return [action, id, said.name ?? "", ...json];
    case "resolve":
      return ["resolve", id, said.key ?? "", ...(said.error === undefined ? ["--value", JSON.stringify(said.value ?? null)] : ["--error", said.error])];
    case "fork": {
      const replaced = Object.entries(said.replace ?? {}).flatMap(([key, value]) => ["--replace", `${key}=${JSON.stringify(value)}`]);
      return ["fork", id, "--at", String(said.at), ...replaced, ...(said.newId ? ["--id", said.newId] : [])];
    }
    default:
      return [action, id, ...reason];
  }
}

function pythonLines(action: Action, handle: string, said: Said): string[] {
  const args = said.args ?? [];
  switch (action) {
    case "signal":
      return [`await ${handle}.signal(${pythonArguments([said.name, ...args])})`];
    case "update":
    case "query":
      return [`print(await ${handle}.${action}(${pythonArguments([said.name, ...args])}))`];
    case "resolve":
      return [
        said.error === undefined
          ? `await ${handle}.resolve(${pythonArguments([said.key, said.value])})`
          : `await ${handle}.resolve(${pythonArguments([said.key])}, error=${pythonValue(said.error)})`,
      ];
    case "fork": {
      const replace = Object.keys(said.replace ?? {}).length ? said.replace : undefined;
      return [`forked = await ${handle}.fork(${pythonArguments([], { at: said.at, replace, id: said.newId })})`, "print(forked.id)"];
    }
    default:
      return [`await ${handle}.${action}(${said.reason ? pythonValue(said.reason) : ""})`];
  }
}
