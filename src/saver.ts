/** From what was asked of a session to the store, and to what the client is told. */

import { apply, Changes } from "./changes.ts";
import { carryOut, type Standing, type Work } from "./commit.ts";
import type { Core } from "./core.ts";
import { SessionError } from "./errors.ts";
import type { Limit } from "./limit.ts";
import { isMarker, type Found } from "./records.ts";
import type { SessionState } from "./session.ts";
import { Turns } from "./turns.ts";

/** The storing half of a manager. */
export class Saver {
  readonly #core: Core;
  readonly #turns = new Turns<Found | undefined>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** What the steps of the commit work with. */
  work(limit: Limit): Work {
    const { records, publish, home } = this.#core;
    return { records, publish, now: () => home.now(), turns: this.#turns, limit };
  }

  /** Stores what was asked for. Commits of one session run one after the other. */
  save(state: SessionState): Promise<void> {
    if (state.running !== undefined) return state.running.catch(() => undefined).then(() => this.save(state));
    const running = this.#save(state);
    state.running = running;
    this.#core.track(running, () => {
      state.running = undefined;
    });
    return running;
  }

  /** Carries out a pending destroy, and drops everything else. */
  async saveDestroy(state: SessionState): Promise<void> {
    while (state.running !== undefined) await state.running.catch(() => undefined);
    if (state.committing?.destroy !== true && !state.changes.destroy) return;
    state.committing = undefined;
    state.changes = new Changes();
    state.changes.destroy = true;
    await this.save(state);
  }

  async #save(state: SessionState): Promise<void> {
    while (state.committing !== undefined || !state.changes.isEmpty) {
      if (state.committing === undefined) {
        state.committing = state.changes;
        state.changes = new Changes();
      }
      const changes = state.committing;
      // Coming after what is written now, it would set back a later deadline.
      if (state.touched !== undefined) await state.touched;
      let standing: Standing | undefined;
      try {
        standing = await this.#core.limits.run((limit) => carryOut(this.work(limit), state, changes));
      } catch (error) {
        // A write whose answer is unknown is tried again as it was; anything else the application can still amend.
        if (!(error instanceof SessionError) || error.code !== "store-unavailable") {
          state.changes = changes.followedBy(state.changes);
          state.committing = undefined;
        }
        throw error;
      }
      state.committing = undefined;
      this.#arrive(state, changes.destroy, standing);
    }
    if (state.touched !== undefined || state.stale) await this.#refresh(state);
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
    const { values, deadline, createdAt, rememberMe } = stored.record;
    if (!changes.destroy) {
      state.values = changes.operations.length === 0 ? values : apply(values, changes.operations);
      state.deadline = changes.deadline ?? deadline;
      state.createdAt = createdAt;
      state.rememberMe = changes.rememberMe ?? rememberMe;
    }
    this.#tell(state, stored.expiry, rememberMe);
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
   * Gives the client its token again, since the idle timeout has moved or its signature is old. Between load and now the
   * session may have been ended or renewed: sent then, the token would replace that of the new session.
   */
  async #refresh(state: SessionState): Promise<void> {
    const { limits, records } = this.#core;
    const { stored, touched, stale, rememberMe } = state;
    state.touched = undefined;
    state.stale = false;
    if (stored === undefined || (!stale && !this.#isPersistent(rememberMe))) return;
    if ((await touched) !== true && !stale) return;
    const latest = await limits.run((limit) => records.find(stored.key, limit)).catch(() => undefined);
    if (latest === undefined || isMarker(latest)) return;
    this.#tell(state, latest.expiry, rememberMe);
  }

  /** The client is to be told the token; sessions of `iterate` may have none that is known. */
  #tell(state: SessionState, expiry: number, rememberMe: boolean): void {
    if (state.token !== "") state.outcome = { token: state.token, expiry, persistent: this.#isPersistent(rememberMe) };
  }

  #isPersistent(rememberMe: boolean): boolean {
    return this.#core.options.transport.persist !== false || rememberMe;
  }
}
