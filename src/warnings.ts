/** Warnings about what nobody would notice otherwise, once for each process. */

const given = new Set<string>();

/** Emits a process warning with the code `SCS_<CODE>`, the first time it is called with this code. */
export function warnOnce(code: string, message: string): void {
  if (given.has(code)) return;
  given.add(code);
  const warning = { type: "SessionWarning", code: `SCS_${code.toUpperCase().replaceAll("-", "_")}` };
  if (typeof process === "object" && typeof process.emitWarning === "function") process.emitWarning(message, warning);
}
