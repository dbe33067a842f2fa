// The session: who is before the page. It is asked for at the start, and again when the server knows nobody any more.

import type { Api } from "../api/client.ts";
import { isOutside, logIn, logOut, readSession, type Session } from "../api/session.ts";

/** Each may do what those before it may. */
const ROLES = ["public", "read", "operate", "admin"];

class SessionState {
  /** Nothing until the server has said who is here; the pages do not wait for that. */
  value = $state.raw<Session | null>(null);
  #asked: Promise<void> | null = null;

  get isOutside(): boolean {
    return this.value !== null && isOutside(this.value);
  }

  /** Whether somebody may do what needs that role, as far as is known here; the server has the last word. */
  may(role: "operate" | "admin"): boolean {
    if (this.value === null || !this.value.needs_key) return true;
    return ROLES.indexOf(this.value.role) >= ROLES.indexOf(role);
  }

  /** Asks once, however many want to know. */
  renew(api: Api): Promise<void> {
    this.#asked ??= this.#ask(api).finally(() => (this.#asked = null));
    return this.#asked;
  }

  async #ask(api: Api): Promise<void> {
    try {
      this.value = await readSession(api);
    } catch {
      // the header says that the server is away
    }
  }

  async logIn(api: Api, key: string): Promise<void> {
    this.value = await logIn(api, key);
  }

  async logOut(api: Api): Promise<void> {
    try {
      const left = await logOut(api);
      if (left.log_out_url !== "") location.assign(left.log_out_url);
      else this.value = left;
    } catch {
      await this.renew(api);
    }
  }
}

export const session = new SessionState();
