/** Sessions in PostgreSQL. */

import type { SessionError } from "../errors.ts";
import type { Store } from "../store.ts";
import { listenBy } from "./postgres-push.ts";
import {
  codeOf,
  isText,
  pageSize,
  quoted,
  type Dialect,
  type Driver,
  type SqlClient,
  type SqlResult,
} from "./sql-dialect.ts";
import { SqlStore, unknownClient, type SqlStoreOptions } from "./sql.ts";

/** A row of a B-tree index has to fit into a third of a page: that of the subjects, with the token beside it. */
const maxSubjectBytes = 2_500;
const maxTokenBytes = 150;

/** The options of a `PostgresStore`. */
export interface PostgresStoreOptions extends SqlStoreOptions {
  /**
   * Whether statements are prepared, where the client can. False behind PgBouncer before 1.21 in transaction mode.
   *
   * @default true
   */
  readonly prepare?: boolean;
  /**
   * Whether the sessions that are looked for in one turn of the event loop are looked for by one statement, where the client
   * is `pg`, postgres.js or `Bun.sql`: under load that is several times cheaper. It runs in the context (AsyncLocalStorage) of no
   * request. False for a client that chooses its database by that context, to have each statement in the trace of its
   * request, and for tests that fake `setImmediate` before they import the store.
   *
   * @default true
   */
  readonly batch?: boolean;
  /**
   * Whether the end of a session is announced (`pg_notify`, in the statement that ends it), so that sockets attached to it
   * in other processes close at once. Set it in every process of the site. One with sockets listens: pg's pool lends it a
   * connection for good (`max` must be two or more), and postgres.js opens one, which must not go through PgBouncer in transaction mode. Bun.sql and clients of
   * one's own only announce; there sockets ask the store, as they do without.
   *
   * @default false
   */
  readonly push?: boolean;
}

/** A Pool or Client of `pg`. */
export interface PgClient {
  connect(...args: never[]): unknown;
  query(query: { readonly text: string; readonly values: unknown[]; readonly name?: string }): Promise<PgResult>;
}
interface PgResult {
  readonly rows: unknown[];
  readonly rowCount: number | null;
}

/** `postgres` (postgres.js), or `Bun.sql`. */
export interface PostgresJsClient {
  unsafe(text: string, parameters?: never[], options?: { readonly prepare: boolean }): PromiseLike<PostgresJsResult>;
}
type PostgresJsResult = readonly unknown[] & { readonly count: number | null };

/** PGlite. */
export interface PGliteClient {
  readonly waitReady: Promise<void>;
  query(text: string, parameters?: unknown[]): Promise<PGliteResult>;
}
interface PGliteResult {
  readonly rows: unknown[];
  readonly affectedRows?: number | undefined;
}

/**
 * A store in PostgreSQL 11 or newer, in SCS's table. Every ability of `Store`, in one statement each, and one more to say
 * why a replace failed; finds that come together share one (`batch`). An abort signal keeps statements from being sent, but
 * ends none that is on its way: set `statement_timeout`, and `query_timeout` on the pool, a little above `storeTimeout`. The
 * client stays open when the store is closed. It must not be in a transaction of the application.
 *
 * ```ts
 * const store = new PostgresStore(new Pool());
 * await store.migrate();
 * ```
 */
export class PostgresStore extends SqlStore {
  /** With `push`, where the client can listen. */
  readonly watch?: NonNullable<Store["watch"]>;

  constructor(
    client: PgClient | PostgresJsClient | PGliteClient | SqlClient,
    { table = "sessions", prepare = true, batch = true, push = false }: PostgresStoreOptions = {},
  ) {
    const channel = push ? `scs_session_${hash(table)}` : undefined;
    super(recognise(client, prepare, batch), dialect(table, channel), table, refusal);
    const listen = listenBy(client);
    if (channel !== undefined && listen !== undefined) this.watch = (listener) => listen(channel, listener);
  }
}

/** The statements that make the table `sessions`, for migrations of your own: `migrate()` has nothing to do then. */
export const createTable: string = dialect("sessions")
  .create.map((statement) => `${statement};\n`)
  .join("");

const refusal = (): SessionError =>
  unknownClient("PostgresStore", "a Pool or Client of pg, postgres (postgres.js), PGlite, Bun.sql");

function recognise(client: unknown, prepare: boolean, batch: boolean): Driver {
  const { query, unsafe, connect, waitReady } = (client ?? {}) as Partial<PgClient & PostgresJsClient & PGliteClient>;
  if (typeof query === "function" && typeof connect === "function") {
    const pg = client as PgClient;
    const names = new Map<string, string>();
    const nameOf = (text: string): string => {
      let name = names.get(text);
      if (name === undefined) names.set(text, (name = `scs_session_${hash(text)}`));
      return name;
    };
    return {
      batch,
      query(text, values) {
        const isPrepared = prepare && values.length > 0;
        return pg.query({ text, values: [...values], ...(isPrepared ? { name: nameOf(text) } : {}) });
      },
      toResult(answer) {
        const { rows, rowCount } = (answer ?? {}) as Partial<PgResult>;
        return counted(rows, rowCount);
      },
    };
  }
  if (typeof unsafe === "function") {
    const sql = client as PostgresJsClient;
    return {
      batch,
      // Not cancelled by the signal: a query that waits for its connection would take that out of the pool for good (3.4.9).
      query: (text, parameters) =>
        sql.unsafe(text, [...parameters] as never[], { prepare: prepare && parameters.length > 0 }),
      toResult(answer) {
        const rows = answer as PostgresJsResult | undefined;
        return counted(rows, rows?.count);
      },
    };
  }
  if (typeof query === "function" && waitReady !== undefined) {
    const pglite = client as PGliteClient;
    return {
      query: (text, parameters) => pglite.query(text, [...parameters]),
      toResult(answer) {
        const { rows, affectedRows = 0 } = (answer ?? {}) as Partial<PGliteResult>;
        return counted(rows, affectedRows);
      },
    };
  }
  if (typeof query === "function") return client as SqlClient;
  throw refusal();
}

/** The count is null for statements that make tables, and NaN where libpq is asked (pg.native). */
function counted(rows: readonly unknown[] | undefined, count: number | null | undefined): Partial<SqlResult> {
  return { rows: rows as SqlResult["rows"], affected: count === undefined ? NaN : Number(count) || 0 };
}

/** Statements of tables of several names share connections: their prepared names must differ. */
function hash(text: string): string {
  let sum = 5381;
  for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 33) ^ text.charCodeAt(i)) >>> 0;
  return sum.toString(36);
}

/** `channel`: where the end of a session is announced. */
function dialect(tableName: string, channel?: string): Dialect {
  const { table, name } = quoted(tableName, '"');
  // As a number of seconds: what drivers make of dates depends on their settings.
  const columns = "data, date_part('epoch', expiry) AS expiry";
  const date = (parameter: string): string => `to_timestamp(${parameter}::float8 / 1000)`;
  const tell = channel === undefined ? "" : ` RETURNING pg_notify('${channel}', token)`;
  const update = `UPDATE ${table} SET data = $3, expiry = ${date("$4")}, subject = $5
    WHERE token = $1 AND data = $2`;
  const remove = `DELETE FROM ${table} WHERE token = $1`;
  const expiryIndex = `CREATE INDEX IF NOT EXISTS "${name}_expiry_idx" ON ${table} (expiry)`;
  const subjectIndex = `CREATE INDEX IF NOT EXISTS "${name}_subject_idx" ON ${table} (subject, token) WHERE subject IS NOT NULL`;
  // Requests queue behind a statement that waits for the whole table: it gives up before they do.
  const patient = (statement: string): string =>
    `DO $$ BEGIN SET LOCAL lock_timeout = '2s'; SET LOCAL client_min_messages = warning; ${statement}; END $$`;
  return {
    create: [
      `CREATE TABLE IF NOT EXISTS ${table} (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL, subject TEXT)`,
      expiryIndex,
      subjectIndex,
    ],
    inspect: `SELECT 'column ' || attname AS part FROM pg_attribute
    WHERE attrelid = to_regclass('${table}') AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid, 1, true), pg_get_indexdef(indexrelid, 2, true))
    FROM pg_index WHERE indrelid = to_regclass('${table}') AND indisvalid`,
    upgrades: [
      [/^column subject$/, patient(`ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS subject TEXT`)],
      [/^index expiry\b/, patient(expiryIndex)],
      [/^index subject token$/, patient(subjectIndex)],
    ],
    find: `SELECT ${columns} FROM ${table} WHERE token = $1`,
    findMany(count) {
      const parameters = Array.from({ length: count }, (_, n) => `$${String(n + 1)}`).join(", ");
      return `SELECT token::text AS token, ${columns} FROM ${table} WHERE token IN (${parameters})`;
    },
    commit: `INSERT INTO ${table} (token, data, expiry, subject) VALUES ($1, $2, ${date("$3")}, $4)
    ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data, expiry = EXCLUDED.expiry, subject = EXCLUDED.subject`,
    delete: remove + tell,
    touch: `UPDATE ${table} SET expiry = ${date("$1")} WHERE token = $2`,
    page: `SELECT token, ${columns} FROM ${table} WHERE token > $1 ORDER BY token LIMIT ${pageSize}`,
    pageBySubject: `SELECT token, ${columns} FROM ${table} WHERE subject = $1 AND token > $2 ORDER BY token LIMIT ${pageSize}`,
    // What another process is sweeping, or writing, is left to it.
    async deleteExpired(run, limit) {
      const expired = `SELECT token FROM ${table} WHERE expiry <= now() ORDER BY expiry LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
      return (await run(`DELETE FROM ${table} WHERE token = ANY (ARRAY (${expired}))`, [])).affected;
    },
    touchedBy: ({ affected }) => affected > 0,
    holdsToken: (token) => token !== "" && isText(token, maxTokenBytes),
    holdsSubject: (subject) => isText(subject, maxSubjectBytes),
    fromDate: (value) => value.getTime(),
    toTime: (value) => Math.round(Number(value) * 1000),
    replace: (token, expected, next) =>
      next === undefined
        ? [`${remove} AND data = $2${tell}`, [token, expected]]
        : [next.ended ? update + tell : update, [token, expected, next.data, next.expiry, next.subject]],
    answerTo: ({ affected }) => (affected > 0 ? "replaced" : undefined),
    look: `SELECT 1 FROM ${table} WHERE token = $1`,
    isTransient: (error) => ["40001", "40P01"].includes(codeOf(error)),
    isMissing: (error) => ["42P01", "42703"].includes(codeOf(error)),
    // Two processes that create at once: one of them is told that it exists, in one of these ways. 55P03: locked.
    isObstructed: (error) => ["23505", "42P07", "42701", "42710", "55P03"].includes(codeOf(error)),
  };
}
