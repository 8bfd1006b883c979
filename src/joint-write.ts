/**
 * One write for several commits of one session. They take turns inside a process; who has its turn stores what those ask for
 * that wait right behind it, too. In their turns they find that it is done.
 */

import type { Changes } from "./changes.ts";
import type { SessionRecord } from "./codec.ts";
import type { Work } from "./ending.ts";
import { isFinal, SessionError } from "./errors.ts";
import type { Found, Records } from "./records.ts";
import { isOfAnother, newCommitId, noteConflict, revise } from "./revision.ts";

/** A commit that waits for its turn, and may be stored by the one before it. */
export interface Joining {
  readonly changes: Changes;
  /** What it has loaded. */
  readonly loaded: Found;
  /** Runs its functions as its own request does, for AsyncLocalStorage. Undefined: it has none. */
  readonly inContext: (<T>(work: () => T) => T) | undefined;
}

/** Replaces what was found by `record`, which has the changes of one commit, and by what `waiting` ask for on top. */
export async function replaceJointly(
  work: Work,
  changes: Changes,
  at: Found,
  record: SessionRecord,
  waiting: readonly Joining[],
): Promise<Found | "conflict" | "missing"> {
  const { records, limit } = work;
  const joined: { readonly each: Joining; readonly before: SessionRecord }[] = [];
  let joint = record;
  for (const each of waiting) {
    const apply = (): SessionRecord | undefined => withChanges(records, joint, each.changes);
    const next = each.inContext === undefined ? apply() : each.inContext(apply);
    if (next === undefined) break; // and those behind it come after it
    joined.push({ each, before: joint });
    joint = next;
  }
  if (joined.length === 0) return records.replace(at, record, limit);

  const commit = newCommitId();
  changes.jointIds.push(commit);
  for (const { each } of joined) {
    each.changes.jointIds.push(commit);
    each.changes.uncertain.push({ id: commit, over: at.record.commit });
  }
  const nothingStored = (): void => {
    for (const { each } of joined) {
      each.changes.uncertain = each.changes.uncertain.filter(({ id }) => id !== commit);
    }
  };
  try {
    const answer = await records.replace(at, { ...joint, commit }, limit);
    if (typeof answer === "object") {
      for (const { each, before } of joined) noteConflict(work, each.changes, each.loaded, { ...at, record: before });
    } else {
      nothingStored();
    }
    return answer;
  } catch (error) {
    if (!isFinal(error)) throw error; // whether it was carried out, the others look for themselves
    nothingStored(); // it was not sent: it is too large, say
    return records.replace(at, record, limit);
  }
}

/** Whether a record was written for these changes. */
export function wrote({ commitId, jointIds }: Changes, { record: { commit } }: Found): boolean {
  return commit === commitId || jointIds.includes(commit);
}

/**
 * Throws `store-unavailable` if the changes may be in what a record stems from: made once more, an update would count twice.
 * Asked again, they are, as those of any commit.
 */
export function checkCertain(changes: Changes, { record }: Found): void {
  if (changes.uncertain.every(({ over }) => over === record.commit)) return;
  changes.uncertain = [];
  throw new SessionError(
    "store-unavailable",
    "The session store has not answered whether it stored the session, which was changed since.",
  );
}

/** A record with the changes of another commit; undefined if that needs a turn of its own: to renew the token, or to fail. */
function withChanges(records: Records, record: SessionRecord, changes: Changes): SessionRecord | undefined {
  try {
    const next = revise(record, changes);
    return isOfAnother(records, record, next) ? undefined : next;
  } catch {
    return undefined;
  }
}
