/** Sessions in SQLite. */

import type { SessionError } from "../errors.ts";
import { codeOf, isText, pageSize, quoted, type Dialect, type SqlClient, type SqlResult } from "./sql-dialect.ts";
import { SqlStore, unknownClient, type SqlStoreOptions } from "./sql.ts";

/** SCS keeps the expiry as a Julian day, which begins at noon. */
const julianEpoch = 2_440_587.5;
const day = 86_400_000;

/** The options of a `SqliteStore`. */
export type SqliteStoreOptions = SqlStoreOptions;

/** A database of `better-sqlite3`, `libsql`, `node:sqlite` or `bun:sqlite`. */
export interface SqliteDatabase {
  prepare(text: string): SqliteStatement;
  /** Of `bun:sqlite`: keeps what it has prepared, until the database is closed. */
  query?(text: string): SqliteStatement;
}
interface SqliteStatement {
  all(...parameters: never[]): unknown[];
  run(...parameters: never[]): { readonly changes: number | bigint };
}

/** D1 of Cloudflare Workers. */
export interface D1Database {
  prepare(text: string): { bind(...parameters: unknown[]): { all(): Promise<D1Result> } };
  /** What tells it from the others; not used. */
  batch(statements: never[]): Promise<unknown>;
}
interface D1Result {
  readonly results: Record<string, unknown>[];
  readonly meta: { readonly changes: number };
}

/**
 * A store in SQLite 3.35 or newer, in SCS's table. Every ability of `Store`. Calls of these drivers, other than D1, are done at
 * once, so abort signals do nothing, and a database that another process has locked blocks this one: set `PRAGMA journal_mode =
 * WAL`, and `PRAGMA busy_timeout` below `storeTimeout`. The database stays open when the store is closed. It must not be in a
 * transaction of the application.
 *
 * ```ts
 * const store = new SqliteStore(new Database("sessions.db"));
 * await store.migrate();
 * ```
 */
export class SqliteStore extends SqlStore {
  constructor(database: SqliteDatabase | D1Database | SqlClient, { table = "sessions" }: SqliteStoreOptions = {}) {
    super(recognise(database), dialect(table), table, refusal);
  }
}

/** The statements that make the table `sessions`, for migrations of your own: `migrate()` has nothing to do then. */
export const createTable: string = dialect("sessions")
  .create.map((statement) => `${statement};\n`)
  .join("");

const refusal = (): SessionError =>
  unknownClient("SqliteStore", "a database of better-sqlite3, libsql, node:sqlite, bun:sqlite or D1");

function recognise(client: unknown): SqlClient {
  const { prepare, query, batch } = (client ?? {}) as Partial<SqliteDatabase & D1Database & SqlClient>;
  if (typeof prepare !== "function") {
    if (typeof query === "function") return client as SqlClient;
    throw refusal();
  }
  if (typeof batch === "function") return ofD1(client as D1Database);
  const database = client as SqliteDatabase;
  const statements = new Map<string, SqliteStatement>();
  const prepared = (text: string): SqliteStatement => {
    if (database.query !== undefined) return database.query(text);
    let statement = statements.get(text);
    if (statement === undefined) statements.set(text, (statement = database.prepare(text)));
    return statement;
  };
  return {
    async query(text, parameters) {
      const statement = prepared(text);
      const given = parameters as never[];
      const isQuestion = text.startsWith("SELECT");
      const answer: unknown = isQuestion ? statement.all(...given) : statement.run(...given);
      // Drivers that look like these, but answer promises: a rejection must not be left unhandled.
      const result = answer instanceof Promise ? ((await answer) as unknown) : answer;
      if (isQuestion) return { rows: result as SqlResult["rows"], affected: 0 };
      return { rows: [], affected: Number((result as { readonly changes: number | bigint }).changes) };
    },
  };
}

function ofD1(database: D1Database): SqlClient {
  // It answers bytes as an array of numbers.
  const withBytes = ({ data, ...row }: Record<string, unknown>): Record<string, unknown> => ({
    ...row,
    data: Array.isArray(data) ? Uint8Array.from(data as number[]) : data,
  });
  return {
    async query(text, parameters) {
      const statement = database.prepare(text).bind(...parameters);
      const { results, meta } = await statement.all();
      return { rows: results.map(withBytes), affected: meta.changes };
    },
  };
}

function dialect(tableName: string): Dialect {
  const { table, name, schema } = quoted(tableName, '"');
  // Whatever a row holds there: in SQLite it may be of another type than its column.
  const stored = "CAST(data AS BLOB)";
  const columns = `${stored} AS data, CAST(expiry AS REAL) AS expiry`;
  const prefix = schema === undefined ? "" : `"${schema}".`;
  const expiryIndex = `CREATE INDEX IF NOT EXISTS ${prefix}"${name}_expiry_idx" ON "${name}" (expiry)`;
  const subjectIndex = `CREATE INDEX IF NOT EXISTS ${prefix}"${name}_subject_idx" ON "${name}" (subject, token) WHERE subject IS NOT NULL`;
  const ofTable = schema === undefined ? `'${name}'` : `'${name}', '${schema}'`;
  const bytes = "ifnull(?, x'')"; // node:sqlite of Node 22 makes NULL of no bytes
  return {
    create: [
      `CREATE TABLE IF NOT EXISTS ${table} (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL, subject TEXT)`,
      expiryIndex,
      subjectIndex,
    ],
    inspect: `SELECT 'column ' || name AS part FROM pragma_table_info(${ofTable}) UNION ALL
    SELECT 'index ' || (SELECT group_concat(name, ' ') FROM pragma_index_info(list.name${schema === undefined ? "" : `, '${schema}'`}))
    FROM pragma_index_list(${ofTable}) AS list`,
    upgrades: [
      [/^column subject$/, `ALTER TABLE ${table} ADD COLUMN subject TEXT`],
      [/^index expiry\b/, expiryIndex],
      [/^index subject token$/, subjectIndex],
    ],
    find: `SELECT ${columns} FROM ${table} WHERE token = ?`,
    commit: `INSERT INTO ${table} (token, data, expiry, subject) VALUES (?, ${bytes}, ?, ?)
    ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry, subject = excluded.subject`,
    delete: `DELETE FROM ${table} WHERE token = ?`,
    touch: `UPDATE ${table} SET expiry = ? WHERE token = ?`,
    page: `SELECT token, ${columns} FROM ${table} WHERE token > ? ORDER BY token LIMIT ${pageSize}`,
    pageBySubject: `SELECT token, ${columns} FROM ${table} WHERE subject = ? AND token > ? ORDER BY token LIMIT ${pageSize}`,
    async deleteExpired(run, limit) {
      const expired = `SELECT rowid FROM ${table} WHERE expiry <= julianday('now') ORDER BY expiry LIMIT ${limit}`;
      return (await run(`DELETE FROM ${table} WHERE rowid IN (${expired})`, [])).affected;
    },
    touchedBy: ({ affected }) => affected > 0,
    holdsToken: (token) => token !== "" && isText(token),
    holdsSubject: (subject) => isText(subject),
    fromDate: (date) => date.getTime() / day + julianEpoch,
    toTime: (value) => Math.round((Number(value) - julianEpoch) * day),
    replace: (token, expected, next) =>
      next === undefined
        ? [`DELETE FROM ${table} WHERE token = ? AND ${stored} = ${bytes}`, [token, expected]]
        : [
            `UPDATE ${table} SET data = ${bytes}, expiry = ?, subject = ? WHERE token = ? AND ${stored} = ${bytes}`,
            [...[next.data, next.expiry, next.subject], ...[token, expected]],
          ],
    answerTo: ({ affected }) => (affected > 0 ? "replaced" : undefined),
    look: `SELECT token FROM ${table} WHERE token = ?`,
    // When another process had the lock, busy_timeout has been waited for already, and all requests of this one with it.
    isTransient: (error) => codeOf(error) === "SQLITE_BUSY_SNAPSHOT",
    isMissing: (error) => /no such (table|column)|has no column/.test(messageOf(error)),
    // For a change of the schema SQLite does not always wait as long as busy_timeout says.
    isObstructed: (error) => /duplicate column name|locked/.test(messageOf(error)),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
