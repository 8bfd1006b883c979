/** What the SQL stores share: the flow of each ability. Statements, types and answers are the dialect's. */

import { Buffer } from "node:buffer";
import { clean, SessionError, storeError } from "../errors.ts";
import type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";

/** The options of every SQL store. */
export interface SqlStoreOptions {
  /**
   * The table, with its schema if it has one: `"app.sessions"`. Letters, digits and underscores, 51 of them at most.
   *
   * @default "sessions"
   */
  readonly table?: string;
}

/** What a statement answered. */
export interface SqlResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** How many rows it changed or deleted. PostgreSQL tells by rows instead. */
  readonly affected: number;
  /** MySQL only: what the statement gave to `LAST_INSERT_ID(…)`. */
  readonly insertId?: number;
}

/**
 * The smallest client: every SQL store takes it, for drivers that it does not know. Parameters are strings, numbers, null
 * and bytes. Errors have the database's own code in `code`: an SQLSTATE of PostgreSQL, a name of MySQL.
 */
export interface SqlClient {
  /** True if a retry could leave a transaction of the application: one connection, of a database that ends transactions. */
  readonly isSingle?: boolean;
  query(text: string, parameters: readonly unknown[], options?: Partial<CallOptions>): Promise<SqlResult>;
}

/** How one database speaks. Statements are given with the quoted name of the table in them. */
export interface Dialect {
  /** The statements that make the table; each may run again. */
  readonly create: readonly string[];
  /** Answers what the table has, in rows with one column `part`; no rows if it does not exist. Locks nothing. */
  readonly inspect: string;
  /** What each part looks like, and the statement that adds it to a table that lacks it, such as that of SCS. */
  readonly upgrades: readonly (readonly [part: RegExp, statement: string])[];
  /** Why a table with these parts cannot be upgraded over this client. */
  readonly objection?: (parts: readonly string[]) => string | undefined;
  readonly find: string;
  readonly commit: string;
  readonly delete: string;
  readonly touch: string;
  /** Parameters: the token after which the page begins. */
  readonly page: string;
  /** Parameters: the subject, and the token after which the page begins. */
  readonly pageBySubject: string;
  deleteExpired(run: Run, limit: number): Promise<number>;
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
  /** Whether the migration of another process has got there first, or the table was locked for too long. */
  isObstructed(error: unknown): boolean;
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

/** How often a statement is tried that is in the way of others, and a migration. */
const attempts = 10;

/** The earliest moment that all databases can hold: what has expired before, has expired. */
const firstDate = -62_135_596_800_000;

/** The flow of a store over SQL. */
export abstract class SqlStore implements Store {
  readonly #client: SqlClient;
  readonly #dialect: Dialect;
  readonly #table: string;
  readonly #refusal: () => SessionError;

  /** `refusal`: the error for a client that turns out to be another than it looked like. */
  constructor(client: SqlClient, dialect: Dialect, table: string, refusal: () => SessionError) {
    this.#client = client;
    this.#dialect = dialect;
    this.#table = table;
    this.#refusal = refusal;
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
    const result = await this.#run(this.#dialect.touch, [this.#fromDate(expiry), token], options);
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
    return this.#dialect.deleteExpired((text, parameters) => this.#run(text, parameters), most);
  }

  /**
   * Makes the table, or brings one that SCS has made up to date, in place. May run at every start, and in several processes
   * at once: of a table that lacks nothing it only reads the catalogue.
   */
  async migrate(): Promise<void> {
    try {
      await this.#migrate();
    } catch (error) {
      throw storeError(`migrate the table ${this.#table}`, error);
    }
  }

  async #migrate(): Promise<void> {
    const { create, inspect, upgrades, objection } = this.#dialect;
    let obstacle: unknown;
    for (let attempt = 1; ; attempt++) {
      const parts = (await this.#query(inspect, [])).rows.map(({ part }) => String(part));
      const isLacking = (part: RegExp): boolean => !parts.some((each) => part.test(each));
      const lacking = upgrades.filter(([part]) => isLacking(part)).map(([, statement]) => statement);
      if (lacking.length === 0) return;
      const refused = objection?.(parts);
      if (refused !== undefined) throw new SessionError("store-unavailable", refused);
      if (attempt > attempts) throw obstacle;
      if (attempt > 1 && obstacle === undefined) {
        const why = `still lacks what this adds, perhaps because another table's index has the name: ${lacking.join("; ")}`;
        throw new SessionError("store-unavailable", `The table ${this.#table} ${why}`);
      }
      obstacle = undefined;
      for (const statement of parts.length === 0 ? create : lacking) {
        try {
          await this.#query(statement, []);
        } catch (error) {
          if (!this.#dialect.isObstructed(error)) throw error;
          obstacle = error;
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 ** attempt));
          break;
        }
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

  /** Errors that leave the store carry no statements, arguments or data. */
  async #run(text: string, parameters: readonly unknown[], options?: Partial<CallOptions>): Promise<SqlResult> {
    try {
      return await this.#query(text, parameters, options);
    } catch (error) {
      if (error instanceof SessionError) throw error;
      if (!this.#dialect.isMissing(error)) throw clean(error);
      const remedy = "call await store.migrate() before the first request";
      throw new SessionError(
        "store-unavailable",
        `The table ${this.#table} does not exist or is not up to date; ${remedy}.`,
      );
    }
  }

  async #query(text: string, parameters: readonly unknown[], options: Partial<CallOptions> = {}): Promise<SqlResult> {
    // In a transaction of the application it is the first fault that tells what happened.
    let fault: unknown;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      let result: unknown;
      try {
        result = await this.#client.query(text, parameters, options);
      } catch (error) {
        fault ??= error;
        const isFinal = attempt === attempts || this.#client.isSingle === true;
        if (isFinal || !this.#dialect.isTransient(error)) throw fault;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 ** attempt));
        continue;
      }
      if (!isResult(result)) throw this.#refusal();
      return result;
    }
  }

  #toStored(row: SqlResult["rows"][number]): StoredSession {
    const data = row["data"] instanceof ArrayBuffer ? new Uint8Array(row["data"]) : row["data"];
    if (!(data instanceof Uint8Array)) {
      throw new SessionError("store-unavailable", `The column data of the table ${this.#table} does not hold bytes.`);
    }
    const expiry = this.#dialect.toDate(row["expiry"]);
    if (Number.isNaN(expiry.getTime())) {
      throw new SessionError(
        "store-unavailable",
        `The column expiry of the table ${this.#table} does not hold a date.`,
      );
    }
    return { data, expiry };
  }

  #toSql({ data, expiry, subject, ended = false }: SessionToStore): SqlSession {
    if (subject !== undefined && !this.#dialect.holdsSubject(subject)) throw unholdable("subject");
    return { data: toBytes(data), expiry: this.#fromDate(expiry), subject: subject ?? null, ended };
  }

  #fromDate(date: Date): string | number {
    return this.#dialect.fromDate(new Date(Math.max(date.getTime(), firstDate)));
  }
}

/** Checks the name of a table and quotes it; throws `invalid-option` for what is none, or leaves its indexes no name. */
export function quoted(
  table: string,
  quote: string,
): { readonly table: string; readonly name: string; readonly schema: string | undefined } {
  const [, schema, name] = /^(?:([A-Za-z_]\w{0,62})\.)?([A-Za-z_]\w{0,50})$/.exec(table) ?? [];
  if (name === undefined) {
    const form = 'up to 51 letters, digits and underscores, after a schema and a dot if it has one: "app.sessions"';
    throw new SessionError("invalid-option", `table "${table}" is no name of a table; it takes ${form}.`);
  }
  const prefix = schema === undefined ? "" : `${quote}${schema}${quote}.`;
  return { table: `${prefix}${quote}${name}${quote}`, name, schema };
}

/**
 * Whether a text column holds it as it is, in so many bytes. NUL is no text for PostgreSQL; half a surrogate pair is none for
 * UTF-8.
 */
export function isText(text: string, bytes?: number): boolean {
  return !/\0|\p{Surrogate}/u.test(text) && Buffer.byteLength(text) <= (bytes ?? Infinity);
}

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

/** The code that a driver gives its error. */
export function codeOf(error: unknown): string {
  const { code, errno } = (error ?? {}) as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno)) return errno; // Bun.sql's SQLSTATE; its code is always one
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
