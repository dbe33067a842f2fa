// What may come next in a filter that is being typed. The language (docs/searching.md) is understood by the server alone;
// this knows its words and their order, and may be wrong about what is odd without harm: nothing is put in unasked.

export type FieldType = "keyword" | "int" | "double" | "bool" | "datetime" | "keyword_list" | "duration" | "status" | "condition";

export interface Vocabulary {
  fields: Readonly<Record<string, FieldType>>;
  /** Of runs, the most first. */
  types: readonly { type: string; count: number }[];
}

export interface Suggestion {
  text: string;
  /** What it is, beside it. */
  about: string;
}

export interface Completion {
  /** What is replaced begins here, and ends at the caret. */
  start: number;
  suggestions: Suggestion[];
}

const TOKEN = /'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?|`[^`]*`?|[A-Za-z_][\w.]*|[<>!=]+|-?\d[\w.]*|\S/g;
const STATUSES = ["running", "completed", "failed", "cancelled", "terminated", "timed_out", "continued"];
const CONDITIONS = ["waiting", "blocked", "uncertain", "paused", "quarantined", "compensating", "queued"];
const SUGGESTED_MAX = 40;

type Expected = "field" | "operator" | "is" | "open" | "list" | "value" | "low" | "between" | "joint" | "by" | "order" | "direction";

export function complete(filter: string, caret: number, words: Vocabulary): Completion {
  const before = filter.slice(0, caret);
  const tokens = [...before.matchAll(TOKEN)];
  const last = tokens.at(-1);
  const isOpen = last !== undefined && last.index + last[0].length === before.length && !isWhole(last[0]);
  const started = isOpen ? last[0] : "";
  const [expected, field] = expectedAfter((isOpen ? tokens.slice(0, -1) : tokens).map((each) => each[0]));
  const isStuck = started === "" && before !== "" && !/[\s(,]$/.test(before); // a word that is whole, and no space yet
  const possible = isStuck ? [] : possibleNext(expected, field, words);
  return { start: caret - started.length, suggestions: fitting(possible, started) };
}

/** Whether a word cannot go on: a bracket, a comma, a closed quote. */
function isWhole(token: string): boolean {
  if (/^[(),]$/.test(token)) return true;
  return token.length > 1 && /^['"`]/.test(token) && token.endsWith(token[0]!);
}

function expectedAfter(tokens: readonly string[]): [Expected, string] {
  let expected: Expected = "field";
  let field = "";
  for (const token of tokens) {
    const word = token.toUpperCase();
    switch (expected) {
      case "field":
        if (word === "NOT" || word === "(") break;
        [field, expected] = [token.replaceAll("`", ""), "operator"];
        break;
      case "operator":
        if (word !== "NOT") expected = AFTER_OPERATOR[word] ?? "value";
        break;
      case "is":
        if (word !== "NOT") expected = "joint";
        break;
      case "open":
        expected = "list";
        break;
      case "list":
        if (word === ")") expected = "joint";
        break;
      case "low":
        expected = "between";
        break;
      case "between":
      case "value":
        expected = expected === "between" ? "value" : "joint";
        break;
      case "joint":
        expected = AFTER_PART[word] ?? "joint";
        break;
      case "by":
        expected = "order";
        break;
      case "order":
        expected = "direction";
        break;
      case "direction":
        if (word === ",") expected = "order";
    }
  }
  return [expected, field];
}

const AFTER_OPERATOR: Readonly<Record<string, Expected>> = { IN: "open", BETWEEN: "low", IS: "is" };
const AFTER_PART: Readonly<Record<string, Expected>> = { AND: "field", OR: "field", ORDER: "by", "-": "value" };

function possibleNext(expected: Expected, field: string, words: Vocabulary): Suggestion[] {
  const name = Object.keys(words.fields).find((each) => each.toLowerCase() === field.toLowerCase()) ?? field;
  const type = words.fields[name];
  const plain = (...texts: string[]) => texts.map((text) => ({ text, about: "" }));
  switch (expected) {
    case "field":
    case "order":
      return Object.entries(words.fields).map(([each, its]) => ({ text: written(each), about: its.replace("_", " ") }));
    case "operator":
      return plain(...operatorsOf(type));
    case "is":
      return plain("NULL", "NOT NULL");
    case "open":
      return plain("(");
    case "list":
    case "value":
    case "low":
      return valuesOf(name, type, words);
    case "between":
      return plain("AND");
    case "joint":
      return plain("AND", "OR", "ORDER BY");
    case "by":
      return plain("BY");
    case "direction":
      return plain("DESC", "ASC");
  }
}

/** A name as the language has it: one with other signs in backquotes. */
function written(name: string): string {
  return /^[A-Za-z_][\w.]*$/.test(name) ? name : `\`${name}\``;
}

function operatorsOf(type: FieldType | undefined): string[] {
  if (type === "bool") return ["=", "!="];
  if (type === "status" || type === "condition") return ["=", "!=", "IN", "NOT IN"];
  const equal = ["=", "!="];
  const there = ["IS NULL", "IS NOT NULL"];
  if (type === "keyword" || type === "keyword_list") return [...equal, "IN", "NOT IN", "STARTS_WITH", ...there];
  return [...equal, "<", "<=", ">", ">=", "BETWEEN", ...there];
}

function valuesOf(field: string, type: FieldType | undefined, words: Vocabulary): Suggestion[] {
  const plain = (texts: readonly string[]) => texts.map((text) => ({ text, about: "" }));
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  if (field === "WorkflowType") {
    return words.types.map(({ type: each, count }) => ({ text: quoted(each), about: count.toLocaleString("en") }));
  }
  if (type === "status") return plain(STATUSES.map(quoted));
  if (type === "condition") return plain(CONDITIONS.map(quoted));
  if (type === "bool") return plain(["TRUE", "FALSE"]);
  if (type === "datetime") return plain(["NOW - '1h'", "NOW - '1d'", "NOW - '7d'", "NOW"]);
  if (type === "duration") return plain(["'1s'", "'1m'", "'1h'", "'1d'"]);
  return [];
}

/** Those that begin like what was typed, and then those that have it somewhere; not what stands there in full already. */
function fitting(possible: readonly Suggestion[], started: string): Suggestion[] {
  const wanted = started.toLowerCase();
  const bare = wanted.replace(/^['"`]/, "");
  const of = (each: Suggestion) => each.text.toLowerCase();
  const first = possible.filter((each) => of(each).startsWith(wanted) && of(each) !== wanted);
  const others = bare.length > 1 ? possible.filter((each) => !of(each).startsWith(wanted) && of(each).includes(bare)) : [];
  return [...first, ...others].slice(0, SUGGESTED_MAX);
}

/** The filter with a suggestion put in, and where the caret is then. */
export function accepted(filter: string, caret: number, completion: Completion, suggestion: Suggestion): { filter: string; caret: number } {
  const behind = filter.slice(caret);
  const space = /^\s/.test(behind) || suggestion.text === "(" ? "" : " ";
  const put = filter.slice(0, completion.start) + suggestion.text + space;
  return { filter: put + behind, caret: put.length };
}
