/** What the SQL stores share: the flow of each ability. Statements, types and answers are the dialect's. */

import { Buffer } from "node:buffer";
import { SessionError } from "../errors.ts";
import type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";

/** The options of every SQL store. */
export interface SqlStoreOptions {
  /**
   * The table, with its schema if it has one: `"app.sessions"`. Letters, digits and underscores.
   *
   * @default "sessions"
   */
  readonly table?: string;
}

/** What a statement answered. */
export interface SqlResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** How many rows it deleted. PostgreSQL tells by rows instead. */
  readonly affected: number;
  /** MySQL only: what the statement gave to `LAST_INSERT_ID(…)`. */
  readonly insertId?: number;
}

/**
 * The smallest client: every SQL store takes it, for drivers that it does not know. Parameters are strings, numbers, null
 * and bytes.
 */
export interface SqlClient {
  query(text: string, parameters: readonly unknown[], options?: Partial<CallOptions>): Promise<SqlResult>;
}

/** How one database speaks. Statements are given with the quoted name of the table in them. */
export interface Dialect {
  /** The statements that make the table, or bring that of SCS up to date; each may run again. */
  readonly migrations: readonly string[];
  readonly find: string;
  readonly commit: string;
  readonly delete: string;
  readonly touch: string;
  /** Parameters: the token after which the page begins. */
  readonly page: string;
  /** Parameters: the subject, and the token after which the page begins. */
  readonly pageBySubject: string;
  /** Deletes at most so many; `deletedBy` tells how many there were. */
  deleteExpired(limit: number): string;
  deletedBy(result: SqlResult): number;
  /** Whether a touch found its session. */
  touchedBy(result: SqlResult): boolean;
  /** Whether the columns can hold a token, and a subject, as they are, and compare them byte by byte. */
  holdsToken(token: string): boolean;
  holdsSubject(subject: string): boolean;
  /** A date as a parameter, and back from the column `expiry` of the statements above. */
  fromDate(date: Date): string | number;
  toDate(value: unknown): Date;
  replace(run: Run, token: string, expected: Uint8Array, next: SqlSession | undefined): Promise<ReplaceAnswer>;
  /** Whether the statement was in the way of another one, and may be tried again. */
  isTransient(error: unknown): boolean;
  /** Whether table or column do not exist. */
  isMissing(error: unknown): boolean;
  /** Whether the migration of another process has got there first. */
  isMigrated(error: unknown): boolean;
}

/** A session as parameters of a statement. */
export interface SqlSession {
  readonly data: Uint8Array;
  readonly expiry: string | number;
  readonly subject: string | null;
  readonly ended: boolean;
}

/** Runs a statement of a dialect. */
export type Run = (text: string, parameters: readonly unknown[]) => Promise<SqlResult>;

/** How many rows a page has. */
export const pageSize = 1_000;

/** How often a statement is tried that is in the way of others. */
const attempts = 10;

/** The flow of a store over SQL. */
export abstract class SqlStore implements Store {
  readonly #client: SqlClient;
  readonly #dialect: Dialect;
  readonly #table: string;

  constructor(client: SqlClient, dialect: Dialect, table: string) {
    this.#client = client;
    this.#dialect = dialect;
    this.#table = table;
  }

  async find(token: string, options?: CallOptions): Promise<StoredSession | undefined> {
    if (!this.#dialect.holdsToken(token)) return undefined;
    const { rows } = await this.#run(this.#dialect.find, [token], options);
    return rows[0] && this.#toStored(rows[0]);
  }

  async commit(token: string, session: SessionToStore, options?: CallOptions): Promise<void> {
    if (!this.#dialect.holdsToken(token)) throw unholdable("token");
    const { data, expiry, subject } = this.#toSql(session);
    await this.#run(this.#dialect.commit, [token, data, expiry, subject], options);
  }

  async delete(token: string, options?: CallOptions): Promise<void> {
    if (this.#dialect.holdsToken(token)) await this.#run(this.#dialect.delete, [token], options);
  }

  async replace(
    token: string,
    expected: Uint8Array,
    next: SessionToStore | undefined,
    options?: CallOptions,
  ): Promise<ReplaceAnswer> {
    if (!this.#dialect.holdsToken(token)) return "missing";
    const run: Run = (text, parameters) => this.#run(text, parameters, options);
    return this.#dialect.replace(run, token, toBytes(expected), next && this.#toSql(next));
  }

  async touch(token: string, expiry: Date, options?: CallOptions): Promise<boolean> {
    if (!this.#dialect.holdsToken(token)) return false;
    const result = await this.#run(this.#dialect.touch, [this.#dialect.fromDate(expiry), token], options);
    return this.#dialect.touchedBy(result);
  }

  all(): AsyncGenerator<[token: string, session: StoredSession]> {
    return this.#pages(this.#dialect.page, []);
  }

  async *findBySubject(subject: string): AsyncGenerator<[token: string, session: StoredSession]> {
    if (this.#dialect.holdsSubject(subject)) yield* this.#pages(this.#dialect.pageBySubject, [subject]);
  }

  async deleteExpired(limit: number): Promise<number> {
    const most = Math.max(0, Math.floor(Math.min(limit, 1_000_000)));
    return this.#dialect.deletedBy(await this.#run(this.#dialect.deleteExpired(most), []));
  }

  /**
   * Makes the table, or brings one that SCS has made up to date, in place. May run again, and in several processes at once.
   */
  async migrate(): Promise<void> {
    for (const statement of this.#dialect.migrations) {
      try {
        await this.#run(statement, []);
      } catch (error) {
        if (!this.#dialect.isMigrated(error)) throw error;
      }
    }
  }

  async *#pages(
    statement: string,
    parameters: readonly unknown[],
  ): AsyncGenerator<[token: string, session: StoredSession]> {
    for (let after: string | undefined = ""; after !== undefined;) {
      const { rows }: SqlResult = await this.#run(statement, [...parameters, after]);
      for (const row of rows) yield [String(row["token"]), this.#toStored(row)];
      after = rows.length < pageSize ? undefined : String(rows.at(-1)?.["token"]);
    }
  }

  async #run(text: string, parameters: readonly unknown[], options: Partial<CallOptions> = {}): Promise<SqlResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#client.query(text, parameters, options);
      } catch (error) {
        if (this.#dialect.isMissing(error)) {
          const remedy = "call await store.migrate() before the first request";
          throw new SessionError(
            "store-unavailable",
            `The table ${this.#table} does not exist or is not up to date; ${remedy}.`,
          );
        }
        if (attempt === attempts || options.signal?.aborted === true || !this.#dialect.isTransient(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 ** attempt));
      }
    }
  }

  #toStored(row: SqlResult["rows"][number]): StoredSession {
    const data = row["data"] instanceof ArrayBuffer ? new Uint8Array(row["data"]) : row["data"];
    if (!(data instanceof Uint8Array)) {
      throw new SessionError("store-unavailable", `The column data of the table ${this.#table} does not hold bytes.`);
    }
    return { data, expiry: this.#dialect.toDate(row["expiry"]) };
  }

  #toSql({ data, expiry, subject, ended = false }: SessionToStore): SqlSession {
    if (subject !== undefined && !this.#dialect.holdsSubject(subject)) throw unholdable("subject");
    return { data: toBytes(data), expiry: this.#dialect.fromDate(expiry), subject: subject ?? null, ended };
  }
}

/** Checks the name of a table and quotes it; throws `invalid-option` for what is none. */
export function quoted(
  table: string,
  quote: string,
): { readonly table: string; readonly name: string; readonly schema: string } {
  const [, schema, name] = /^(?:([A-Za-z_][A-Za-z0-9_]*)\.)?([A-Za-z_][A-Za-z0-9_]*)$/.exec(table) ?? [];
  if (name === undefined) {
    const form = 'letters, digits and underscores, after a schema and a dot if it has one: "app.sessions"';
    throw new SessionError("invalid-option", `table "${table}" is no name of a table; it takes ${form}.`);
  }
  const prefix = schema === undefined ? "" : `${quote}${schema}${quote}.`;
  return { table: `${prefix}${quote}${name}${quote}`, name, schema: prefix };
}

/** Whether a text column holds it as it is. NUL is no text for PostgreSQL; half a surrogate pair is none for UTF-8. */
export function isText(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text);
}

/** The error for a client of no known shape. */
export function unknownClient(store: string, accepted: string): SessionError {
  const own = "{ query(text, parameters, { signal }) } that answers { rows, affected }";
  return new SessionError("invalid-option", `${store} takes ${accepted}, or an object ${own}.`);
}

/** The code that a driver gives its error. */
export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" || typeof code === "number" ? String(code) : "";
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
