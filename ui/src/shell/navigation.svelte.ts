// Where the tab is. The address holds all of it, so that a reload, a bookmark and the way back show the same.

import { addressOf, placeOf, type Place, type Route } from "./route.ts";

export const base = new URL(document.baseURI).pathname;

class Navigation {
  place = $state.raw<Place>(placeOf(location.pathname, location.search, base));

  constructor() {
    addEventListener("popstate", () => (this.place = placeOf(location.pathname, location.search, base)));
  }

  /** The address of a page in the namespace that is shown. */
  address(route: Route): string {
    return addressOf({ route, namespace: this.place.namespace });
  }

  go(route: Route): void {
    this.#become(route, "pushState");
    scrollTo(0, 0);
  }

  /** A change of the same page's state: the way back does not lead through it. */
  adjust(route: Route): void {
    this.#become(route, "replaceState");
  }

  #become(route: Route, how: "pushState" | "replaceState"): void {
    const place = { route, namespace: this.place.namespace };
    history[how](null, "", base + addressOf(place));
    this.place = place;
  }

  /** A plain click on a link of ours changes the page without loading it anew. */
  follow(event: MouseEvent): void {
    const link = (event.target as Element).closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || event.defaultPrevented) return;
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(base)) return;
    const place = placeOf(link.pathname, link.search, base);
    if (place.route.page === "nothing") return;
    event.preventDefault();
    this.go(place.route);
  }
}

export const navigation = new Navigation();
