// Addresses: which page they show and in what state, and how that is written. Paths are below the server's own.

export type RunView = "timeline" | "graph" | "history" | "data" | "family" | "diff";

/** Pages that show all of one noun; `asked` narrows what is shown. */
export type Section = "overview" | "tasks" | "decisions" | "schedules" | "queues" | "workers";

export interface RunRoute {
  page: "run";
  id: string;
  runId: string | null;
  view: RunView;
  selected: string | null;
  /** What the view is asked for beside the run: the other run of a comparison (its id or run id), how a graph groups. */
  asked?: string;
}

export type Route =
  | { page: "runs"; filter: string; selected: string | null }
  | { page: Section; asked: string; selected: string | null }
  | { page: "schedule"; id: string; selected: string | null }
  | RunRoute
  | { page: "nothing"; path: string };

const VIEWS: readonly RunView[] = ["timeline", "graph", "history", "data", "family", "diff"];

/** How each section's `asked` is called in the address. */
const ASKED: Record<Section, string> = {
  overview: "since",
  tasks: "filter",
  decisions: "filter",
  schedules: "filter",
  queues: "filter",
  workers: "filter",
};

export const isSection = (page: string): page is Section => Object.hasOwn(ASKED, page);

export function sectionRoute(page: Section): Route {
  return { page, asked: "", selected: null };
}

export interface Place {
  route: Route;
  namespace: string;
}

/** `path` begins with the server's own, `base`. */
export function placeOf(path: string, search: string, base: string): Place {
  const asked = new URLSearchParams(search);
  return { route: routeOf(below(path, base), asked), namespace: asked.get("namespace") ?? "default" };
}

function below(path: string, base: string): string {
  return path.startsWith(base) ? path.slice(base.length) : path.replace(/^\/+/, "");
}

function routeOf(path: string, asked: URLSearchParams): Route {
  const selected = asked.get("selected");
  if (path === "") return { page: "runs", filter: asked.get("filter") ?? "", selected };
  if (isSection(path)) return { page: path, asked: asked.get(ASKED[path]) ?? "", selected };
  const schedule = idBehind("schedules/", path);
  if (schedule !== "") return { page: "schedule", id: schedule, selected };
  const id = idBehind("runs/", path);
  if (id === "") return { page: "nothing", path };
  const view = VIEWS.find((each) => each === asked.get("view")) ?? "timeline";
  const more = asked.get(askedOf(view));
  return { page: "run", id, runId: asked.get("run_id"), view, selected, ...(more ? { asked: more } : {}) };
}

function askedOf(view: RunView): string {
  return view === "graph" ? "by" : "with";
}

function idBehind(start: string, path: string): string {
  return path.startsWith(start) ? decoded(path.slice(start.length)) : "";
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a place, relative to the server's own path. */
export function addressOf({ route, namespace }: Place): string {
  const asked = new URLSearchParams();
  let path = "";
  if (route.page === "runs") {
    if (route.filter) asked.set("filter", route.filter);
  } else if (route.page === "run") {
    path = `runs/${encodeURIComponent(route.id)}`;
    if (route.runId) asked.set("run_id", route.runId);
    if (route.view !== "timeline") asked.set("view", route.view);
    if (route.asked) asked.set(askedOf(route.view), route.asked);
  } else if (route.page === "schedule") {
    path = `schedules/${encodeURIComponent(route.id)}`;
  } else if (route.page !== "nothing") {
    path = route.page;
    if (route.asked) asked.set(ASKED[route.page], route.asked);
  } else {
    path = route.path;
  }
  if (route.page !== "nothing" && route.selected) asked.set("selected", route.selected);
  if (namespace !== "default") asked.set("namespace", namespace);
  const query = asked.toString();
  return query ? `${path}?${query}` : path;
}
