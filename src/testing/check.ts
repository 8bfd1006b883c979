/** How the cases of the contracts compare: without any test runner's assertions. */

/** Throws, saying what should have been, unless both are the same. */
export function same(what: string, actual: unknown, expected: unknown): void {
  const [is, should] = [show(actual), show(expected)];
  if (is !== should) throw new Error(`${what}: ${is}, but it has to be ${should}.`);
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes [${value.length > 300 ? digest(value) : value.join(" ")}]`;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function digest(data: Uint8Array): string {
  let sum = 0;
  for (const byte of data) sum = (sum * 31 + byte) % 1_000_000_007;
  return `${String(data.length)} of them, sum ${String(sum)}`;
}
