/** A record and the changes that a commit makes to it. */

import { apply, type Changes } from "./changes.ts";
import type { SessionRecord } from "./codec.ts";
import type { Work } from "./ending.ts";
import type { Found, Records } from "./records.ts";
import { newToken } from "./token.ts";
import { alike, valueOf } from "./values.ts";

/** A record with the changes made to it. */
export function revise(
  record: SessionRecord,
  changes: Changes,
  operations: Changes["operations"] = changes.operations,
): SessionRecord {
  return {
    values: apply(record.values, operations),
    deadline: Math.max(changes.deadline ?? record.deadline, changes.earliestDeadline ?? 0),
    createdAt: record.createdAt,
    rememberMe: changes.rememberMe ?? record.rememberMe,
    commit: commitId(changes),
    state: record.state,
  };
}

/** Whether the subject has changed: a login, a logout, a switch of user. */
export function isOfAnother(records: Records, before: SessionRecord | undefined, after: SessionRecord): boolean {
  return records.subjectOf(before?.values ?? {}) !== records.subjectOf(after.values);
}

/** Tells that the record was written by another request since it was loaded, and which of our keys that concerns. */
export function noteConflict({ records, publish }: Work, changes: Changes, before: Found, newest: Found): void {
  if (before.record.commit === newest.record.commit) return;
  const session = records.idOf(newest.key);
  publish({ type: "conflict", session });
  for (const operation of changes.operations) {
    if (operation.type !== "put" && operation.type !== "remove") continue;
    const { key } = operation;
    if (!alike(valueOf(before.record.values, key), valueOf(newest.record.values, key)))
      publish({ type: "overwrote", session, key });
  }
}

/** The name of a commit in what it writes; one for all attempts. */
export function commitId(changes: Changes): string {
  return (changes.commitId ??= newCommitId());
}

/** Unique among all processes. */
export function newCommitId(): string {
  return `${(processId ??= newToken().slice(0, 11))}${(counter++).toString(36)}`;
}

let processId: string | undefined;
let counter = 0;
