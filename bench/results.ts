/** What a run has found, and what follows from it: medians and ratios within the run. */

import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import type { Contender } from "./contenders.ts";
import type { Correctness } from "./correctness.ts";
import type { Count } from "./counts.ts";
import type { MemoryUse } from "./memory.ts";
import type { Round, Speed } from "./speed.ts";

export interface Results {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly secondsOfRound: number;
  readonly secondsOfRun: number;
  readonly absent: readonly string[];
  readonly speeds: readonly Speed[];
  readonly counts: readonly Count[];
  readonly correctness: readonly Correctness[];
  readonly sizes: readonly Speed[];
  readonly stored: readonly Speed[];
  readonly memory: readonly MemoryUse[];
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
  return { median, low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN };
}

/** One beside another, round by round. */
export function compare(
  one: Speed,
  other: Speed,
  measure: keyof Round,
  how: (a: number, b: number) => number = (a, b) => a / b,
): Spread {
  return spreadOf(one.rounds.map((round, n) => how(round[measure], other.rounds[n]?.[measure] ?? NaN)));
}

/** The result of a contender in a scenario. */
export function find(
  speeds: readonly Speed[],
  wanted: Partial<Pick<Contender, "framework" | "name" | "store" | "role">>,
  scenario: string,
): Speed | undefined {
  const keys = Object.keys(wanted) as (keyof typeof wanted)[];
  return speeds.find((speed) => speed.scenario === scenario && keys.every((key) => speed[key] === wanted[key]));
}

/** The peer with the same framework and store that answers most requests. */
export function bestPeer(speeds: readonly Speed[], { framework, store, scenario }: Speed): Speed | undefined {
  return speeds
    .filter((each) => each.role === "peer" && each.framework === framework && each.store === store)
    .filter((each) => each.scenario === scenario)
    .sort((a, b) => medianOf(b) - medianOf(a))[0];
}

const medianOf = ({ rounds }: Speed): number => spreadOf(rounds.map((round) => round.requestsPerSecond)).median;

export function describeMachine(): string {
  const processors = cpus();
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const [kernel = ""] = /^\d+\.\d+/.exec(release()) ?? [];
  return `${processors.length} × ${processors[0]?.model.trim() ?? "?"}, ${gigabytes} GB, ${type()} ${kernel}`;
}

/** Of Node and of all packages that take part. */
export function versionsOfPackages(): Record<string, string> {
  const file = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
  const { version } = file("../package.json") as { version: string };
  const { dependencies } = file("package.json") as { dependencies: Record<string, string> };
  return { node: process.version.slice(1), "scs-session": version, ...dependencies };
}
