/**
 * How a session is stored: every write is a conditional `replace`, so that no request undoes what another has done.
 * A renewed session leaves a marker under its old token that points to its successor. The steps are checked in every
 * interleaving by test/commit-model.test.ts; extend the model before you change one.
 */

import { apply, Changes, taken, type Merged } from "./changes.ts";
import type { SessionRecord } from "./codec.ts";
import { sameContext } from "./context.ts";
import { end, endInTurn, type Work } from "./ending.ts";
import { isFinal, SessionError } from "./errors.ts";
import { checkCertain, replaceJointly, wrote, type Joining } from "./joint-write.ts";
import { isMarker, type Found, type Records } from "./records.ts";
import { commitId, isOfAnother, noteConflict, revise } from "./revision.ts";
import type { SessionState } from "./session.ts";
import { newToken } from "./token.ts";
import { alike, valueOf, type Values } from "./values.ts";

/** Where a session stands after a commit: stored under a token, or gone, with the marker that was found in its place. */
export type Standing = { readonly stored: Found; readonly token: string } | { readonly gone: Found | undefined };

/**
 * Carries out what was asked of a session. Undefined: it was ended, and nothing new begun. May be called again after a
 * failure. (Here and in `attempt` nothing is awaited that need not be: on the way of every write each promise counts.)
 */
export function carryOut(work: Work, state: SessionState, changes: Changes): Promise<Standing | undefined> {
  if (changes.newToken !== undefined) changes.earlierTokens.push(changes.newToken);
  changes.newToken = undefined;
  if (state.attached && needsToken(work.records, state, changes)) throw withoutToken();
  const attempted = attempt(work, state, changes);
  if (changes.earlierTokens.length === 0) return attempted;
  return attempted.then(
    (standing) => forgetEarlier(work, changes.earlierTokens, standing),
    async (error: unknown) => {
      if (isFinal(error)) await forgetEarlier(work, changes.earlierTokens, undefined);
      throw error;
    },
  );
}

/** After a further attempt: what the earlier ones have stored goes. */
async function forgetEarlier(
  work: Work,
  tokens: readonly string[],
  standing: Standing | undefined,
): Promise<Standing | undefined> {
  for (const token of tokens) await forget(work, token, standing);
  return stillThere(work, standing);
}

/**
 * What was stored, if it is still there: after further calls of the store the response must not hand out a token that has
 * been ended or renewed meanwhile.
 */
async function stillThere({ records, limit }: Work, standing: Standing | undefined): Promise<Standing | undefined> {
  if (standing === undefined || "gone" in standing) return standing;
  const latest = await records.find(standing.stored.key, limit);
  return latest === undefined || isMarker(latest) ? { gone: latest } : standing;
}

/** Deletes what an earlier attempt has stored under a token that nobody was given. */
async function forget({ records, limit }: Work, token: string, standing: Standing | undefined): Promise<void> {
  const key = records.keyOf(token);
  if (standing !== undefined && "stored" in standing && standing.stored.key === key) return;
  const found = await records.find(key, limit);
  if (found !== undefined) await records.delete(found, limit);
}

function attempt(work: Work, state: SessionState, changes: Changes): Promise<Standing | undefined> {
  const { stored, gone, others } = state;
  if (changes.destroy) return endAndBegin(work, state, changes);
  const saved =
    stored !== undefined
      ? saveInTurn(work, state, changes, stored)
      : gone !== undefined
        ? superseded(work, state, changes, undefined, gone.marker, undefined)
        : create(work, state, changes);
  return others.length + changes.merged.length === 0
    ? saved
    : saved.then((standing) => endOthers(work, state, changes, standing));
}

/** Ends the session, and begins another one if anything was put after `destroy()`. */
async function endAndBegin(work: Work, state: SessionState, changes: Changes): Promise<Standing | undefined> {
  const { stored, gone, others } = state;
  const ended = await endInTurn(work, stored ?? gone?.marker);
  for (const found of others) await endInTurn(work, found);
  const had = ended?.record.values ?? {};
  if (!changes.taking.every(({ key, popped }) => alike(valueOf(had, key), popped))) throw taken();
  changes.taking = []; // another attempt would look for them in what is ended
  return changes.saves ? create(work, state, changes) : undefined;
}

/** Once the session is stored, those end that a login leaves behind, and those that were merged into it. */
async function endOthers(
  work: Work,
  state: SessionState,
  changes: Changes,
  saved: Standing,
): Promise<Standing | undefined> {
  let standing = saved;
  if ("gone" in standing) return standing;
  // Several live cookies of one name lead nowhere; who logs in is to be spared that from now on.
  const hasLogin = isOfAnother(work.records, state.stored?.record, standing.stored.record);
  const rivals = state.others.filter((found) => hasLogin && !isMarker(found));
  for (const found of rivals) await endInTurn(work, found);
  for (const merged of changes.merged) {
    standing = await absorb(work, state, changes, standing, merged);
    if ("gone" in standing) return standing;
  }
  return rivals.length + changes.merged.length > 0 ? stillThere(work, standing) : standing;
}

/**
 * Ends a session whose values this one has taken over; what another request has put into it since is taken over first.
 * (Ended before the values are stored here, it would lose them all if that fails.)
 */
async function absorb(
  work: Work,
  state: SessionState,
  changes: Changes,
  before: { readonly stored: Found; readonly token: string },
  { found, keys }: Merged,
): Promise<Standing> {
  let standing: Standing = before;
  for (let at = found; ;) {
    const answer = await work.records.delete(at, work.limit);
    if (answer === "replaced") work.publish({ type: "destroyed", session: work.records.idOf(at.key) });
    let newest = answer === "conflict" ? await work.records.find(at.key, work.limit) : undefined;
    // Renewed meanwhile: what it was renewed into holds the same values, or newer ones.
    for (const seen = new Set<string>(); newest?.record.successor !== undefined && !seen.has(newest.key);) {
      seen.add(newest.key);
      newest = await work.records.find(newest.record.successor, work.limit);
    }
    if (newest === undefined || isMarker(newest)) return standing;
    const late = new Changes();
    const { values } = newest.record;
    for (const key of keys ?? Object.keys(values)) {
      if (!Object.hasOwn(values, key) || alike(valueOf(at.record.values, key), values[key])) continue;
      late.operations.push({ type: "put", key, value: values[key] });
    }
    changes.operations.push(...late.operations); // for another attempt
    if (late.operations.length > 0) {
      standing = await saveInTurn(work, { ...state, token: standing.token }, late, standing.stored);
      if ("gone" in standing) return standing;
    }
    at = newest;
  }
}

/** Commits of one token take turns inside a process, so that `replace` decides only between processes. */
function saveInTurn(work: Work, state: SessionState, changes: Changes, loaded: Found): Promise<Standing> {
  // A renewal and a merge take further steps; a socket's write leaves the expiry where it is.
  const isPlain = changes.renewal === undefined && changes.merged.length === 0 && !state.attached && !state.unattended;
  return work.turns.run(
    loaded.key,
    work.limit,
    (latest, waiting) => {
      const newest = latest === undefined ? loaded : latest.at;
      return save(work, state, changes, loaded, newest, isPlain ? waiting : none);
    },
    (standing) => {
      const at = "stored" in standing ? standing.stored : standing.gone;
      return at === undefined || at.key === loaded.key ? { at } : undefined;
    },
    isPlain ? () => joining(changes, loaded) : undefined,
  );
}

function joining(changes: Changes, loaded: Found): Joining {
  const hasFunctions = changes.operations.some(({ type }) => type === "update");
  return { changes, loaded, inContext: hasFunctions ? sameContext() : undefined };
}

const none = (): readonly Joining[] => [];

/** Stores a session that has no record yet. */
async function create(work: Work, state: SessionState, changes: Changes): Promise<Standing> {
  const token = (changes.newToken ??= newToken());
  const record = revise(blank(state), changes);
  const stored = await work.records.create(work.records.keyOf(token), record, work.limit);
  work.publish({ type: "created", session: work.records.idOf(stored.key) });
  return { stored, token };
}

/**
 * Applies the changes to a stored session. `newest` is what is known to be stored by now: a record, a marker, or nothing.
 * `waiting`: the commits that wait for this one.
 */
async function save(
  work: Work,
  state: SessionState,
  changes: Changes,
  loaded: Found,
  newest: Found | undefined,
  waiting: () => readonly Joining[],
): Promise<Standing> {
  const { records, limit } = work;
  for (let at = loaded; ;) {
    // Past its expiry as we know it, other requests may have kept it alive; and a socket must not set back what they moved.
    // (What is touched between this look and the replace is set back: only stores could take the later of both in one step.)
    const movedMaybe = newest !== undefined && state.attached && newest.expiry < newest.record.deadline;
    // What may be stored already is not to fail for what was loaded.
    const storedMaybe = newest === loaded && changes.uncertain.length > 0;
    if (newest !== undefined && (movedMaybe || storedMaybe || newest.expiry <= work.now())) {
      newest = await records.find(newest.key, limit);
    }
    if (newest === undefined || isMarker(newest)) return superseded(work, state, changes, loaded, newest, undefined);
    if (wrote(changes, newest)) return { stored: newest, token: state.token };
    if (newest !== loaded) checkCertain(changes, newest);
    noteConflict(work, changes, at, newest);
    at = newest;
    const record = revise(at.record, changes);
    if (changes.renewal !== undefined || (!state.unattended && isOfAnother(records, at.record, record))) {
      return renew(work, state, changes, loaded, at);
    }
    // A socket is no visit: its writes leave the idle timeout where it is.
    const expiry = state.attached ? Math.min(at.expiry, record.deadline) : undefined;
    const others = waiting();
    const answer =
      others.length === 0
        ? await records.replace(at, record, limit, expiry)
        : await replaceJointly(work, changes, at, record, others);
    if (typeof answer === "object") return { stored: answer, token: state.token };
    newest = answer === "conflict" ? await records.find(at.key, limit) : undefined;
  }
}

/**
 * Applies the changes under a new token. The new record comes first: nobody knows its token yet. Then the old one is
 * replaced by a marker, which is the one commit point. (The other way round, a destroy in between would find nothing to
 * end, and the session would come back.)
 */
async function renew(
  work: Work,
  state: SessionState,
  changes: Changes,
  loaded: Found,
  newest: Found | undefined,
): Promise<Standing> {
  if (state.attached) throw withoutToken();
  const { records, limit } = work;
  const token = (changes.newToken ??= newToken());
  const key = records.keyOf(token);
  let created: Found | undefined;
  try {
    for (let at = newest; ; at = newest) {
      if (newest === undefined || isMarker(newest)) {
        return await superseded(work, state, changes, loaded, newest, created);
      }
      if (at !== undefined) noteConflict(work, changes, at, newest);
      const record = revise(newest.record, changes);
      const written =
        created === undefined
          ? await records.create(key, record, limit)
          : await records.replace(created, record, limit);
      if (typeof written !== "object") return { gone: newest }; // revoked meanwhile
      created = written;
      const answer = await records.mark(newest, key, commitId(changes), limit);
      if (typeof answer === "object") {
        const automatic = changes.renewal === undefined;
        work.publish({ type: "renewed", session: records.idOf(newest.key), successor: records.idOf(key), automatic });
        return { stored: created, token };
      }
      newest = answer === "conflict" ? await records.find(newest.key, limit) : undefined;
    }
  } catch (error) {
    // Nobody will ever be given its token.
    if (created !== undefined && isFinal(error)) await records.delete(created, limit);
    throw error;
  }
}

/**
 * Another request has ended or renewed the session. A mere rotation gives way, and so does any other write. A renewal with
 * a purpose (login, logout) wins over those before it: it ends them and keeps its own operations only, never loaded values.
 */
async function superseded(
  work: Work,
  state: SessionState,
  changes: Changes,
  loaded: Found | undefined,
  newest: Found | undefined,
  created: Found | undefined,
): Promise<Standing> {
  const { records, limit, publish } = work;
  const successor = newest?.record.successor;
  const token = changes.tokens.find((each) => records.keyOf(each) === successor);
  if (token !== undefined && successor !== undefined) {
    // Our own marker: the renewal was carried out, and its answer lost.
    if (created !== undefined && created.key !== successor) await records.delete(created, limit);
    const stored = await records.find(successor, limit);
    return stored === undefined ? { gone: undefined } : { stored, token };
  }
  // Whether the value is still there can no longer be told.
  if (changes.taken().length > 0) throw taken();
  const own = ownOperations(records, changes, loaded?.record.values ?? {});
  if (own.length === 0) {
    if (created !== undefined) await records.delete(created, limit);
    return { gone: newest };
  }
  const start = { ...blank(state), deadline: changes.deadline ?? state.home.now() + state.home.lifetime };
  const record = revise(start, changes, own); // before anything is ended: an update may throw
  await end(work, newest);
  const fresh = (changes.newToken ??= newToken());
  const stored =
    created === undefined
      ? await records.create(records.keyOf(fresh), record, limit)
      : await records.replace(created, record, limit);
  if (typeof stored !== "object") return { gone: newest };
  publish({ type: "created", session: records.idOf(stored.key) });
  return { stored, token: fresh };
}

/**
 * The operations that are a renewal's purpose: those after `renewToken()`, and all when they log in. Those of somebody who was
 * logged in already are not: who has been logged out must not go on as somebody else.
 */
function ownOperations(records: Records, changes: Changes, loaded: Values): Changes["operations"] {
  const { operations, renewal } = changes;
  const isLogin = records.subjectOf(loaded) === undefined && records.subjectOf(apply(loaded, operations)) !== undefined;
  if (isLogin) return operations;
  return renewal === undefined ? [] : operations.slice(renewal.ownFrom);
}

/** Whether the client would have to be told a token: a new one, or that the one it has lasts longer. */
function needsToken(records: Records, { stored, gone }: SessionState, changes: Changes): boolean {
  const { destroy, renewal, merged, rememberMe, deadline = 0, operations } = changes;
  if (renewal !== undefined || merged.length > 0 || rememberMe !== undefined) return true;
  if (destroy || (stored === undefined && gone === undefined)) return changes.saves;
  const values = stored?.record.values ?? {};
  if (records.subjectOf(apply(values, operations)) !== records.subjectOf(values)) return true;
  return stored !== undefined && deadline > stored.record.deadline;
}

function withoutToken(): SessionError {
  const remedy = "Do it in a request. (A socket may end its session: session.destroy())";
  return new SessionError(
    "headers-sent",
    `A socket cannot set cookies: its session cannot be renewed, begun, prolonged, or given to another user. ${remedy}`,
  );
}

function blank({ deadline, createdAt }: SessionState): SessionRecord {
  return { values: {}, deadline, createdAt, rememberMe: false, commit: "" };
}
