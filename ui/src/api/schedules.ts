// Schedules as the REST API tells of them. Times are RFC 3339 texts in UTC, durations seconds.

import type { Status } from "./types.ts";

export const OVERLAPS = ["skip", "buffer_one", "buffer_all", "cancel", "terminate", "allow"] as const;
export type Overlap = (typeof OVERLAPS)[number];

export const OVERLAP_MEANS: Record<Overlap, string> = {
  skip: "nothing is started",
  buffer_one: "one firing waits for its end, more are skipped",
  buffer_all: "all wait, and are started one after the other",
  cancel: "it is asked to stop, and the new one is started when it has",
  terminate: "it is ended by force, and then the new one is started",
  allow: "the new one is started all the same",
};

export interface Spec {
  cron: string[];
  every: number[];
  calendar: Record<string, unknown>[];
  exclude: Record<string, unknown>[];
  offset: number;
  tz: string;
  start_at: string | null;
  end_at: string | null;
  jitter: number;
}

export interface Firing {
  id: string;
  run_id: string;
  scheduled_for: string;
  due_at: string;
  started_at: string;
  lateness: number;
  /** Of the run; "exists" where nothing was started, "gone" where it is no more. */
  status: Status | "exists" | "gone" | "refused";
}

export interface Schedule {
  id: string;
  type: string;
  input?: unknown;
  queue: string | null;
  priority: number | null;
  fairness_key: string | null;
  attributes: Record<string, unknown>;
  timeout: number | null;
  when: string;
  spec: Spec;
  overlap: Overlap;
  catchup: number;
  paused: boolean;
  note: string;
  upcoming: string[];
  recent: Firing[];
  running: string[];
  buffered: string[];
  asked: number;
  started: number;
  skipped: number;
  missed: number;
  refused: number;
  left: number | null;
  created_at: string;
}

export interface SchedulePage {
  schedules: Schedule[];
  next: string | null;
}

export interface ScheduleEvent {
  time: string;
  kind: string;
  text: string;
  id: string;
}
