/** Durations are written out with their unit, so that nobody has to know whether a number means seconds or milliseconds. */

import { SessionError } from "./errors.ts";

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A whole number and its unit: `"500ms"`, `"30s"`, `"20m"`, `"12h"`, `"30d"`. */
export type Duration = `${number}${keyof typeof units}`;

/** The milliseconds of a duration; throws `invalid-option`, naming the option, for anything that is not a positive one. */
export function milliseconds(duration: Duration, option: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(duration);
  const ms = match === null ? 0 : Number(match[1]) * units[match[2] as keyof typeof units];
  if (ms <= 0) {
    const remedy = 'write a whole number above zero with its unit: "500ms", "30s", "20m", "12h" or "30d"';
    throw new SessionError("invalid-option", `${option} is ${describe(duration)}; ${remedy}.`);
  }
  return ms;
}

function describe(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : `${typeof value} ${String(value)}`;
}
