/** What the SQL stores share: the flow of each ability. Statements, types and answers are the dialect's. */

import { Buffer } from "node:buffer";
import { clean, SessionError, storeError } from "../errors.ts";
import type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";
import { checkAborted } from "./abort.ts";
import { pageSize, type Dialect, type Driver, type Run, type SqlResult, type SqlSession } from "./sql-dialect.ts";
import { Finder } from "./sql-finder.ts";
import { migrate } from "./sql-migration.ts";

/** The options of every SQL store. */
export interface SqlStoreOptions {
  /**
   * The table, with its schema if it has one: `"app.sessions"`. Letters, digits and underscores, 51 of them at most.
   *
   * @default "sessions"
   */
  readonly table?: string;
}

/** How often a statement is tried that is in the way of others. */
const attempts = 10;

/** How often a statement was tried, and what came of the first time. */
interface Tried {
  readonly attempt: number;
  readonly fault: unknown;
}

/** The earliest moment that all databases can hold: what has expired before, has expired. */
const firstDate = -62_135_596_800_000;

/** The last that a Date can have; the databases have later ones, and infinity. */
const lastTime = 8.64e15;

/** The flow of a store over SQL. */
export abstract class SqlStore implements Store {
  readonly #driver: Driver;
  readonly #dialect: Dialect;
  readonly #table: string;
  readonly #refusal: () => SessionError;
  readonly #finder: Finder<StoredSession | undefined> | undefined;

  /** `refusal`: the error for a client that turns out to be another than it looked like. */
  constructor(driver: Driver, dialect: Dialect, table: string, refusal: () => SessionError) {
    this.#driver = driver;
    this.#dialect = dialect;
    this.#table = table;
    this.#refusal = refusal;
    const { find, findMany } = dialect;
    if (driver.batch !== true || findMany === undefined || !Finder.isPossible) return;
    this.#finder = new Finder(
      (tokens, options) => this.#run(tokens.length === 1 ? find : findMany(tokens.length), tokens, options, same),
      (row) => row && this.#toStored(row),
    );
  }

  find(token: string, options?: CallOptions): Promise<StoredSession | undefined> {
    if (!this.#dialect.holdsToken(token)) return Promise.resolve(undefined);
    if (this.#finder !== undefined) return this.#finder.find(token, options);
    return this.#run(this.#dialect.find, [token], options, ({ rows }) => rows[0] && this.#toStored(rows[0]));
  }

  async commit(token: string, session: SessionToStore, options?: CallOptions): Promise<void> {
    if (!this.#dialect.holdsToken(token)) throw unholdable("token");
    const { data, expiry, subject } = this.#toSql(session);
    await this.#run(this.#dialect.commit, [token, data, expiry, subject], options, nothing);
  }

  async delete(token: string, options?: CallOptions): Promise<void> {
    if (this.#dialect.holdsToken(token)) await this.#run(this.#dialect.delete, [token], options, nothing);
  }

  replace(
    token: string,
    expected: Uint8Array,
    next: SessionToStore | undefined,
    options?: CallOptions,
  ): Promise<ReplaceAnswer> {
    const dialect = this.#dialect;
    if (!dialect.holdsToken(token)) return Promise.resolve("missing");
    try {
      const [text, parameters] = dialect.replace(token, toBytes(expected), next && this.#toSql(next));
      // Only who lost asks why. What happens in between makes no answer wrong: each was true at some time.
      const why = (): Promise<ReplaceAnswer> =>
        this.#run(dialect.look, [token], options, ({ rows }) => (rows.length > 0 ? "conflict" : "missing"));
      return this.#run(text, parameters, options, (result) => dialect.answerTo(result) ?? why());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async touch(token: string, expiry: Date, options?: CallOptions): Promise<boolean> {
    if (!this.#dialect.holdsToken(token)) return false;
    const dialect = this.#dialect;
    return this.#run(dialect.touch, [this.#fromDate(expiry), token], options, (result) => dialect.touchedBy(result));
  }

  all(): AsyncGenerator<[token: string, session: StoredSession]> {
    return this.#pages(this.#dialect.page, []);
  }

  async *findBySubject(subject: string): AsyncGenerator<[token: string, session: StoredSession]> {
    if (this.#dialect.holdsSubject(subject)) yield* this.#pages(this.#dialect.pageBySubject, [subject]);
  }

  async deleteExpired(limit: number): Promise<number> {
    const most = Math.max(0, Math.floor(Math.min(limit, 1_000_000)));
    return this.#dialect.deleteExpired((text, parameters) => this.#run(text, parameters, undefined, same), most);
  }

  /**
   * Makes the table, or brings one that SCS has made up to date, in place. May run at every start, and in several processes
   * at once: of a table that lacks nothing it only reads the catalogue.
   */
  async migrate(): Promise<void> {
    try {
      const run: Run = (text, parameters) => this.#query(text, parameters, undefined, same, same);
      await migrate(this.#dialect, this.#table, run, (text) => this.#driver.alter?.(text) ?? run(text, []));
    } catch (error) {
      throw storeError(`migrate the table ${this.#table}`, error);
    }
  }

  async *#pages(
    statement: string,
    parameters: readonly unknown[],
  ): AsyncGenerator<[token: string, session: StoredSession]> {
    for (let after: string | undefined = ""; after !== undefined;) {
      const { rows }: SqlResult = await this.#run(statement, [...parameters, after], undefined, same);
      for (const row of rows) yield [String(row["token"]), this.#toStored(row)];
      after = rows.length < pageSize ? undefined : String(rows.at(-1)?.["token"]);
    }
  }

  #run<T>(
    text: string,
    parameters: readonly unknown[],
    options: Partial<CallOptions> | undefined,
    use: (result: SqlResult) => T | Promise<T>,
  ): Promise<T> {
    return this.#query(text, parameters, options, use, (error) => this.#explain(error));
  }

  /** Errors that leave the store carry no statements, arguments or data. */
  #explain(error: unknown): unknown {
    if (error instanceof SessionError) return error;
    if (!this.#dialect.isMissing(error)) return clean(error);
    const remedy = "call await store.migrate() before the first request";
    const fault = `The table ${this.#table} does not exist or is not up to date`;
    return new SessionError("store-unavailable", `${fault}; ${remedy}.`);
  }

  /** Tried again when it was in the way of another one. In a transaction of the application it is the first fault that tells what happened. */
  #query<T>(
    text: string,
    parameters: readonly unknown[],
    options: Partial<CallOptions> | undefined,
    use: (result: SqlResult) => T | Promise<T>,
    explain: (error: unknown) => unknown,
    { attempt, fault }: Tried = { attempt: 1, fault: undefined },
  ): Promise<T> {
    const again = async (error: unknown): Promise<T> => {
      const first = fault ?? error;
      if (attempt === attempts || this.#driver.isSingle === true || !this.#dialect.isTransient(error)) {
        throw explain(first);
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 ** attempt));
      return this.#query(text, parameters, options, use, explain, { attempt: attempt + 1, fault: first });
    };
    try {
      checkAborted(options);
      return Promise.resolve(this.#driver.query(text, parameters, options)).then((answer) => {
        const result = this.#driver.toResult?.(answer) ?? answer;
        if (!isResult(result)) throw this.#refusal();
        return use(result);
      }, again);
    } catch (error) {
      return again(error);
    }
  }

  #toStored(row: SqlResult["rows"][number]): StoredSession {
    const data = row["data"] instanceof ArrayBuffer ? new Uint8Array(row["data"]) : row["data"];
    if (!(data instanceof Uint8Array)) {
      throw new SessionError("store-unavailable", `The column data of the table ${this.#table} does not hold bytes.`);
    }
    const time = this.#dialect.toTime(row["expiry"]);
    if (Number.isNaN(time)) {
      throw new SessionError(
        "store-unavailable",
        `The column expiry of the table ${this.#table} does not hold a date.`,
      );
    }
    return { data, expiry: new Date(Math.min(Math.max(time, -lastTime), lastTime)) };
  }

  #toSql({ data, expiry, subject, ended = false }: SessionToStore): SqlSession {
    if (subject !== undefined && !this.#dialect.holdsSubject(subject)) throw unholdable("subject");
    return { data: toBytes(data), expiry: this.#fromDate(expiry), subject: subject ?? null, ended };
  }

  #fromDate(date: Date): string | number {
    return this.#dialect.fromDate(new Date(Math.max(date.getTime(), firstDate)));
  }
}

const same = <T>(value: T): T => value;
const nothing = (): void => undefined;

/** The error for a client of no known shape. */
export function unknownClient(store: string, accepted: string): SessionError {
  const own = "{ query(text, parameters, { signal }) } that answers { rows, affected }";
  return new SessionError("invalid-option", `${store} takes ${accepted}, or an object ${own}.`);
}

/** Some drivers look like others, but answer something else: by callbacks, for example. */
function isResult(answer: unknown): answer is SqlResult {
  const { rows, affected } = (answer ?? {}) as Partial<SqlResult>;
  return Array.isArray(rows) && Number(affected) >= 0;
}

/** Drivers take a Buffer for bytes; a view of it costs nothing. */
function toBytes(data: Uint8Array): Uint8Array {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

function unholdable(what: string): SessionError {
  return new SessionError(
    "store-unavailable",
    `The column ${what} cannot hold the given ${what}: it is too long, or no text.`,
  );
}
