/** Where time comes from: the system, or a test. */

/** A source of time. `scs-session/testing` has one that tests set. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` once, `ms` milliseconds from now, without keeping the process alive; the function returned calls it off. */
  after(ms: number, fn: () => void): () => void;
}

/** The system's clock. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  after(ms: number, fn: () => void) {
    const timer: unknown = setTimeout(fn, ms);
    // Timers are numbers on Workers, which end with their request anyway.
    if (typeof timer === "object" && timer !== null) (timer as NodeJS.Timeout).unref();
    return () => {
      clearTimeout(timer as NodeJS.Timeout);
    };
  },
});
