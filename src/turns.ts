/** Work on one key takes turns inside this process; each turn is told what the one before it left there. */

import type { Limit } from "./limit.ts";

/** What a turn leaves behind: its result, and what it last saw under the key, if it knows. */
export interface TurnResult<Result, Latest> {
  readonly result: Result;
  readonly latest: Known<Latest>;
}

type Known<Latest> = { readonly at: Latest } | undefined;

/** The turns of all keys. */
export class Turns<Latest> {
  /** The end of the last turn of each key. */
  readonly #last = new Map<string, Promise<Known<Latest>>>();

  /** Runs `work` when the turn before it is over: when its work has settled, or its limit was reached. */
  run<Result>(
    key: string,
    limit: Limit,
    work: (latest: Known<Latest>) => Promise<TurnResult<Result, Latest>>,
  ): Promise<Result> {
    const before = this.#last.get(key);
    const turn = before === undefined ? work(undefined) : before.then(work);
    const end = new Promise<Known<Latest>>((resolve) => {
      const leave = (latest: Known<Latest>): void => {
        if (this.#last.get(key) === end) this.#last.delete(key);
        resolve(latest);
      };
      const leaveUnknown = (): void => {
        leave(undefined);
      };
      turn.then(({ latest }) => {
        leave(latest);
      }, leaveUnknown);
      limit.onReached(leaveUnknown);
    });
    this.#last.set(key, end);
    return turn.then(({ result }) => result);
  }
}
