/** Work on one key takes turns inside this process; each turn is told what the one before it left there. */

import type { Limit } from "./limit.ts";

/** What was last seen under a key; undefined where that is not known. */
type Known<Latest> = { readonly at: Latest } | undefined;

/** A turn that is not over; the one after it waits for what it leaves. */
interface Turn<Latest, Joining> {
  leave: ((latest: Known<Latest>) => void) | undefined;
  next: Turn<Latest, Joining> | undefined;
  /** While it waits: what the one before it may do for it. */
  joining: Joining | undefined;
}

/** The turns of all keys. */
export class Turns<Latest, Joining = never> {
  /** The last turn of each key. */
  readonly #last = new Map<string, Turn<Latest, Joining>>();

  /**
   * Runs `work` when the turn before it is over: when its work has settled, or its limit was reached. `waiting` tells what
   * those right behind it have said of themselves (`joining`), up to the first that has said nothing. `leaves`: what is
   * known of the key from the result.
   */
  run<Result>(
    key: string,
    limit: Limit,
    work: (latest: Known<Latest>, waiting: () => readonly Joining[]) => Promise<Result>,
    leaves: (result: Result) => Known<Latest> = () => undefined,
    joining?: () => Joining,
  ): Promise<Result> {
    const before = this.#last.get(key);
    const turn: Turn<Latest, Joining> = { leave: undefined, next: undefined, joining: before && joining?.() };
    this.#last.set(key, turn);
    const end = (latest?: Known<Latest>): void => {
      const { leave } = turn;
      turn.joining = turn.leave = turn.next = undefined; // or it would keep alive what came after it
      if (this.#last.get(key) === turn) this.#last.delete(key);
      leave?.(latest);
    };
    limit.onAbort(end);
    const begin = (latest: Known<Latest>): Promise<Result> => {
      turn.joining = undefined;
      return work(latest, () => waitingBehind(turn));
    };
    if (before !== undefined) before.next = turn;
    const working =
      before === undefined
        ? begin(undefined)
        : new Promise<Known<Latest>>((resolve) => {
            before.leave = resolve;
          }).then(begin);
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

function waitingBehind<Latest, Joining>(turn: Turn<Latest, Joining>): readonly Joining[] {
  const waiting: Joining[] = [];
  for (let next = turn.next; next?.joining !== undefined; next = next.next) waiting.push(next.joining);
  return waiting;
}
