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
  since?: string;
  until?: string;
  attempt?: number;
  error?: string;
  parked?: string;
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

export interface RunDetail extends RunSummary {
  input?: unknown;
  result?: unknown;
  progress: string;
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

export type SpanKind =
  | "step"
  | "timer"
  | "signal"
  | "child"
  | "callback"
  | "task"
  | "update"
  | "undo"
  | "version";

export interface Span {
  key: string;
  kind: SpanKind;
  name: string;
  asked_at: string;
  started_at?: string | null;
  ended_at?: string | null;
  outcome: string;
  attempts: number;
  next_attempt_at?: string | null;
  error?: string | null;
}

export interface TimelineAnswer {
  spans: Span[];
  now: string;
}
