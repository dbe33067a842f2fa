// The REST API, as typed calls. Every refusal is an ApiError, also that of a server which cannot be reached.

import type { HistoryPage, RunCounts, RunDetail, RunPage, TimelineAnswer } from "./types.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly position: number | null;

  constructor(status: number, code: string, message: string, position: number | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.position = position;
  }
}

/** Events behind a seq, or the last ones before it. */
export type Stretch = { after: number } | { before: number };
export type Query = Record<string, string | number | null | undefined>;
type Fetch = (address: string, options: RequestInit) => Promise<Response>;

export class Api {
  readonly root: string;
  readonly namespace: string;
  /** Told of every question whether the server answered at all. */
  onreach: (isReached: boolean) => void = () => {};
  /** Told when the server does not know who asks (any more). */
  onunknown: () => void = () => {};
  readonly #fetch: Fetch;

  constructor(root: string, namespace: string, fetch_: Fetch = (address, options) => fetch(address, options)) {
    this.root = root;
    this.namespace = namespace;
    this.#fetch = fetch_;
  }

  address(path: string, query: Query = {}): string {
    const asked = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...query, namespace: this.namespace })) {
      if (value !== null && value !== undefined && value !== "") asked.set(name, String(value));
    }
    return `${this.root}api/v1/${path}?${asked}`;
  }

  runs(filter: string, limit: number, cursor: string | null, signal?: AbortSignal): Promise<RunPage> {
    return this.get("runs", { filter, limit, cursor }, signal);
  }

  async count(filter: string, signal?: AbortSignal): Promise<number> {
    return (await this.get<{ count: number }>("runs/count", { filter }, signal)).count;
  }

  counts(signal?: AbortSignal): Promise<RunCounts> {
    return this.get("runs/counts", {}, signal);
  }

  run(id: string, runId: string | null, signal?: AbortSignal): Promise<RunDetail> {
    return this.get(`runs/${encodeURIComponent(id)}`, { run_id: runId }, signal);
  }

  history(id: string, runId: string, place: Stretch, limit: number, signal?: AbortSignal): Promise<HistoryPage> {
    return this.get(`runs/${encodeURIComponent(id)}/history`, { run_id: runId, limit, ...place }, signal);
  }

  timeline(id: string, runId: string, place: Stretch, limit: number, signal?: AbortSignal): Promise<TimelineAnswer> {
    return this.get(`runs/${encodeURIComponent(id)}/timeline`, { run_id: runId, limit, ...place }, signal);
  }

  /** What changes a run: `signals/NAME`, `cancel`, `terminate`, `retry`, `pause`, `resume`; some take no body. */
  act(id: string, runId: string, action: string, body?: Record<string, unknown>): Promise<unknown> {
    return this.#ask("POST", this.address(`runs/${encodeURIComponent(id)}/${action}`, { run_id: runId }), body);
  }

  /** Any other call: "POST", "PATCH" or "DELETE" at a path below the API's. */
  send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    return this.#ask(method, this.address(path), body, signal) as Promise<T>;
  }

  /** A call whose answer comes line by line, each of them JSON; a line that is a refusal is raised. */
  async lines<T>(path: string, body: unknown, online: (line: T) => void, signal: AbortSignal): Promise<void> {
    const headers = { Accept: "application/x-ndjson, application/json", "Content-Type": "application/json" };
    const answer = await this.#reach(this.address(path), { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!answer.ok || answer.body === null) throw refusal(answer.status, parsed(await answer.text()));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      const whole = (rest + (value ?? "")).split("\n");
      rest = done ? "" : whole.pop()!;
      for (const text of whole.filter((each) => each !== "")) {
        const line = JSON.parse(text) as T & { error?: unknown };
        if (line.error !== undefined) throw refusal(500, line);
        online(line);
      }
      if (done) return;
    }
  }

  get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
    return this.#ask("GET", this.address(path, query), undefined, signal) as Promise<T>;
  }

  async #ask(method: string, address: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
    const options: RequestInit = { method, headers: { Accept: "application/json" } };
    if (signal) options.signal = signal;
    if (body !== undefined) {
      options.headers = { ...options.headers, "Content-Type": "application/json" };
      options.body = JSON.stringify(body);
    }
    const answer = await this.#reach(address, options);
    const text = await answer.text();
    const content = parsed(text);
    if (answer.ok) return content;
    if (answer.status === 401 && !address.includes("/session?")) this.onunknown();
    throw refusal(answer.status, content);
  }

  async #reach(address: string, options: RequestInit): Promise<Response> {
    try {
      const answer = await this.#fetch(address, options);
      this.onreach(true);
      return answer;
    } catch (error) {
      if (isAbort(error)) throw error;
      this.onreach(false);
      throw new ApiError(0, "unreachable", "The server cannot be reached.");
    }
  }
}

function parsed(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The refusal that a body tells, or one made of the status alone where a proxy answered. */
export function refusal(status: number, content: unknown): ApiError {
  const told = (content as { error?: { code?: string; message?: string; position?: number } } | null)?.error;
  if (typeof told?.message !== "string") return new ApiError(status, "unknown", `The server answered with status ${status}.`);
  return new ApiError(status, told.code ?? "unknown", told.message, told.position ?? null);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
