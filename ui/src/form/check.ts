// Whether a value fits a schema, before it is sent. The worker that reads it has the last word: `format` and words that
// are not known here are not judged.

import { lookOf, resolved, type Schema, typesOf } from "./schema.ts";

/** What somebody typed that is no value of its field's kind; it stands in the value's place. */
export class Unfit {
  readonly text: string;
  readonly why: string;

  constructor(text: string, why: string) {
    this.text = text;
    this.why = why;
  }
}

export interface Problem {
  /** Names and indices from the whole value to the part. */
  path: readonly (string | number)[];
  text: string;
  /** Whether the part is of another kind, so that no field of a form can show it. */
  isOfOtherKind: boolean;
}

type Path = readonly (string | number)[];
type Words = { readonly [word: string]: unknown };

const DEPTH_MAX = 60;

export function problemsOf(value: unknown, schema: Schema, root: Schema = schema, path: Path = []): Problem[] {
  if (value instanceof Unfit) return [{ path, text: value.why, isOfOtherKind: false }];
  if (path.length > DEPTH_MAX) return [];
  if (schema === false) return [{ path, text: "Nothing is expected here.", isOfOtherKind: true }];
  if (value === undefined) return schema === true || lookOf(schema, root).kind === "any" ? [] : [{ path, text: "This is needed.", isOfOtherKind: false }];
  const found = resolved(schema, root);
  const whole: Words = typeof found === "object" ? found : {};
  const own = ownProblem(value, whole);
  if (own) return [{ path, ...own }];
  return [...ofAlternatives(value, whole, root, path), ...ofParts(value, whole, root, path)];
}

function ownProblem(value: unknown, schema: Words): Omit<Problem, "path"> | null {
  const types = typesOf(schema);
  if (types.length && !types.some((type) => isOf(value, type))) {
    return { text: `${capital(types.map(wordOf).join(" or "))} is expected.`, isOfOtherKind: true };
  }
  const choices = (schema["enum"] as unknown[] | undefined) ?? ("const" in schema ? [schema["const"]] : undefined);
  if (choices && !choices.some((each) => JSON.stringify(each) === JSON.stringify(value))) {
    return { text: `One of these is expected: ${choices.map((each) => JSON.stringify(each)).join(", ")}.`, isOfOtherKind: true };
  }
  if (isInexact(value) && !types.includes("number")) {
    return { text: "So large a number is not kept exactly by browsers; give it on the command line.", isOfOtherKind: false };
  }
  const why = typeof value === "number" ? limitOf(value, schema) : lengthOf(value, schema);
  return why ? { text: why, isOfOtherKind: false } : null;
}

/** Digits of a whole number that JSON has had and a browser has lost, or would. */
function isInexact(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21;
}

function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "integer":
      return typeof value === "number" && Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "string":
    case "boolean":
    case "number":
      return typeof value === type;
    default:
      return true;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Unfit);
}

const WORDS: Record<string, string> = {
  null: "null",
  integer: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

function wordOf(type: string): string {
  return WORDS[type] ?? type;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function limitOf(value: number, schema: Words): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema as Record<string, number | undefined>;
  if (minimum !== undefined && value < minimum) return `It must be at least ${minimum}.`;
  if (maximum !== undefined && value > maximum) return `It must be at most ${maximum}.`;
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `It must be more than ${exclusiveMinimum}.`;
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return `It must be less than ${exclusiveMaximum}.`;
  return "";
}

function lengthOf(value: unknown, schema: Words): string {
  const [length, noun, unit] =
    typeof value === "string"
      ? [[...value].length, "Length", "characters"]
      : Array.isArray(value)
        ? [value.length, "Items", "items"]
        : isObject(value)
          ? [Object.keys(value).length, "Properties", "members"]
          : [0, "", ""];
  const [min, max] = [schema[`min${noun}`], schema[`max${noun}`]] as (number | undefined)[];
  if (min !== undefined && length < min) return `At least ${min} ${unit} are needed.`;
  if (max !== undefined && length > max) return `At most ${max} ${unit} may be given.`;
  const pattern = schema["pattern"];
  if (typeof value === "string" && typeof pattern === "string" && !fitsPattern(value, pattern)) return `It must match ${pattern}.`;
  return "";
}

/** A pattern in another dialect, which is no pattern here, is left to the worker. */
function fitsPattern(value: string, pattern: string): boolean {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

/** The alternative that is meant is the one whose problems lie deepest. */
function ofAlternatives(value: unknown, schema: Words, root: Schema, path: Path): Problem[] {
  const all = ((schema["allOf"] as Schema[] | undefined) ?? []).flatMap((each) => problemsOf(value, each, root, path));
  const alternatives = (schema["anyOf"] ?? schema["oneOf"]) as Schema[] | undefined;
  if (!alternatives?.length) return all;
  const tried = alternatives.map((each) => problemsOf(value, each, root, path));
  if (tried.some((each) => each.length === 0)) return all;
  const depth = (problems: Problem[]) => Math.max(...problems.map((each) => each.path.length + (each.isOfOtherKind ? 0 : 0.5)));
  return [...all, ...tried.reduce((best, each) => (depth(each) > depth(best) ? each : best))];
}

function ofParts(value: unknown, schema: Words, root: Schema, path: Path): Problem[] {
  if (Array.isArray(value)) {
    const first = (schema["prefixItems"] as Schema[] | undefined) ?? [];
    const others = (schema["items"] as Schema | undefined) ?? true;
    return value.flatMap((part, index) => problemsOf(part, first[index] ?? others, root, [...path, index]));
  }
  if (!isObject(value)) return [];
  const properties = (schema["properties"] as Record<string, Schema> | undefined) ?? {};
  const others = (schema["additionalProperties"] as Schema | undefined) ?? true;
  const required = (schema["required"] as string[] | undefined) ?? [];
  const missing = required
    .filter((name) => value[name] === undefined)
    .map((name) => ({ path: [...path, name], text: "This is needed.", isOfOtherKind: false }));
  const wrong = Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .flatMap(([name, part]) => problemsOf(part, Object.hasOwn(properties, name) ? properties[name]! : others, root, [...path, name]));
  return [...missing, ...wrong];
}

/** The value as it is sent: without what was left out. */
export function withoutGaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => withoutGaps(each) ?? null);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, part]) => part !== undefined);
  return Object.fromEntries(kept.map(([name, part]) => [name, withoutGaps(part)]));
}
