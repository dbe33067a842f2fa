// Who is before the page, as the server knows it, and how somebody logs in and out.

import type { Api } from "./client.ts";

export interface Session {
  needs_key: boolean;
  /** Empty where nobody is known. */
  name: string;
  role: string;
  /** Where they may do anything; everywhere, if there are none. */
  namespaces: string[];
  log_in: { name: string; path: string } | null;
  /** Where to go next, to log out at the identity provider, too. */
  log_out_url: string;
}

export const readSession = (api: Api, signal?: AbortSignal): Promise<Session> => api.get("session", {}, signal);
export const logIn = (api: Api, key: string): Promise<Session> => api.send("POST", "session", { key });
export const logOut = (api: Api): Promise<Session> => api.send("DELETE", "session");

/** Whether somebody has to say who they are before there is anything to see. */
export const isOutside = (session: Session): boolean => session.needs_key && session.name === "";

/** Where a browser goes to log in at the identity provider; `page` is shown afterwards. */
export function addressOfLogIn(base: string, path: string, page: string): string {
  return `${base}${path}?${new URLSearchParams({ next: page })}`;
}
