/** How a session is ended, with all that it was renewed into. */

import type { Publish } from "./events.ts";
import type { Joining } from "./joint-write.ts";
import type { Limit } from "./limit.ts";
import type { Found, Records } from "./records.ts";
import type { Turns } from "./turns.ts";

/** What commit and ending work with; one for each commit. */
export interface Work {
  readonly records: Records;
  readonly turns: Turns<Found | undefined, Joining>;
  readonly publish: Publish;
  readonly now: () => number;
  readonly limit: Limit;
}

/** `end`, in the turn of the session's token. */
export function endInTurn(
  work: Work,
  found: Found | undefined,
  wanted?: (found: Found) => boolean,
): Promise<Found | undefined> {
  if (found === undefined) return Promise.resolve(undefined);
  return work.turns.run(found.key, work.limit, (latest) => end(work, latest === undefined ? found : latest.at, wanted));
}

/**
 * Ends a session and, through markers, every session that it was renewed into. With `wanted`, only those it answers
 * true for. Answers what was ended.
 */
export async function end(
  work: Work,
  at: Found | undefined,
  wanted = (_: Found): boolean => true,
): Promise<Found | undefined> {
  const seen = new Set<string>();
  while (at !== undefined && !seen.has(at.key)) {
    if (at.record.successor !== undefined) {
      seen.add(at.key); // a chain that bites its own tail was made by no renewal
      at = await work.records.find(at.record.successor, work.limit);
    } else {
      if (!wanted(at)) return undefined;
      const answer = await work.records.delete(at, work.limit);
      if (answer === "replaced") work.publish({ type: "destroyed", session: work.records.idOf(at.key) });
      if (answer !== "conflict") return answer === "replaced" ? at : undefined;
      at = await work.records.find(at.key, work.limit);
    }
  }
  return undefined;
}
