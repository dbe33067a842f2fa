// Live changes: one stream of server-sent events for the tab, and a poll behind it for when there is none.
//
// Listeners are told the ids of what changed, or null for "anything may have": after a gap in the stream, on each poll,
// and when the tab is seen again. While the tab is hidden nobody is told anything, and nothing is asked.

export type Liveness = "live" | "polling";
export type Listener = (ids: readonly string[] | null) => void;

export interface Surroundings {
  openStream(address: string): EventSource;
  setTimer(callback: () => void, milliseconds: number): number;
  clearTimer(timer: number): void;
  isHidden(): boolean;
  /** Returns what ends it. */
  onVisibility(callback: () => void): () => void;
}

export const POLL_MILLISECONDS = 4_000;

export class Changes {
  liveness: Liveness = "polling";
  readonly #address: string;
  readonly #around: Surroundings;
  readonly #listeners = new Set<Listener>();
  readonly #onLiveness: (liveness: Liveness) => void;
  #stream: EventSource | null = null;
  #timer: number | null = null;
  readonly #unwatch: () => void;
  #missed = false;

  constructor(address: string, around: Surroundings, onLiveness: (liveness: Liveness) => void = () => {}) {
    this.#address = address;
    this.#around = around;
    this.#onLiveness = onLiveness;
    this.#unwatch = around.onVisibility(() => this.#seen());
    this.#open();
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#stream?.close();
    if (this.#timer !== null) this.#around.clearTimer(this.#timer);
    this.#timer = null;
    this.#listeners.clear();
  }

  #open(): void {
    const stream = this.#around.openStream(this.#address);
    this.#stream = stream;
    stream.addEventListener("runs", (event) => this.#tell(idsOf((event as MessageEvent<string>).data)));
    stream.addEventListener("open", () => this.#opened());
    stream.addEventListener("error", () => this.#lost(stream));
  }

  #opened(): void {
    if (this.#timer !== null) this.#around.clearTimer(this.#timer);
    this.#timer = null;
    this.#become("live");
    this.#tell(null);
  }

  /** A browser opens a stream that broke off anew by itself, but not one that was refused. */
  #lost(stream: EventSource): void {
    this.#become("polling");
    if (this.#timer === null) this.#poll(stream);
  }

  #poll(stream: EventSource): void {
    this.#timer = this.#around.setTimer(() => {
      this.#tell(null);
      if (stream.readyState !== 2) return this.#poll(stream);
      this.#timer = null;
      this.#open();
      if (this.#timer === null) this.#poll(this.#stream ?? stream);
    }, POLL_MILLISECONDS);
  }

  #tell(ids: readonly string[] | null): void {
    if (this.#around.isHidden()) {
      this.#missed = true;
      return;
    }
    for (const listener of this.#listeners) listener(ids);
  }

  #seen(): void {
    if (this.#around.isHidden() || !this.#missed) return;
    this.#missed = false;
    this.#tell(null);
  }

  #become(liveness: Liveness): void {
    this.liveness = liveness;
    this.#onLiveness(liveness);
  }
}

/** What an event names; null where it does not, so that everything is asked anew. */
export function idsOf(data: string): readonly string[] | null {
  try {
    const { ids, all } = JSON.parse(data) as { ids?: unknown; all?: unknown };
    if (all === true) return null; // too much has happened to name it
    return Array.isArray(ids) && ids.every((each) => typeof each === "string") ? ids : null;
  } catch {
    return null;
  }
}
