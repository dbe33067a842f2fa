// Live changes: one stream of server-sent events for the tab, and a poll behind it.
//
// Listeners are told the ids of what changed, or null for "anything may have": after a gap in the stream, on each poll,
// and when the tab is seen again. While the tab is hidden nobody is told anything, and nothing is asked.
//
// Not every change has an event: that a run has come to wait is written after what it did, and is not told. So each
// event, and the opening of the stream, is followed by an echo, and the poll goes on, slowly, while the stream is open.

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

export const POLL_MILLISECONDS: Record<Liveness, number> = { live: 15_000, polling: 4_000 };
export const ECHO_MILLISECONDS = 1_000;
const CLOSED = 2;

export class Changes {
  liveness: Liveness = "polling";
  readonly #address: string;
  readonly #around: Surroundings;
  readonly #listeners = new Set<Listener>();
  readonly #onLiveness: (liveness: Liveness) => void;
  #stream: EventSource;
  #poll: number;
  #echo: number | null = null;
  readonly #unwatch: () => void;
  #missed = false;

  constructor(address: string, around: Surroundings, onLiveness: (liveness: Liveness) => void = () => {}) {
    this.#address = address;
    this.#around = around;
    this.#onLiveness = onLiveness;
    this.#unwatch = around.onVisibility(() => this.#seen());
    this.#stream = this.#open();
    this.#poll = this.#schedule();
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#stream.close();
    this.#around.clearTimer(this.#poll);
    if (this.#echo !== null) this.#around.clearTimer(this.#echo);
    this.#listeners.clear();
  }

  #open(): EventSource {
    const stream = this.#around.openStream(this.#address);
    stream.addEventListener("runs", (event) => this.#heard(idsOf((event as MessageEvent<string>).data)));
    stream.addEventListener("open", () => {
      this.#become("live");
      this.#heard(null);
    });
    stream.addEventListener("error", () => this.#become("polling"));
    return stream;
  }

  #heard(ids: readonly string[] | null): void {
    this.#tell(ids);
    this.#echo ??= this.#around.setTimer(() => {
      this.#echo = null;
      this.#tell(null);
    }, ECHO_MILLISECONDS);
  }

  #become(liveness: Liveness): void {
    if (this.liveness === liveness) return;
    this.liveness = liveness;
    this.#onLiveness(liveness);
    this.#around.clearTimer(this.#poll);
    this.#poll = this.#schedule();
  }

  /** A browser opens a stream that broke off anew by itself, but not one that was refused: that is done with a poll. */
  #schedule(): number {
    return this.#around.setTimer(() => {
      if (this.#stream.readyState === CLOSED) this.#stream = this.#open();
      this.#poll = this.#schedule();
      this.#tell(null);
    }, POLL_MILLISECONDS[this.liveness]);
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
