// A JSON schema in a word or two, as the type of an argument is told.

interface Schema {
  type?: string | string[];
  $ref?: string;
  anyOf?: unknown[];
  enum?: unknown[];
  const?: unknown;
  items?: unknown;
  format?: string;
  title?: string;
}

export function typeWords(schema: unknown): string {
  if (typeof schema !== "object" || schema === null) return "any";
  const { type, $ref, anyOf, items, format, title, ...rest } = schema as Schema;
  if ($ref !== undefined) return $ref.split("/").at(-1) ?? "object";
  if (anyOf !== undefined) return anyOf.map(typeWords).join(" | ");
  if (rest.enum !== undefined) return rest.enum.map((each) => JSON.stringify(each)).join(" | ");
  if ("const" in rest) return JSON.stringify(rest.const);
  if (type === "array") return items === undefined ? "list" : `list of ${typeWords(items)}`;
  if (type === "object" && title !== undefined) return title;
  if (Array.isArray(type)) return type.join(" | ");
  return format ?? type ?? "any";
}
