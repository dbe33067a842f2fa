// What the browser hands in where the rest of the UI is told of streams and timers, and tests hand in their own.

import type { Surroundings } from "../api/changes.ts";
import type { Timing } from "./once.ts";

export const browserTiming: Timing = {
  now: () => performance.now(),
  setTimer: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimer: (timer) => clearTimeout(timer),
};

export const browserSurroundings: Surroundings = {
  openStream: (address) => new EventSource(address),
  setTimer: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimer: (timer) => clearTimeout(timer),
  isHidden: () => document.hidden,
  onVisibility: (callback) => {
    document.addEventListener("visibilitychange", callback);
    return () => document.removeEventListener("visibilitychange", callback);
  },
};
