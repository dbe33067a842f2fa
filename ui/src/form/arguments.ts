// The arguments of a workflow, a query or an update as one object, so that one form shows them all; and as the list that
// the API takes.

import type { Argument } from "../api/definitions.ts";
import type { Schema } from "./schema.ts";

/** Those that can be given by position; of the last kind there may be any number. */
const GIVEN = new Set([undefined, "variadic"]);

function given(arguments_: readonly Argument[]): Argument[] {
  return arguments_.filter((each) => GIVEN.has(each.kind));
}

export function argumentsSchema(arguments_: readonly Argument[]): Schema {
  const properties: Record<string, Schema> = {};
  const definitions: Record<string, Schema> = {};
  given(arguments_).forEach((each, index) => {
    const own = hoisted(each.schema, `${index}:`, definitions);
    properties[each.name] = each.kind === "variadic" ? { type: "array", items: own } : own;
  });
  const required = given(arguments_).filter((each) => each.required).map((each) => each.name);
  return { type: "object", properties, required, additionalProperties: false, $defs: definitions };
}

/** A schema whose definitions have moved into those of another one, under names of their own. */
function hoisted(schema: Schema, prefix: string, definitions: Record<string, Schema>): Schema {
  if (typeof schema !== "object") return schema;
  const { $defs, ...own } = schema;
  for (const [name, each] of Object.entries(($defs as Record<string, Schema> | undefined) ?? {})) {
    definitions[prefix + name] = renamed(each, prefix) as Schema;
  }
  return renamed(own, prefix) as Schema;
}

function renamed(part: unknown, prefix: string): unknown {
  if (Array.isArray(part)) return part.map((each) => renamed(each, prefix));
  if (typeof part !== "object" || part === null) return part;
  return Object.fromEntries(
    Object.entries(part).map(([word, value]) => [
      word,
      word === "$ref" && typeof value === "string" ? value.replace(/^#\/\$defs\//, `#/$defs/${prefix}`) : renamed(value, prefix),
    ]),
  );
}

/**
 * The list of arguments. What was left out at its end is not in it; what was left out before others has no place, unless
 * its schema has a default.
 */
export function argumentsOf(value: Readonly<Record<string, unknown>>, arguments_: readonly Argument[]): unknown[] {
  const all = given(arguments_).flatMap((each): { value: unknown; name: string }[] => {
    const one = value[each.name];
    if (each.kind === "variadic") return (Array.isArray(one) ? one : []).map((item) => ({ value: item, name: each.name }));
    return [{ value: one === undefined ? undefined : one, name: each.name }];
  });
  while (all.length && all.at(-1)!.value === undefined) all.pop();
  return all.map(({ value: one, name }) => {
    const standard = one === undefined ? defaultOf(arguments_.find((each) => each.name === name)!) : one;
    if (standard === undefined) throw new Error(`${name} is left out, and what comes after it is not: give both, or neither.`);
    return standard;
  });
}

/** The object of a list of arguments, as they are recorded. */
export function argumentsValue(list: readonly unknown[], arguments_: readonly Argument[]): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  given(arguments_).forEach((each, index) => {
    if (each.kind === "variadic" && list.length > index) value[each.name] = list.slice(index);
    else if (list.length > index) value[each.name] = list[index];
  });
  return value;
}

function defaultOf({ schema }: Argument): unknown {
  return typeof schema === "object" ? schema["default"] : undefined;
}
