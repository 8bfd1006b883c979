/** How one SQL database speaks, and what a client of it has to do: what the SQL stores have for each database. */

import { Buffer } from "node:buffer";
import { SessionError } from "../errors.ts";
import type { CallOptions, ReplaceAnswer } from "../store.ts";

/** What a statement answered. */
export interface SqlResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** How many rows it changed or deleted. */
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
  /** Runs a statement that makes or changes a table, if it gives up waiting for it by another way than its text. */
  alter?(text: string): Promise<SqlResult>;
}

/** A client as the stores use it. */
export interface Driver extends Pick<SqlClient, "isSingle"> {
  query(text: string, parameters: readonly unknown[], options?: Partial<CallOptions>): PromiseLike<unknown>;
  /** Makes a result of an answer; undefined where it is one. (Chained to `query`, it would cost each call a promise.) */
  readonly toResult?: (answer: unknown) => Partial<SqlResult>;
  /** Whether one statement may look for the sessions of several requests. */
  readonly batch?: boolean;
  alter?(text: string): Promise<unknown>;
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
  /** `find` for so many tokens, in rows with a column `token`. Undefined: each is looked for by itself. */
  readonly findMany?: (count: number) => string;
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
  /** A date as a parameter. */
  fromDate(date: Date): string | number;
  /** What the column `expiry` of the statements above holds, in milliseconds since the epoch: also more than a Date can have. */
  toTime(value: unknown): number;
  /** The statement that replaces a session, or without `next` deletes it, if its data are as expected. */
  replace(token: string, expected: Uint8Array, next: SqlSession | undefined): Statement;
  /** What came of `replace`. Undefined: nothing was replaced, and `look` tells why. */
  answerTo(result: SqlResult): ReplaceAnswer | undefined;
  /** Answers a row if there is a session under a token. */
  readonly look: string;
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

/** What is run. */
export type Statement = readonly [text: string, parameters: readonly unknown[]];

/** Runs a statement of a dialect. */
export type Run = (text: string, parameters: readonly unknown[]) => Promise<SqlResult>;

/** How many rows a page has. */
export const pageSize = 1_000;

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

/** The code that a driver gives its error. */
export function codeOf(error: unknown): string {
  const { code, errno } = (error ?? {}) as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno)) return errno; // Bun.sql's SQLSTATE; its code is always one
  return typeof code === "string" || typeof code === "number" ? String(code) : "";
}
