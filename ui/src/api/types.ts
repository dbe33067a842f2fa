// What the REST API answers, as docs/rest-api.md has it. Times are RFC 3339 texts, durations seconds.

export type Status =
  | "running"
  | "completed"
  | "failed"
  | "cancelled"
  | "terminated"
  | "timed_out"
  | "continued";

export type Condition =
  | ""
  | "waiting"
  | "blocked"
  | "uncertain"
  | "paused"
  | "quarantined"
  | "compensating"
  | "queued";

export interface Wait {
  kind: string;
  name?: string;
  key?: string;
  since?: string | null;
  until?: string | null;
  attempt?: number;
  error?: string;
  parked?: string;
  token?: string;
  run_id?: string;
  queue?: string;
  before?: number;
  holder?: string;
  is_paused?: boolean;
}

export interface RunSummary {
  id: string;
  run_id: string;
  type: string;
  status: Status;
  condition: Condition;
  waiting_for: Wait[];
  started_at: string;
  closed_at: string | null;
  attributes: Record<string, unknown>;
  error: string | null;
  status_text: string;
  queue: string;
  version: string;
  namespace: string;
  parent_run_id: string | null;
  events: number;
}

export interface Failure {
  type?: string;
  message?: string;
  traceback?: string;
  cause?: Failure | null;
}

/** What a blocked run's history has, and what its code asks for instead. */
export interface Blocked {
  summary: string;
  seq: number;
  history: string;
  asked: { key: string; what: string; site: { file: string; line: number; function: string } | null }[];
}

export interface ForkedFrom {
  id: string;
  run_id: string;
  at: number;
  /** Keys of results that were replaced. */
  replaced: string[];
}

export interface RunDetail extends RunSummary {
  input?: unknown;
  result?: unknown;
  failure?: Failure | string;
  /** Sentences, one a line; a line that begins with two spaces belongs to the one above it. */
  progress: string;
  children: { id: string; run_id: string; type: string; status: Status }[];
  owner: { lease_id: string; host: string; pid: number } | null;
  /** A failed run has undone what it did, so that it cannot be retried. */
  is_undone: boolean;
  blocked: Blocked | null;
  forked_from: ForkedFrom | null;
  /** Run id of the run of this id that it goes on with. */
  continued_from: string | null;
}

export interface RunPage {
  runs: RunSummary[];
  next: string | null;
}

export interface RunCounts {
  by_status: Partial<Record<Status, number>>;
  by_type: { type: string; count: number }[];
}

export interface HistoryEvent {
  seq: number;
  type: string;
  time: string;
  key: string | null;
  data: Record<string, unknown>;
}

export interface HistoryPage {
  events: HistoryEvent[];
  first_seq: number;
  last_seq: number;
  total: number;
}

export interface Span {
  key: string;
  /** step, undo, timer, signal, child, callback, task, update, version, note, message, condition, handler or queue. */
  kind: string;
  name: string;
  asked_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  outcome: string;
  attempts: number;
  next_attempt_at: string | null;
  /** When a timer fires. */
  until: string | null;
  error: string | null;
  /** Of the event during whose delivery the code asked for it; 0 if that is not known. */
  asked_seq: number;
  /** Of the event with which it ends or, until then, begins; 0 if it has none yet. */
  seq: number;
  /** Of a child. */
  run_id: string;
  resolved_by: string;
  superseded: boolean;
}

export interface TimelineAnswer {
  spans: Span[];
  now: string;
  first_seq: number;
  last_seq: number;
  total: number;
  more_waits: number;
}
