/** From what was asked of a session to the store, and to what the client is told. */

import { apply, Changes } from "./changes.ts";
import { carryOut, type Standing } from "./commit.ts";
import type { Core } from "./core.ts";
import type { Work } from "./ending.ts";
import { isFinal, SessionError } from "./errors.ts";
import type { Joining } from "./joint-write.ts";
import type { Limit } from "./limit.ts";
import { isMarker, type Found } from "./records.ts";
import type { Outcome, SessionState } from "./session.ts";
import { Turns } from "./turns.ts";

/** The storing half of a manager. */
export class Saver {
  readonly #core: Core;
  readonly #turns = new Turns<Found | undefined, Joining>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** What the steps of the commit work with. */
  work(limit: Limit): Work {
    const { records, publish, home } = this.#core;
    return { records, publish, now: () => home.now(), turns: this.#turns, limit };
  }

  /**
   * Stores what was asked for. Commits of one session run one after the other. `responds`: what the client was to be told by
   * an earlier commit is looked at again, since it is only told now.
   */
  save(state: SessionState, responds = false): Promise<void> {
    const { running, committing, changes, touched, stale, outcome } = state;
    if (running !== undefined) {
      const next = running.catch(() => undefined).then(() => this.save(state, responds));
      this.#core.track(next);
      return next;
    }
    const earlier = responds && outcome !== "cleared" ? outcome : undefined;
    const hasWork = committing !== undefined || !changes.isEmpty || touched !== undefined || stale;
    if (hasWork || earlier !== undefined) return (state.running = this.#save(state, responds, earlier));
    if (responds) state.answer = "stored";
    return Promise.resolve();
  }

  /** Carries out a pending destroy, and drops everything else. */
  async saveDestroy(state: SessionState): Promise<void> {
    this.#core.begin();
    try {
      while (state.running !== undefined) await state.running.catch(() => undefined);
      const { committing, changes } = state;
      if (committing?.destroy !== true && !changes.destroy) return;
      const destroy = new Changes();
      destroy.destroy = true;
      // A renewal that failed half way has stored what was loaded under a token of its own.
      destroy.earlierTokens = committing?.tokens ?? [];
      state.committing = undefined;
      state.changes = destroy;
      await this.save(state);
    } finally {
      this.#core.end();
    }
  }

  /** Only called with something to wait for. `earlier`: what an earlier commit has left to be told to the client. */
  async #save(state: SessionState, responds: boolean, earlier: Outcome | undefined): Promise<void> {
    this.#core.begin();
    try {
      while (state.committing !== undefined || !state.changes.isEmpty) {
        if (state.committing === undefined) {
          state.committing = state.changes;
          state.changes = new Changes();
        }
        const changes = state.committing;
        const standing = await this.#attempt(state, changes);
        state.committing = undefined;
        this.#arrive(state, changes.destroy, standing);
      }
      const isEarlier = earlier !== undefined && state.outcome === earlier;
      if (state.touched !== undefined || state.stale || isEarlier) await this.#refresh(state, isEarlier);
      if (responds) state.answer = "stored";
    } catch (error) {
      if (state.committing !== undefined) this.#giveUp(state, state.committing, error);
      if (responds) state.answer = "failed";
      throw error;
    } finally {
      state.running = undefined;
      this.#core.end();
    }
  }

  #attempt(state: SessionState, changes: Changes): Promise<Standing | undefined> {
    return this.#core.limits.run((limit) => {
      const carriedOut = (): Promise<Standing | undefined> => carryOut(this.work(limit), state, changes);
      // Coming after what is written now, it would set back a later deadline.
      return state.touched === undefined ? carriedOut() : state.touched.then(carriedOut);
    });
  }

  /**
   * A commit has failed. A write whose answer is unknown is tried again as it was, and what is too large can be amended.
   * What another request has made impossible would fail again and again: it is dropped, but for a destroy.
   */
  #giveUp(state: SessionState, changes: Changes, error: unknown): void {
    if (!isFinal(error)) return;
    state.committing = undefined;
    if (error instanceof SessionError && error.code === "too-large") {
      state.changes = changes.followedBy(state.changes);
      return;
    }
    if (changes.destroy) {
      const destroy = new Changes();
      destroy.destroy = true;
      state.changes = destroy.followedBy(state.changes);
    }
    this.#showRecord(state);
  }

  /** Brings the session to where the commit has left it; what was asked since then is still to come. */
  #arrive(state: SessionState, destroyed: boolean, standing: Standing | undefined): void {
    const { changes } = state;
    if (destroyed) {
      state.stored = state.gone = undefined;
      state.token = "";
      state.others = [];
      state.outcome = "cleared";
    }
    if (standing === undefined) return;
    state.touched = undefined;
    state.stale = false;
    if (changes.isEmpty) state.status = "unmodified";
    if ("gone" in standing) {
      this.#leave(state, standing.gone);
      return;
    }

    const { stored, token } = standing;
    state.stored = stored;
    state.token = token;
    state.gone = undefined;
    if (!changes.destroy) this.#showRecord(state);
    this.#tell(state, stored.expiry, stored.record.rememberMe);
  }

  /** The session looks as it is stored, with what was asked since. */
  #showRecord(state: SessionState): void {
    const { stored, changes } = state;
    if (changes.isEmpty) state.status = "unmodified";
    const {
      values = {},
      deadline = state.deadline,
      createdAt = state.createdAt,
      rememberMe = false,
    } = stored?.record ?? {};
    state.values = changes.operations.length === 0 ? values : apply(values, changes.operations);
    state.deadline = changes.deadline ?? deadline;
    state.createdAt = createdAt;
    state.rememberMe = changes.rememberMe ?? rememberMe;
  }

  #leave(state: SessionState, marker: Found | undefined): void {
    const { publish, records, options } = this.#core;
    const id = state.stored && records.idOf(state.stored.key);
    state.stored = state.outcome = undefined;
    state.token = "";
    state.gone = { marker };
    if (!state.changes.destroy) state.values = apply({}, state.changes.operations);
    publish({ type: "gone", session: id ?? (marker === undefined ? "" : records.idOf(marker.key)) });
    if (options.onGone === "error") {
      const message = "The session was ended or renewed by another request, so the change was not stored.";
      throw new SessionError("gone", message);
    }
  }

  /**
   * Gives the client its token, since the idle timeout has moved, its signature is old, or an earlier commit has stored it.
   * Meanwhile the session may have been ended or renewed: sent then, the token would replace that of the new session.
   */
  async #refresh(state: SessionState, isEarlier: boolean): Promise<void> {
    const { limits, records } = this.#core;
    const { stored, touched, stale, rememberMe, attached } = state;
    state.touched = undefined;
    state.stale = false;
    const isWanted = stale || isEarlier;
    if (stored === undefined || attached || (!isWanted && !this.#isPersistent(rememberMe))) return;
    if ((await touched) !== true && !isWanted) return;
    const latest = await limits.run((limit) => records.find(stored.key, limit)).catch(() => "unknown" as const);
    if (latest === "unknown") return;
    if (latest !== undefined && !isMarker(latest)) this.#tell(state, latest.expiry, rememberMe);
    else state.outcome = undefined;
  }

  /** The client is to be told the token; sessions of `iterate` may have none that is known. */
  #tell(state: SessionState, expiry: number, rememberMe: boolean): void {
    if (state.token !== "") state.outcome = { token: state.token, expiry, persistent: this.#isPersistent(rememberMe) };
  }

  #isPersistent(rememberMe: boolean): boolean {
    return this.#core.options.transport.persist !== false || rememberMe;
  }
}
