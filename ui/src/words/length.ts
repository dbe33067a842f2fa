// Lengths of time as the API takes them, "15m" or "1d 12h", made of the seconds that it gives.

const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];

/** The shortest text that means so many seconds: "90m" rather than "1.5h". */
export function lengthText(seconds: number): string {
  const unit = UNITS.find(([, size]) => seconds >= size && seconds % size === 0);
  return unit ? `${seconds / unit[1]}${unit[0]}` : `${seconds}s`;
}
