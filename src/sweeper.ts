/** Deletes expired sessions from the store. */

import type { Core } from "./core.ts";

/** How many are deleted by one call of the store. */
const batchSize = 100;
/**
 * How much longer than a batch the pause after it is: requests use the same store, and drivers that block the same thread. A
 * store that is slow gets longer pauses, up to a limit in milliseconds: sessions must not expire faster than they are swept.
 */
const pauseFactor = 9;
const longestPause = 500;

/** The sweeping half of a manager. */
export class Sweeper {
  readonly #core: Core;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Deletes what has expired, and says how many. Each batch may take as long as any call of the store. */
  prune(): Promise<number> {
    return this.#prune((batch) => this.#core.limits.run(batch));
  }

  /** Sweeps again and again from now on, if it does not do so already. */
  start(): void {
    if (this.#cancel === undefined) this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #schedule(): void {
    const { sweepInterval, clock, store } = this.#core.options;
    if (this.#stopped || sweepInterval === undefined || store.deleteExpired === undefined) return;
    // Processes that started together are not to sweep together.
    const jitter = 0.9 + Math.random() / 5;
    this.#cancel = clock.after(sweepInterval * jitter, () => {
      const sweep = this.#prune((batch) => batch()).catch(() => undefined);
      this.#core.track(sweep);
      void sweep.then(() => {
        this.#schedule();
      });
    });
  }

  async #prune(run: (batch: () => Promise<number>) => Promise<number>): Promise<number> {
    const { store } = this.#core.options;
    let total = 0;
    try {
      for (;;) {
        const start = performance.now();
        const deleted = await run(async () => (await store.deleteExpired?.(batchSize)) ?? 0);
        total += deleted;
        if (deleted < batchSize || this.#stopped) break;
        const pause = Math.min(longestPause, pauseFactor * (performance.now() - start));
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    } catch (error) {
      throw this.#core.storeError("delete expired sessions", error);
    }
    return total;
  }
}
