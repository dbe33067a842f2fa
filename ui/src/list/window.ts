// Which rows of a long list are there: those that are seen, and some around them.

export interface Window {
  first: number;
  /** The row after the last one. */
  end: number;
}

export function visibleWindow(scrolled: number, height: number, rowHeight: number, rows: number, around = 8): Window {
  const first = Math.floor(Math.max(0, scrolled) / rowHeight) - around;
  const end = Math.ceil((Math.max(0, scrolled) + height) / rowHeight) + around;
  return { first: Math.max(0, Math.min(first, rows)), end: Math.max(0, Math.min(end, rows)) };
}

/** How far to scroll so that a row is wholly seen; as little as possible. */
export function scrollTo(row: number, scrolled: number, height: number, rowHeight: number): number {
  const top = row * rowHeight;
  if (top < scrolled) return top;
  return top + rowHeight > scrolled + height ? top + rowHeight - height : scrolled;
}
