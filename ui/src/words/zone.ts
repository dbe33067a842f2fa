// Moments in a schedule's own time zone, where it differs from the reader's.

/** "Mon 2026-11-30 09:00": the weekday too, as it is what a schedule is about. */
export function zonedWords(moment: number, zone: string): string {
  const parts = new Map(formatOf(zone).formatToParts(moment).map((part) => [part.type, part.value]));
  const seconds = parts.get("second") === "00" ? "" : `:${parts.get("second")}`;
  const day = `${parts.get("year")}-${parts.get("month")}-${parts.get("day")}`;
  return `${parts.get("weekday")} ${day} ${parts.get("hour")}:${parts.get("minute")}${seconds}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat("en-GB", {
    timeZone: isKnown(zone) ? zone : "UTC",
    weekday: "short",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
  formats.set(zone, made);
  return made;
}

/** The zone by which `zonedWords` tells: a browser may not know one that the server knows. */
export function shownZone(zone: string): string {
  return isKnown(zone) ? zone : "UTC";
}

function isKnown(zone: string): boolean {
  try {
    new Intl.DateTimeFormat(undefined, { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
