// Tasks for people as the REST API tells of them, and how they were decided.

import type { Schema } from "../form/schema.ts";

export interface Task {
  title: string;
  /** What an answer must fit. */
  form: Schema;
  assignee: string | null;
  due: string | null;
  /** What it is answered by; empty for who may only look. */
  token: string;
  run_id: string;
  id: string;
  type: string;
}

export interface Decision {
  time: string;
  title: string;
  outcome: "completed" | "failed";
  by: string;
  answer: unknown;
  run_id: string;
  id: string;
  type: string;
  seq: number;
}

export interface DecisionPage {
  decisions: Decision[];
  next: string | null;
}
