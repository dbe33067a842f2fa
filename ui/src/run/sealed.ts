// What the server shows in the place of what it cannot read: "<encrypted with key 'k1', 80 bytes>", "<kept as blob …>".

const SEALED = /^<(?:encrypted with key .*|kept as blob .*|encoded as .*|.*\d bytes)>$/s;

export function isSealed(value: unknown): boolean {
  return typeof value === "string" && SEALED.test(value);
}
