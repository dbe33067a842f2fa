// What the palette finds: places to go to and things to do, by the words that are typed.

export interface Item {
  /** Unique among all. */
  id: string;
  word: string;
  /** What it is: page, run, view, schedule, queue, action. */
  kind: string;
  run: () => void;
}

export const ITEMS_MAX = 40;

/**
 * Those that have every word that was typed, the best first: what begins with them before what has a word that does,
 * before what has them anywhere. Alike ones stay in their order; where nothing is typed all do.
 */
export function ranked(items: readonly Item[], typed: string): Item[] {
  const words = typed.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const scored = items.map((item) => ({ item, score: scoreOf(`${item.word} ${item.kind}`.toLowerCase(), words) }));
  const found = scored.filter(({ score }) => score !== null) as { item: Item; score: number }[];
  return found
    .toSorted((one, other) => one.score - other.score)
    .slice(0, ITEMS_MAX)
    .map(({ item }) => item);
}

/** Less is better; null for what does not fit. */
function scoreOf(text: string, words: readonly string[]): number | null {
  let score = 0;
  for (const word of words) {
    const at = text.indexOf(word);
    if (at === -1) return null;
    if (at > 0) score += /[\s/:._-]/.test(text[at - 1]!) ? 1 : 2;
  }
  return score;
}
