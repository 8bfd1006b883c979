/** Work on one key takes turns inside this process; each turn is told what the one before it left there. */

import type { Limit } from "./limit.ts";

/** What was last seen under a key; undefined where that is not known. */
type Known<Latest> = { readonly at: Latest } | undefined;

/** A turn that is not over; the one after it waits for what it leaves. */
interface Turn<Latest> {
  leave: ((latest: Known<Latest>) => void) | undefined;
}

/** The turns of all keys. */
export class Turns<Latest> {
  /** The last turn of each key. */
  readonly #last = new Map<string, Turn<Latest>>();

  /**
   * Runs `work` when the turn before it is over: when its work has settled, or its limit was reached. `leaves`: what is
   * known of the key from the result.
   */
  run<Result>(
    key: string,
    limit: Limit,
    work: (latest: Known<Latest>) => Promise<Result>,
    leaves: (result: Result) => Known<Latest> = () => undefined,
  ): Promise<Result> {
    const before = this.#last.get(key);
    const turn: Turn<Latest> = { leave: undefined };
    this.#last.set(key, turn);
    const end = (latest?: Known<Latest>): void => {
      if (this.#last.get(key) === turn) this.#last.delete(key);
      turn.leave?.(latest);
    };
    limit.onAbort(end);
    const working =
      before === undefined
        ? work(undefined)
        : new Promise<Known<Latest>>((resolve) => {
            before.leave = resolve;
          }).then(work);
    return working.then(
      (result) => {
        end(leaves(result));
        return result;
      },
      (error: unknown) => {
        end();
        throw error;
      },
    );
  }
}
