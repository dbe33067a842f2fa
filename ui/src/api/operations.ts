// Queues, workers, versions, definitions and the overview, as the REST API tells of them.

import type { Status } from "./types.ts";

export type LimitName = "concurrency" | "per_worker" | "per_key" | "rate" | "rate_per_key" | "weights";
export type Limits = Partial<Record<LimitName, number | string | Record<string, number>>>;

export interface Queue {
  name: string;
  is_paused: boolean;
  limits: Limits;
  declared: Limits;
  changed: LimitName[];
  waiting: number;
  held: number;
  is_kept: boolean;
  due: number;
  oldest_since: string | null;
  oldest_run: string;
  oldest_run_id: string;
  workers: number;
}

export interface Worker {
  lease_id: string;
  host: string;
  pid: number;
  label: string;
  queues: string[];
  languages: string[];
  code: string;
  opened_at: string;
  lease_seconds: number;
  runs: number;
  tasks: number;
  probing: string | null;
  is_dead: boolean;
}

export interface Version {
  type: string;
  version: string;
  is_newest: boolean;
  open_runs: number;
  workers: number;
  is_needed: boolean;
}

export interface Definition {
  name: string;
  kind: "workflow" | "step";
  language: string;
  queue: string;
  doc: string;
  arguments: { name: string; required: boolean; schema: unknown }[];
  version: string;
  code: string;
  published_at: string;
}

export const SINCE = ["1h", "6h", "24h", "7d", "30d"] as const;
export type Since = (typeof SINCE)[number];

export interface Latency {
  /** Seconds. */
  p50: number | null;
  p95: number | null;
  p99: number | null;
  sampled: number;
}

export interface Point {
  at: string;
  started: number;
  ended: Partial<Record<Status, number>>;
  is_estimated: boolean;
  latency: Latency;
}

export interface Concern {
  kind: "parked" | "failed" | "unserved" | "paused" | "worker_gone";
  count: number;
  what: string;
  filter: string;
  is_estimated: boolean;
}

export interface OverviewAnswer {
  now: string;
  point_seconds: number;
  points: Point[];
  latency: Latency;
  failures: { type: string; total: number; points: number[] }[];
  concerns: Concern[];
}
