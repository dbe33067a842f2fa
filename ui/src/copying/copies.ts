// What a page is about to do, as others would do it: on the command line, in Python, and by HTTP.

export interface Copies {
  cli: string;
  python: string;
  curl: string;
}

/** A word as a POSIX shell takes it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

export function commandLine(words: readonly string[], namespace: string): string {
  const all = namespace === "default" ? words : [...words, "--namespace", namespace];
  return ["keepstep", ...all].map(shellWord).join(" ");
}

/** A JSON value as Python writes it. */
export function pythonValue(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${pythonValue(each)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** A call's arguments. What is not given is left away. */
export function pythonArguments(given: readonly unknown[], named: Readonly<Record<string, unknown>> = {}): string {
  const words = Object.entries(named).filter(([, value]) => value !== undefined && value !== "");
  return [...given.map(pythonValue), ...words.map(([name, value]) => `${name}=${pythonValue(value)}`)].join(", ");
}

export function pythonProgram(statement: string, namespace: string): string {
  const where = namespace === "default" ? "" : `, namespace=${pythonValue(namespace)}`;
  return `async with keepstep.Engine(url, workers=False${where}) as engine:\n    ${statement}`;
}

/** `address` begins with the server's host. Calls without a body are posts, too. */
export function curlLine(method: string, address: string, body?: unknown): string {
  const words = body === undefined ? ["--request", method] : [...(method === "POST" ? [] : ["--request", method]), "--json", JSON.stringify(body)];
  return ["curl", ...words, address].map(shellWord).join(" ");
}
