/** Work on one key takes turns inside this process; each turn is told what the one before it left there. */

/** What a turn leaves behind: its result, and what it last saw under the key, if it knows. */
export interface TurnResult<Result, Latest> {
  readonly result: Result;
  readonly latest: { readonly at: Latest } | undefined;
}

export class Turns<Latest> {
  readonly #last = new Map<string, Promise<{ readonly at: Latest } | undefined>>();

  /** Runs `work` when all earlier work on the key has settled. */
  async run<Result>(
    key: string,
    work: (latest: { readonly at: Latest } | undefined) => Promise<TurnResult<Result, Latest>>,
  ): Promise<Result> {
    const before = this.#last.get(key);
    const turn = before === undefined ? work(undefined) : before.then(work);
    const after = turn.then(
      ({ latest }) => latest,
      () => undefined,
    );
    this.#last.set(key, after);
    void after.then(() => {
      if (this.#last.get(key) === after) this.#last.delete(key);
    });
    return (await turn).result;
  }
}
