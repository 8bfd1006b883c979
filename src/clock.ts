/** Where time comes from: the system, or a test. */

/** A source of time. `scs-session/testing` has one that tests set. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` once, `ms` milliseconds from now, without keeping the process alive; the function returned calls it off. */
  after(ms: number, fn: () => void): () => void;
}

/** Timers that are to take longer fire at once. */
const longestTimer = 2 ** 31 - 1;

/** The system's clock. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  after(ms: number, fn: () => void) {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      const rest = left - longestTimer;
      const next = (): void => {
        if (rest > 0) wait(rest);
        else fn();
      };
      timer = setTimeout(next, Math.min(left, longestTimer));
      // Timers are numbers on Workers, which end with their request anyway.
      if (typeof timer === "object") timer.unref();
    };
    wait(ms);
    return () => {
      clearTimeout(timer);
    };
  },
});
