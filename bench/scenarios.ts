/** What is asked of the contenders. */

import type { Contender } from "./contenders.ts";
import { defaultConnections } from "./load.ts";
import type { Variant } from "./process.ts";

export interface Scenario {
  readonly name: string;
  readonly variant: Variant;
  /** Of contenders/actions.js. */
  readonly paths: readonly string[];
  /** How many sessions the connections share out among them; 0: requests have no cookie. */
  readonly sessions: number;
  /** What a session holds beside a number. */
  readonly kilobytes?: number;
  /** So many requests, one for each forged cookie, instead of some seconds. */
  readonly forged?: number;
}

const own = defaultConnections;

export const scenarios: readonly Scenario[] = [
  { name: "anonymous", variant: "plain", paths: ["/"], sessions: 0 },
  { name: "read", variant: "plain", paths: ["/read"], sessions: own },
  { name: "write", variant: "plain", paths: ["/write"], sessions: own },
  { name: "8 KB", variant: "plain", paths: ["/read", "/write"], sessions: own, kilobytes: 8 },
  { name: "one session", variant: "plain", paths: ["/read", "/write"], sessions: 1 },
  { name: "read, idle expiry", variant: "idle", paths: ["/read"], sessions: own },
  { name: "forged", variant: "signed", paths: ["/read"], sessions: own, forged: 10_000 },
];

/** How the cost grows with what a session holds. */
export const sizes: readonly Scenario[] = [1, 4, 16, 64].map((kilobytes) => ({
  name: `${kilobytes} KB`,
  variant: "plain",
  paths: ["/read", "/write"],
  sessions: own,
  kilobytes,
}));

/** How the cost grows with the number of stored sessions; more are asked for than a processor's cache remembers. */
export const storedCounts: readonly number[] = [1_000, 100_000, 1_000_000];
export const amongMany: Scenario = { name: "among many", variant: "plain", paths: ["/read", "/write"], sessions: 960 };

export function applies({ lacks, role }: Contender, { variant, kilobytes = 0, forged }: Scenario): boolean {
  if (variant === "idle" && lacks.includes("idle expiry")) return false;
  if (kilobytes > 0 && lacks.includes("8 KB")) return false;
  return forged === undefined || role !== "limit"; // whose limit is the bare framework
}
