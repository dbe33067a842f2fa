// Moments and durations as people read them: two units at most, and never more digits than matter.

const UNITS: readonly (readonly [name: string, milliseconds: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
];

/** "850 ms", "4.2 s", "1 min 5 s", "3 h 20 min", "12 d 4 h". */
export function durationWords(milliseconds: number): string {
  const positive = Math.max(0, milliseconds);
  if (positive < 999.5) return `${Math.round(positive)} ms`;
  if (positive < 9_950) return `${(positive / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(positive / 1_000) * 1_000;
  const first = UNITS.findIndex(([, size]) => whole >= size);
  const [name, size] = UNITS[first]!;
  const next = UNITS[first + 1];
  const count = Math.floor(whole / size);
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return next && rest ? `${count} ${name} ${rest} ${next[0]}` : `${count} ${name}`;
}

/** How long ago or ahead, in one unit: "now", "12 s ago", "in 3 h". */
export function distanceWords(moment: number, now: number): string {
  const away = Math.abs(now - moment);
  if (away < 1_000) return "now";
  const [name, size] = UNITS.find(([, each]) => away >= each)!;
  const words = `${Math.floor(away / size)} ${name}`;
  return moment <= now ? `${words} ago` : `in ${words}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** "2026-11-28 09:04:05": sorts as text, and is read the same everywhere. In the reader's own time zone. */
export function momentWords(moment: number): string {
  const at = new Date(moment);
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${CLOCK.format(at)}`;
}

/** With milliseconds, as a history wants them. */
export function preciseWords(moment: number): string {
  return `${momentWords(moment)}.${String(new Date(moment).getMilliseconds()).padStart(3, "0")}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

/** Engine time as milliseconds; a text without a zone does not occur. */
export function timeOf(text: string): number {
  return Date.parse(text);
}
