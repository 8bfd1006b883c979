/** Time limits for store calls: thousands run at once and nearly none is reached, so they share one timer. */

import type { Clock } from "./clock.ts";
import { SessionError } from "./errors.ts";
import type { CallOptions } from "./store.ts";
import { warnOnce } from "./warnings.ts";

/** Makes limits of one length. */
export class Limits {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #expiry: boolean;
  readonly #onReached: (error: SessionError) => void;
  readonly #running = new Running();
  #armed = false;

  /** `expiry`: whether the calls of the store want to know it. */
  constructor(clock: Clock, ms: number, expiry: boolean, onReached: (error: SessionError) => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#expiry = expiry;
    this.#onReached = onReached;
  }

  /** Runs `work` under a limit of its own. The promise rejects when the limit is reached, whatever `work` does then. */
  run<T>(work: (limit: Limit) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const limit = new Limit(this.#clock.now() + this.#ms, this.#expiry, () => {
        const message = `The session store did not answer within storeTimeout (${String(this.#ms)} ms).`;
        const error = new SessionError("store-unavailable", message);
        this.#onReached(error);
        reject(error);
      });
      this.#running.add(limit);
      this.#arm(this.#ms);
      const fail = (error: unknown): void => {
        this.#running.delete(limit);
        reject(error);
      };
      try {
        work(limit).then((value) => {
          this.#running.delete(limit);
          resolve(value);
        }, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #arm(ms: number): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(ms, () => {
      this.#armed = false;
      const now = this.#clock.now();
      const due: Limit[] = [];
      for (let limit = this.#running.first; limit !== undefined; limit = this.#running.first) {
        const left = limit.end - now;
        // When the system's clock was set back meanwhile, the end seems farther away than it ever was.
        if (left > 0 && left <= this.#ms) {
          this.#arm(left);
          break;
        }
        this.#running.delete(limit);
        due.push(limit);
      }
      // Not before: what listeners begin has its time, of which `now` knows nothing, and is in nobody's way.
      for (const limit of due) limit.reach();
    });
  }
}

/**
 * What is running, the oldest first. A list, since a Set out of which things soon go again keeps one in three alive, in tables
 * that it has outgrown, until a full garbage collection: with each the whole request.
 */
class Running {
  first: Limit | undefined;
  #last: Limit | undefined;

  add(limit: Limit): void {
    limit.before = this.#last;
    if (this.#last === undefined) this.first = limit;
    else this.#last.after = limit;
    this.#last = limit;
  }

  /** May be called again. */
  delete(limit: Limit): void {
    const { before, after } = limit;
    if (before !== undefined) before.after = after;
    else if (this.first === limit) this.first = after;
    else return;
    if (after !== undefined) after.before = before;
    else this.#last = before;
    limit.before = limit.after = undefined; // or it would keep alive what came after it
  }
}

/** One running limit; what a store receives as its call options. */
export class Limit implements CallOptions {
  /** Its neighbours among those that are running. */
  before: Limit | undefined;
  after: Limit | undefined;
  /** When the limit is reached, in milliseconds since the epoch. */
  readonly end: number;
  readonly expiry: boolean;
  readonly #listeners: (() => void)[];
  #reached = false;
  #controller: AbortController | undefined;

  constructor(end: number, expiry: boolean, onReached: () => void) {
    this.end = end;
    this.expiry = expiry;
    this.#listeners = [onReached];
  }

  onAbort(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get aborted(): boolean {
    return this.#reached;
  }

  /** Made when a store asks for it: most never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reached) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Throws once the limit is reached. */
  check(): void {
    if (this.#reached) throw new SessionError("store-unavailable", "The session store did not answer in time.");
  }

  reach(): void {
    this.#reached = true;
    this.#controller?.abort();
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        // A store's own; all other requests wait for the same timer.
        const threw = error instanceof Error ? error.name : typeof error;
        warnOnce("abort", `A listener that the session store has passed to onAbort threw: ${threw}.`);
      }
    }
  }
}
