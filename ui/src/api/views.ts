// Saved views: filters that have a name, shared by all who look at the runs of a namespace.

import type { Api } from "./client.ts";

export interface View {
  name: string;
  filter: string;
  by: string;
  saved_at: string;
}

export async function readViews(api: Api, signal?: AbortSignal): Promise<readonly View[]> {
  return (await api.get<{ views: View[] }>("views", {}, signal)).views;
}
