/** Looks for many sessions at once: under load a statement costs more than what it finds. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { CallOptions } from "../store.ts";
import { checkAborted } from "./abort.ts";
import type { SqlResult } from "./sql-dialect.ts";

type Row = SqlResult["rows"][number];

/** How many sessions one statement looks for at most. */
const most = 16;

/** Runs work when a turn of the event loop is over. Taken now, since tests replace it; undefined where there is none. */
const { setImmediate: afterThisTurn, navigator } = globalThis as {
  setImmediate?: (work: () => void) => unknown;
  navigator?: { readonly userAgent?: string };
};

/** A find that waits for its statement. */
interface Waiting<Answer> {
  readonly token: string;
  readonly options: Partial<CallOptions> | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Finds that are asked for in one turn of the event loop become one statement. It is run in the context (AsyncLocalStorage) in
 * which the finder was made: in that of one of the requests, a client that goes by the context might look in the wrong database.
 */
export class Finder<Answer> {
  readonly #query: (tokens: readonly string[]) => Promise<SqlResult>;
  readonly #read: (row: Row | undefined) => Answer;
  readonly #inContext = AsyncLocalStorage.snapshot();
  #waiting: Waiting<Answer>[] = [];

  /** `query` looks for 1, 2, 4, 8 or 16 tokens; its rows have a `token` if there are several. */
  constructor(query: (tokens: readonly string[]) => Promise<SqlResult>, read: (row: Row | undefined) => Answer) {
    this.#query = query;
    this.#read = read;
  }

  /** Whether the runtime tells when a turn is over. On Cloudflare Workers a request that ends takes with it what others wait for. */
  static readonly isPossible: boolean = afterThisTurn !== undefined && navigator?.userAgent !== "Cloudflare-Workers";

  find(token: string, options: Partial<CallOptions> | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ token, options, resolve, reject });
      if (this.#waiting.length === 1) afterThisTurn?.(() => this.#inContext(() => this.#findWaiting()));
    });
  }

  #findWaiting(): void {
    const waiting = this.#waiting.filter(isWaitedFor);
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i += most) this.#findTogether(waiting.slice(i, i + most));
  }

  #findTogether(some: readonly Waiting<Answer>[]): void {
    const tokens = [...new Set(some.map(({ token }) => token))];
    const isOne = tokens.length === 1;
    // A few sizes, since each is a statement to prepare.
    while (!Number.isInteger(Math.log2(tokens.length))) tokens.push(tokens[0] ?? "");
    this.#query(tokens).then(
      ({ rows }) => {
        const byToken = new Map(rows.map((row) => [row["token"], row]));
        for (const { token, resolve, reject } of some) {
          try {
            resolve(this.#read(isOne ? rows[0] : byToken.get(token)));
          } catch (error) {
            reject(error); // a row that holds no session is nobody else's fault
          }
        }
      },
      (error: unknown) => {
        for (const { reject } of some) reject(error);
      },
    );
  }
}

function isWaitedFor({ options, reject }: Waiting<never>): boolean {
  try {
    checkAborted(options);
    return true;
  } catch (error) {
    reject(error);
    return false;
  }
}
