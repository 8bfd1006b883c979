/** From what a client sent to a session. */

import type { Core } from "./core.ts";
import type { Limit } from "./limit.ts";
import { isMarker, type Found } from "./records.ts";
import { stateOf, type Session } from "./session.ts";
import type { OpenedToken } from "./token.ts";

/** How many of the tokens of one request are tried, well-formed ones only. */
const maxCandidates = 3;
/** How many are looked at: with secrets each costs a signature. */
const maxPresented = 20;

/** A token that a client sent, and what the store has for it. */
interface Candidate extends OpenedToken {
  readonly at: Found;
}

export class Loader {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The tokens among what a client sent that this manager can have issued. */
  recognise(presented: readonly string[]): OpenedToken[] {
    const { options, publish } = this.#core;
    const tokens: OpenedToken[] = [];
    for (const text of presented.slice(0, maxPresented)) {
      const opened = options.framing.open(text);
      if (opened === undefined) publish({ type: "refused", reason: "malformed" });
      else if (tokens.every(({ token }) => token !== opened.token)) tokens.push(opened);
      if (tokens.length === maxCandidates) break;
    }
    return tokens;
  }

  /** The session that the tokens stand for; without tokens a new one. */
  async load(tokens: readonly OpenedToken[]): Promise<Session> {
    const { limits, options } = this.#core;
    if (tokens.length === 0) return this.#core.session();
    try {
      return this.#choose(await limits.run((limit) => this.#find(tokens, limit)));
    } catch (error) {
      if (options.outage === "error") throw error;
      return this.#core.session({ available: false });
    }
  }

  /** A session that stands on a stored record. */
  standingOn(stored: Found, token: string, others: readonly Found[] = []): Session {
    const { values, deadline, createdAt, rememberMe } = stored.record;
    return this.#core.session({ stored, token, others, values, deadline, createdAt, rememberMe });
  }

  async #find(tokens: readonly OpenedToken[], limit: Limit): Promise<Candidate[]> {
    const { records } = this.#core;
    const find = async (opened: OpenedToken): Promise<Candidate[]> => {
      const at = await records.load(records.keyOf(opened.token), limit);
      return at === undefined ? [] : [{ ...opened, at }];
    };
    return (await Promise.all(tokens.map(find))).flat();
  }

  /** One live session wins; of several of one subject that with the latest deadline; of several subjects none. */
  #choose(found: readonly Candidate[]): Session {
    const { records, publish } = this.#core;
    const live = found.filter(({ at }) => !isMarker(at)).sort((a, b) => b.at.record.deadline - a.at.record.deadline);
    const subjects = new Set(live.map(({ at }) => records.subjectOf(at.record.values)));
    if (subjects.size > 1) publish({ type: "ambiguous", sessions: live.map(({ at }) => records.idOf(at.key)) });
    const chosen = subjects.size === 1 ? live[0] : undefined;
    const others = found.filter((candidate) => candidate !== chosen).map(({ at }) => at);
    if (chosen === undefined) {
      const gone = live.length === 0 && others.length > 0 ? { marker: others[0] } : undefined;
      return this.#core.session({ others, gone });
    }
    const session = this.standingOn(chosen.at, chosen.token, others);
    stateOf(session).stale = chosen.stale;
    this.#touch(session, chosen.at);
    return session;
  }

  /** Moves the idle timeout, beside the handler; a failure is an event, not an error. */
  #touch(session: Session, at: Found): void {
    const { options, records, limits } = this.#core;
    if (options.idleTimeout === undefined) return;
    const expiry = records.expiryOf(at.record.deadline);
    if (expiry - at.expiry <= options.touchInterval) return;
    const state = stateOf(session);
    const touched = limits
      .run((limit) => records.touch(at, expiry, limit))
      .then((moved) => {
        if (moved && state.stored === at) state.stored = { ...at, expiry };
        return moved;
      })
      .catch(() => false);
    state.touched = touched;
    this.#core.track(touched);
  }
}
