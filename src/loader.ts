/** From what a client sent to a session. */

import type { Core } from "./core.ts";
import { SessionError } from "./errors.ts";
import type { Limit } from "./limit.ts";
import { isMarker, type Found } from "./records.ts";
import { stateOf, type Session } from "./session.ts";
import type { OpenedToken } from "./token.ts";

/** How many of the tokens of one request are tried, well-formed ones only. */
const maxCandidates = 3;
/** How many are looked at: with secrets each costs a signature. */
const maxPresented = 20;

/** A token that a client sent, and what the store has for it. */
interface Candidate {
  readonly opened: OpenedToken;
  readonly at: Found;
}

/** The loading half of a manager. */
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

  /** The session that the tokens stand for; without tokens a new one. `touch`: whether that moves the idle timeout. */
  load(tokens: readonly OpenedToken[], touch: boolean): Promise<Session> {
    const { limits, options } = this.#core;
    if (tokens.length === 0) return Promise.resolve(this.#core.session());
    const loaded = limits.run((limit) => this.#find(tokens, touch, limit));
    if (options.outage === "error") return loaded;
    return loaded.catch((error: unknown) => {
      if (!(error instanceof SessionError) || error.code !== "store-unavailable") throw error;
      return this.#core.unavailable();
    });
  }

  /** A session that stands on a stored record. */
  standingOn(stored: Found, token: string): Session {
    const session = this.#core.session();
    const state = stateOf(session);
    state.stored = stored;
    state.token = state.presented = token;
    state.values = stored.record.values;
    state.deadline = stored.record.deadline;
    state.createdAt = stored.record.createdAt;
    state.rememberMe = stored.record.rememberMe;
    return session;
  }

  /** Moves the idle timeout of a session, beside what else is done with it; a failure is an event, not an error. */
  touch(session: Session, at: Found): void {
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

  #find(tokens: readonly OpenedToken[], touch: boolean, limit: Limit): Promise<Session> {
    const load = <T>(opened: OpenedToken, use: (at: Found | undefined) => T): Promise<T> => {
      const { records } = this.#core;
      return records.load(records.keyOf(opened.token), limit, use);
    };
    const [only] = tokens;
    if (only !== undefined && tokens.length === 1) {
      return load(only, (at) => {
        if (at !== undefined && !isMarker(at)) return this.#take({ opened: only, at }, touch);
        return this.#choose(at === undefined ? [] : [{ opened: only, at }], touch);
      });
    }
    const candidates = tokens.map((opened) => load(opened, (at) => (at === undefined ? [] : [{ opened, at }])));
    return Promise.all(candidates).then((found) => this.#choose(found.flat(), touch));
  }

  /** One live session wins; of several of one subject that with the latest deadline; of several subjects none. */
  #choose(found: readonly Candidate[], touch: boolean): Session {
    const { records, publish } = this.#core;
    const live = found.filter(({ at }) => !isMarker(at)).sort((a, b) => b.at.record.deadline - a.at.record.deadline);
    const subjects = new Set(live.map(({ at }) => records.subjectOf(at.record.values)));
    if (subjects.size > 1) publish({ type: "ambiguous", sessions: live.map(({ at }) => records.idOf(at.key)) });
    const chosen = subjects.size === 1 ? live[0] : undefined;
    const session = chosen === undefined ? this.#core.session() : this.#take(chosen, touch);
    const state = stateOf(session);
    state.others = found.filter((candidate) => candidate !== chosen).map(({ at }) => at);
    // Where there are only markers, the browser has a newer token on its way.
    if (live.length === 0 && found.length > 0) state.gone = { marker: found[0]?.at };
    return session;
  }

  #take({ opened, at }: Candidate, touch: boolean): Session {
    const session = this.standingOn(at, opened.token);
    stateOf(session).stale = opened.stale;
    if (touch) this.touch(session, at);
    return session;
  }
}
