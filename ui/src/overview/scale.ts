// Where the numbers of a chart stand: its highest number, the bars of a stack, and the path of a line.

/** The smallest round number that is not below: 1, 2 or 5 with zeros. */
export function roundedUp(most: number): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= most * 0.9999) ?? most;
}

export interface Bar {
  series: number;
  from: number;
  to: number;
}

/** Parts of one bar, from the bottom up, as shares of the chart's height. Parts of nothing are left out. */
export function stacked(values: readonly number[], most: number): Bar[] {
  const bars: Bar[] = [];
  let from = 0;
  values.forEach((value, series) => {
    const to = from + value / most;
    if (value > 0) bars.push({ series, from, to });
    from = to;
  });
  return bars;
}

/** The path of a line over `width` and `height`; it is broken where there is no value. */
export function linePath(values: readonly (number | null)[], most: number, width: number, height: number): string {
  const step = width / values.length;
  let path = "";
  let isDown = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDown = false;
      return;
    }
    const [x, y] = [(index + 0.5) * step, height - (value / most) * height];
    path += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  });
  return path;
}

/** Dots where a value stands alone, and no line leads to it. */
export function dotPath(values: readonly (number | null)[], most: number, width: number, height: number): string {
  const step = width / values.length;
  const isThere = (index: number) => (values[index] ?? null) !== null;
  return values
    .map((value, index) => {
      if (value === null || isThere(index - 1) || isThere(index + 1)) return "";
      return `M${((index + 0.5) * step).toFixed(1)} ${(height - (value / most) * height).toFixed(1)}h.01`;
    })
    .join("");
}

/** "0", "0.4", "12", "3.4 k", "1.2 M". */
export function figureWords(value: number): string {
  const units: [number, string][] = [
    [1e6, " M"],
    [1e3, " k"],
  ];
  for (const [size, unit] of units) {
    if (value >= size) return `${trimmed(value / size)}${unit}`;
  }
  return trimmed(value);
}

function trimmed(value: number): string {
  return (value >= 100 || Number.isInteger(value) ? Math.round(value) : Number(value.toPrecision(2))).toString();
}
