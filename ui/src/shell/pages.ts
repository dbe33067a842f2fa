// The pages that the header leads to, in its order, and what each page is called.

import { type Route, sectionRoute } from "./route.ts";

export interface Page {
  word: string;
  route: Route;
  /** Pages within it, which count as it. */
  holds: readonly Route["page"][];
}

export const PAGES: readonly Page[] = [
  { word: "Overview", route: sectionRoute("overview"), holds: ["overview"] },
  { word: "Runs", route: { page: "runs", filter: "", selected: null }, holds: ["runs", "run"] },
  { word: "Tasks", route: sectionRoute("tasks"), holds: ["tasks", "decisions"] },
  { word: "Schedules", route: sectionRoute("schedules"), holds: ["schedules", "schedule"] },
  { word: "Queues", route: sectionRoute("queues"), holds: ["queues"] },
  { word: "Workers", route: sectionRoute("workers"), holds: ["workers"] },
];

export function titleOf(route: Route): string {
  if (route.page === "run" || route.page === "schedule") return route.id;
  return PAGES.find((page) => page.route.page === route.page)?.word ?? "Nothing here";
}
