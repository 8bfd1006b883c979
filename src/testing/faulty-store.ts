/** A store whose calls a test can count, hold back, let fail, and complete in any order. */

import type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";

/** A call that waits for the test. */
export interface StoreCall {
  readonly method: "find" | "commit" | "delete" | "replace" | "touch";
  readonly token: string;
  /** Aborted when the caller waits no longer. */
  readonly signal: AbortSignal | undefined;
  /** Carries it out and answers. */
  complete(): Promise<void>;
  /** Answers with an error, without carrying it out. */
  fail(error?: Error): Promise<void>;
  /** Carries it out, but answers with an error: the answer was lost on its way. */
  loseAnswer(error?: Error): Promise<void>;
}

type AbleStore = Store & Required<Pick<Store, "replace" | "touch">>;

/** Wraps a store that has every ability. Until a test says otherwise, calls pass through. */
export class FaultyStore implements Store {
  readonly #inner: AbleStore;
  /** The methods called so far, in order. */
  readonly calls: StoreCall["method"][] = [];
  /** The calls that wait, in the order in which they were made. */
  readonly waiting: StoreCall[] = [];
  /** Whether calls wait for the test; or which do. */
  holds: boolean | ((method: StoreCall["method"], token: string) => boolean) = false;
  /** The error with which every call fails; undefined: none does. */
  failure: Error | undefined;

  constructor(inner: Store) {
    if (inner.replace === undefined || inner.touch === undefined) {
      throw new TypeError("FaultyStore wraps a store that has replace and touch, such as MemoryStore.");
    }
    this.#inner = inner as AbleStore;
  }

  find(token: string, options?: CallOptions): Promise<StoredSession | undefined> {
    return this.#call("find", token, options, () => this.#inner.find(token, options));
  }

  commit(token: string, session: SessionToStore, options?: CallOptions): Promise<void> {
    return this.#call("commit", token, options, () => this.#inner.commit(token, session, options));
  }

  delete(token: string, options?: CallOptions): Promise<void> {
    return this.#call("delete", token, options, () => this.#inner.delete(token, options));
  }

  replace(
    token: string,
    expected: Uint8Array,
    next: SessionToStore | undefined,
    options?: CallOptions,
  ): Promise<ReplaceAnswer> {
    return this.#call("replace", token, options, () => this.#inner.replace(token, expected, next, options));
  }

  touch(token: string, expiry: Date, options?: CallOptions): Promise<boolean> {
    return this.#call("touch", token, options, () => this.#inner.touch(token, expiry, options));
  }

  all(): AsyncIterable<[token: string, session: StoredSession]> {
    if (this.#inner.all === undefined) throw new TypeError("The wrapped store has no method all.");
    return this.#inner.all();
  }

  findBySubject(subject: string): AsyncIterable<[token: string, session: StoredSession]> {
    if (this.#inner.findBySubject === undefined) throw new TypeError("The wrapped store has no method findBySubject.");
    return this.#inner.findBySubject(subject);
  }

  deleteExpired(limit: number): Promise<number> {
    return this.#inner.deleteExpired?.(limit) ?? Promise.resolve(0);
  }

  async #call<T>(
    method: StoreCall["method"],
    token: string,
    options: CallOptions | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    this.calls.push(method);
    if (this.failure !== undefined) throw this.failure;
    if (!(typeof this.holds === "function" ? this.holds(method, token) : this.holds)) return run();
    return new Promise<T>((resolve, reject) => {
      const take = (): void => {
        this.waiting.splice(this.waiting.indexOf(call), 1);
      };
      const call: StoreCall = {
        method,
        token,
        signal: options?.signal,
        async complete() {
          take();
          await run().then(resolve, reject);
        },
        async fail(error = new Error("The store failed.")) {
          take();
          reject(error);
        },
        async loseAnswer(error = new Error("The answer of the store was lost.")) {
          take();
          await run();
          reject(error);
        },
      };
      this.waiting.push(call);
    });
  }
}
