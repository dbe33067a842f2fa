// Looking: one answer of the API, kept as it is now: asked for at once, and again when something has changed.

import { ApiError, isAbort, messageOf } from "../api/client.ts";
import type { Changes } from "../api/changes.ts";
import { browserTiming } from "./browser.ts";
import { OneAtATime } from "./once.ts";

export class Looking<T> {
  value = $state.raw<T | null>(null);
  /** Why the last look failed; the value is that of the one before. */
  refusal = $state.raw<ApiError | null>(null);
  readonly #read: (signal: AbortSignal) => Promise<T>;
  readonly #asking = new AbortController();
  readonly #renewing: OneAtATime;

  /** `every`: milliseconds between two looks at least. */
  constructor(read: (signal: AbortSignal) => Promise<T>, every = 1_000) {
    this.#read = read;
    this.#renewing = new OneAtATime(() => this.#look(), every, browserTiming, 4);
    this.renew();
  }

  /** Look again. */
  renew(): void {
    this.#renewing.ask();
  }

  /** Look again with each change, until what is returned is called: `$effect(() => looking.follow(changes))`. */
  follow(changes: Changes): () => void {
    const unlisten = changes.listen(() => this.renew());
    return () => {
      unlisten();
      this.#asking.abort();
      this.#renewing.stop();
    };
  }

  async #look(): Promise<void> {
    try {
      const value = await this.#read(this.#asking.signal);
      if (this.#asking.signal.aborted) return;
      this.value = value;
      this.refusal = null;
    } catch (error) {
      if (!isAbort(error)) this.refusal = error instanceof ApiError ? error : new ApiError(0, "unknown", messageOf(error));
    }
  }
}
