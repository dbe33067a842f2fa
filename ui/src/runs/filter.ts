// What the page itself puts into a filter. The language (docs/searching.md) is understood by the server alone.

/** A text as the language writes it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** Where the filter's ORDER BY begins, outside of quotes; its length if it has none. */
export function orderAt(filter: string): number {
  for (const part of filter.matchAll(PARTS)) {
    if (part.groups?.["order"]) return part.index;
  }
  return filter.length;
}

// A quoted text or name, with its escapes, is stepped over as a whole.
const PARTS = /'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?|`[^`]*`?|(?<order>\bORDER\s+BY\b)|\w+|./gis;

/** The filter, for runs alone whose ids are given. */
export function narrowed(filter: string, ids: readonly string[]): string {
  const at = orderAt(filter);
  const condition = filter.slice(0, at).trim();
  const wanted = `WorkflowId IN (${ids.map(quoted).join(", ")})`;
  return condition ? `(${condition}) AND ${wanted}` : wanted;
}

/** The parts that all runs must fit; the whole filter as one part where there is an OR outside of brackets. */
export function partsOf(filter: string): string[] {
  const condition = filter.slice(0, orderAt(filter)).trim();
  const parts: string[] = [];
  let depth = 0;
  let begin = 0;
  for (const found of condition.matchAll(PARTS)) {
    const word = found[0].toUpperCase();
    if (word === "(") depth += 1;
    else if (word === ")") depth -= 1;
    else if (depth === 0 && word === "OR") return [`(${condition})`];
    else if (depth === 0 && word === "AND") {
      parts.push(condition.slice(begin, found.index).trim());
      begin = found.index + found[0].length;
    }
  }
  return [...parts, condition.slice(begin).trim()].filter((part) => part !== "");
}

const EQUALS = /^(\w+)\s*=\s*'((?:[^'\\]|''|\\.)*)'$/;

/** What the filter wants this field to equal, if it says so in one of its parts. */
export function wantedOf(filter: string, field: string): string | null {
  const wanted = partsOf(filter).find((part) => isAbout(part, field));
  return wanted ? EQUALS.exec(wanted)![2]!.replaceAll("''", "'").replaceAll("\\\\", "\\") : null;
}

/** The filter with this field wanted to equal `value`, or with nothing said about it. Its order stays. */
export function wanting(filter: string, field: string, value: string | null): string {
  const others = partsOf(filter).filter((part) => !isAbout(part, field));
  const parts = value === null ? others : [...others, `${field} = ${quoted(value)}`];
  const order = filter.slice(orderAt(filter)).trim();
  return [parts.join(" AND "), order].filter((part) => part !== "").join(" ");
}

function isAbout(part: string, field: string): boolean {
  return EQUALS.exec(part)?.[1]?.toLowerCase() === field.toLowerCase();
}

/** What to underline for an error at `position`, which counts characters from 1: the word or text that begins there. */
export function errorPlace(filter: string, position: number | null): { start: number; end: number } | null {
  if (position === null) return null;
  const start = Array.from(filter).slice(0, Math.max(0, position - 1)).join("").length;
  const word = /^(?:'[^']*'?|"[^"]*"?|`[^`]*`?|[\w.-]+|.)/su.exec(filter.slice(start))?.[0] ?? " ";
  return { start, end: start + word.length };
}
