// JSON schemas as workers publish them, and what a form shows for each: what kind of field, with which choices or parts.
//
// Where a schema says nothing that a form could be made of, the kind is "any": a field for JSON.

export type Schema = boolean | { readonly [word: string]: unknown };

export interface Property {
  name: string;
  schema: Schema;
  isRequired: boolean;
}

type Kind =
  | { kind: "text"; format: string }
  | { kind: "number"; isWhole: boolean }
  | { kind: "boolean" }
  | { kind: "choice"; choices: readonly unknown[] }
  | { kind: "object"; properties: readonly Property[]; others: Schema }
  | { kind: "list"; first: readonly Schema[]; others: Schema }
  | { kind: "alternatives"; alternatives: readonly Schema[] }
  | { kind: "null" }
  | { kind: "any" };

export type Look = Kind & { isNullable: boolean; title: string; description: string; standard: unknown };

const REFERENCES_MAX = 20;
/** Deeper parts of values that contain themselves are given as JSON. */
export const DEPTH_MAX = 8;

/** The schema with its `$ref` and a lone `allOf` followed; words beside a reference stay. */
export function resolved(schema: Schema, root: Schema): Schema {
  let found = schema;
  for (let turn = 0; turn < REFERENCES_MAX && typeof found === "object"; turn += 1) {
    const { $ref, allOf, ...others } = found;
    let inner: Schema | undefined;
    if (typeof $ref === "string") inner = referred($ref, root);
    else if (Array.isArray(allOf) && allOf.length === 1) inner = allOf[0] as Schema;
    if (inner === undefined) return found;
    found = typeof inner === "object" ? { ...inner, ...others } : inner;
  }
  return found;
}

/** What `#/…` names; anything if it names nothing here. */
function referred(reference: string, root: Schema): Schema {
  let found: unknown = root;
  for (const step of reference.replace(/^#\/?/, "").split("/").filter(Boolean)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    found = typeof found === "object" && found !== null ? (found as Record<string, unknown>)[name] : undefined;
  }
  return found === undefined ? true : (found as Schema);
}

export function lookOf(schema: Schema, root: Schema): Look {
  const whole = resolved(schema, root);
  if (typeof whole !== "object") return { kind: "any", isNullable: false, title: "", description: "", standard: undefined };
  const types = typesOf(whole);
  const alternatives = ((whole["anyOf"] ?? whole["oneOf"]) as Schema[] | undefined) ?? [];
  const given = alternatives.filter((each) => !isNull(each, root));
  const isNullable = types.includes("null") || given.length < alternatives.length;
  const said = { title: text(whole["title"]), description: text(whole["description"]), standard: whole["default"] };
  if (given.length === 1) {
    const inner = lookOf(given[0]!, root);
    return {
      ...inner,
      isNullable: isNullable || inner.isNullable,
      title: said.title || inner.title,
      description: said.description || inner.description,
      standard: said.standard ?? inner.standard,
    };
  }
  return { ...kindOf(whole, types.filter((each) => each !== "null"), given), isNullable, ...said };
}

function kindOf(schema: { readonly [word: string]: unknown }, types: readonly string[], given: readonly Schema[]): Kind {
  if (Array.isArray(schema["enum"])) return { kind: "choice", choices: schema["enum"] };
  if ("const" in schema) return { kind: "choice", choices: [schema["const"]] };
  if (given.length > 1) return { kind: "alternatives", alternatives: given };
  if (types.length > 1) return { kind: "alternatives", alternatives: types.map((type) => ({ ...schema, type })) };
  switch (types[0]) {
    case "string":
      return { kind: "text", format: text(schema["format"]) };
    case "integer":
    case "number":
      return { kind: "number", isWhole: types[0] === "integer" };
    case "boolean":
      return { kind: "boolean" };
    case "object":
      return objectOf(schema);
    case "array":
      return {
        kind: "list",
        first: (schema["prefixItems"] as Schema[] | undefined) ?? [],
        others: (schema["items"] as Schema | undefined) ?? true,
      };
    case undefined:
      return "properties" in schema ? objectOf(schema) : schema["type"] === "null" ? { kind: "null" } : { kind: "any" };
    default:
      return { kind: "any" };
  }
}

function objectOf(schema: { readonly [word: string]: unknown }): Kind {
  const required = (schema["required"] as string[] | undefined) ?? [];
  const properties = Object.entries((schema["properties"] as Record<string, Schema> | undefined) ?? {});
  // An object of which nothing is said has members of any kind; one that names some is not expected to have more.
  const others = (schema["additionalProperties"] as Schema | undefined) ?? properties.length === 0;
  return {
    kind: "object",
    properties: properties.map(([name, inner]) => ({ name, schema: inner, isRequired: required.includes(name) })),
    others,
  };
}

export function typesOf(schema: { readonly [word: string]: unknown }): readonly string[] {
  const type = schema["type"];
  return typeof type === "string" ? [type] : Array.isArray(type) ? (type as string[]) : [];
}

function isNull(schema: Schema, root: Schema): boolean {
  const inner = resolved(schema, root);
  return typeof inner === "object" && (inner["type"] === "null" || ("const" in inner && inner["const"] === null));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What a form begins with. Undefined is what nobody has given yet, or has left out. */
export function beginning(schema: Schema, root: Schema, depth = 0): unknown {
  const look = lookOf(schema, root);
  if (look.standard !== undefined) return look.standard;
  if (look.isNullable) return null;
  switch (look.kind) {
    case "boolean":
      return false;
    case "choice":
      return look.choices.length === 1 ? look.choices[0] : undefined;
    case "null":
      return null;
    case "list":
      return depth < DEPTH_MAX ? look.first.map((each) => beginning(each, root, depth + 1)) : [];
    case "object": {
      const needed = depth < DEPTH_MAX ? look.properties.filter((each) => each.isRequired) : [];
      return Object.fromEntries(needed.map((each) => [each.name, beginning(each.schema, root, depth + 1)]));
    }
    default:
      return undefined;
  }
}

/** What an alternative is called among its like. */
export function nameOf(schema: Schema, root: Schema): string {
  const look = lookOf(schema, root);
  if (look.title) return look.title;
  switch (look.kind) {
    case "text":
      return look.format || "text";
    case "number":
      return look.isWhole ? "whole number" : "number";
    case "boolean":
      return "yes or no";
    case "choice":
      return look.choices.map((each) => shownChoice(each)).join(" or ").slice(0, 40);
    case "list":
      return "list";
    case "any":
      return "JSON";
    default:
      return look.kind;
  }
}

export function shownChoice(choice: unknown): string {
  return typeof choice === "string" ? choice : JSON.stringify(choice);
}
