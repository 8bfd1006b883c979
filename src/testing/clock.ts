/** A clock that stands still until a test moves it. */

import type { Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";

/** Time for tests: `new SessionManager({ clock })`, then `clock.advance("20m")`. */
export class TestClock implements Clock {
  #now: number;
  #timers: { readonly at: number; readonly fn: () => void }[] = [];

  /** Starts at the given time; by default at the present, in whole seconds. */
  constructor(start: Date = new Date(Math.floor(Date.now() / 1000) * 1000)) {
    this.#now = start.getTime();
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves the time on and calls what is due on the way, in order. */
  advance(duration: Duration): void {
    const end = this.#now + milliseconds(duration, "duration");
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.at;
      next.fn();
    }
    this.#now = end;
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.length;
  }
}
