/** Looks for many sessions at once: under load a statement costs more than what it finds. */

import { AsyncLocalStorage } from "node:async_hooks";
import { clean, SessionError } from "../errors.ts";
import type { CallOptions } from "../store.ts";
import { checkAborted } from "./abort.ts";
import type { SqlResult } from "./sql-dialect.ts";

type Row = SqlResult["rows"][number];

/** How many tokens one statement looks for at most. */
const maxTokens = 16;

/** Runs work when a turn of the event loop is over. Taken now, since tests replace it; undefined where there is none. */
const { setImmediate: afterThisTurn, navigator } = globalThis as {
  setImmediate?: (work: () => void) => unknown;
  navigator?: { readonly userAgent?: string };
};

/** A context (AsyncLocalStorage) that is no request's. */
const inNoRequest = AsyncLocalStorage.snapshot();

/** A find that waits for its statement. */
interface Waiting<Answer> {
  readonly token: string;
  readonly options: Partial<CallOptions> | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Finds that are asked for in one turn of the event loop become one statement. It runs in the context of none of them: in that
 * of another request, a client that chooses its database by the context would look in the wrong one.
 */
export class Finder<Answer> {
  readonly #query: (tokens: readonly string[], options: Partial<CallOptions>) => Promise<SqlResult>;
  readonly #read: (row: Row | undefined) => Answer;
  #waiting: Waiting<Answer>[] = [];

  /** `query` looks for 1, 2, 4, 8 or 16 tokens; its rows have a `token` if there are several. */
  constructor(
    query: (tokens: readonly string[], options: Partial<CallOptions>) => Promise<SqlResult>,
    read: (row: Row | undefined) => Answer,
  ) {
    this.#query = query;
    this.#read = read;
  }

  /** Whether the runtime tells when a turn is over. On Cloudflare Workers a request that ends takes with it what others wait for. */
  static readonly isPossible: boolean = afterThisTurn !== undefined && navigator?.userAgent !== "Cloudflare-Workers";

  find(token: string, options: Partial<CallOptions> | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) afterThisTurn?.(() => inNoRequest(() => this.#findWaiting()));
      this.#waiting.push({ token, options, resolve, reject });
    });
  }

  #findWaiting(): void {
    const waiting: Waiting<Answer>[] = [];
    for (const each of this.#waiting) {
      try {
        checkAborted(each.options);
        waiting.push(each);
      } catch (error) {
        each.reject(error);
      }
    }
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i += maxTokens) this.#findTogether(waiting.slice(i, i + maxTokens));
  }

  #findTogether(batch: readonly Waiting<Answer>[]): void {
    const tokens = [...new Set(batch.map(({ token }) => token))];
    // A few sizes, since each is a statement to prepare.
    while (!Number.isInteger(Math.log2(tokens.length))) tokens.push(tokens[0] ?? "");
    this.#query(tokens, new Together(batch))
      .then(({ rows }) => {
        this.#answer(batch, tokens, rows);
      })
      .catch((error: unknown) => {
        for (const { reject } of batch) reject(anew(error));
      });
  }

  #answer(batch: readonly Waiting<Answer>[], tokens: readonly string[], rows: readonly Row[]): void {
    const byToken = new Map<unknown, Row>();
    for (const row of rows) {
      const token = tokens.length === 1 ? tokens[0] : row["token"];
      // Or those of whoever asked for it would look as if they had ended.
      if (!tokens.includes(token as string)) throw otherToken();
      byToken.set(token, row);
    }
    const handedOut = new Set<string>();
    for (const { token, resolve, reject } of batch) {
      const row = byToken.get(token);
      try {
        resolve(this.#read(row && handedOut.has(token) ? withOwnData(row) : row));
      } catch (error) {
        reject(error); // a row that holds no session is nobody else's fault
      }
      handedOut.add(token);
    }
  }
}

/**
 * The options of a statement that several wait for: aborted when the last of them has gone. (Drivers listen to no signal. A
 * class, since an object with getters of its own would have a shape of its own.)
 */
class Together implements CallOptions {
  readonly #batch: readonly Waiting<never>[];

  constructor(batch: readonly Waiting<never>[]) {
    this.#batch = batch;
  }

  get aborted(): boolean {
    return this.#batch.every(({ options }) => options?.aborted ?? options?.signal?.aborted ?? false);
  }

  get signal(): AbortSignal {
    return this.aborted ? AbortSignal.abort() : new AbortController().signal;
  }
}

/** For who asked for the same: bytes are nobody's twice. */
function withOwnData(row: Row): Row {
  const { data } = row;
  return data instanceof Uint8Array ? { ...row, data: Uint8Array.from(data) } : row;
}

/** Who handles an error may write on it: each gets one of their own. */
function anew(error: unknown): Error {
  if (!(error instanceof SessionError)) return clean(error);
  return new SessionError(error.code, error.message, { cause: error.cause });
}

function otherToken(): SessionError {
  const remedy = "Do the client, or the type of the column, change what is stored?";
  return new SessionError("store-unavailable", `The database answered another token than it was asked for. ${remedy}`);
}
