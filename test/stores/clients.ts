/** Every client of every SQL store that is tested: how it connects, and how a test speaks to its server by itself. */

import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { createConnection as createMariaConnection, createPool as createMariaPool } from "mariadb";
import { createPool as createCallbackPool } from "mysql2";
import { createConnection, createPool, type Pool, type PoolOptions } from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore, type PGliteClient } from "scs-session/postgres";
import { SqliteStore } from "scs-session/sqlite";
import { addressOf } from "../servers/shared.ts";

/** Its declarations need those of browsers. */
const { PGlite } = createRequire(import.meta.url)("@electric-sql/pglite") as {
  readonly PGlite: { create(): Promise<PGliteClient & { close(): Promise<void> }> };
};

type SqlStore = PostgresStore | MySqlStore | SqliteStore;

/** A connected client. */
export interface Connection {
  store(options: { readonly table: string; readonly push?: boolean }): SqlStore;
  /** Runs one statement without parameters. */
  sql(text: string): Promise<Record<string, unknown>[]>;
  drop(tables: readonly string[]): Promise<void>;
  close(): Promise<unknown>;
}

function connection(
  store: Connection["store"],
  sql: Connection["sql"],
  close: () => Promise<unknown> | undefined,
): Connection {
  const drop = async (tables: readonly string[]): Promise<void> => {
    for (const table of tables) await sql(`DROP TABLE IF EXISTS ${table}`);
  };
  return { store, sql, drop, close: async () => close() };
}

/** A client that can be connected. */
export interface Client {
  readonly name: string;
  readonly database: "postgres" | "mysql" | "sqlite";
  connect(): Promise<Connection>;
}

const [postgresUrl, mysqlUrl] = await Promise.all([addressOf("postgres"), addressOf("mysql")]);

type Rows = Record<string, unknown>[];

function pgConnection(client: pg.Pool | pg.Client): Connection {
  return connection(
    (options) => new PostgresStore(client, options),
    async (text) => (await client.query<Record<string, unknown>>(text)).rows,
    () => client.end(),
  );
}

function mysqlConnection(options: PoolOptions): Connection & { readonly pool: Pool } {
  const pool = createPool({ ...options, uri: mysqlUrl! });
  return {
    pool,
    ...connection(
      (given) => new MySqlStore(pool, given),
      async (text) => (await pool.query(text))[0] as Rows,
      () => pool.end(),
    ),
  };
}

const ofPostgres: Client[] = [
  {
    name: "pg, a Pool",
    database: "postgres",
    connect: async () => pgConnection(new pg.Pool({ connectionString: postgresUrl })),
  },
  {
    name: "pg, a Client",
    database: "postgres",
    async connect() {
      const client = new pg.Client(postgresUrl);
      await client.connect();
      return pgConnection(client);
    },
  },
  {
    name: "pg without prepared statements",
    database: "postgres",
    async connect() {
      const pool = new pg.Pool({ connectionString: postgresUrl });
      return { ...pgConnection(pool), store: (options) => new PostgresStore(pool, { ...options, prepare: false }) };
    },
  },
  {
    name: "postgres.js",
    database: "postgres",
    async connect() {
      const sql = postgres(postgresUrl!, { onnotice: () => undefined });
      return connection(
        (options) => new PostgresStore(sql, options),
        async (text) => [...(await sql.unsafe(text))] as Rows,
        () => sql.end(),
      );
    },
  },
];

/** The smallest client, in front of a driver. */
const ownOnPostgres: Client = {
  name: "a client of one's own for PostgreSQL",
  database: "postgres",
  async connect() {
    const pool = new pg.Pool({ connectionString: postgresUrl });
    const query = async (text: string, parameters: readonly unknown[]) => {
      const { rows, rowCount } = await pool.query<Record<string, unknown>>(text, [...parameters]);
      return { rows, affected: rowCount ?? 0 };
    };
    return { ...pgConnection(pool), store: (options) => new PostgresStore({ query }, options) };
  },
};

const pglite: Client = {
  name: "PGlite",
  database: "postgres",
  async connect() {
    const database = await PGlite.create();
    return connection(
      (options) => new PostgresStore(database, options),
      async (text) => (await database.query(text)).rows as Rows,
      () => database.close(),
    );
  },
};

const ofMySql: Client[] = [
  { name: "mysql2", database: "mysql", connect: async () => mysqlConnection({}) },
  {
    name: "mysql2 that counts changed rows only, in a time zone of its own, with dates as text",
    database: "mysql",
    connect: async () => mysqlConnection({ flags: ["-FOUND_ROWS"], timezone: "+07:00", dateStrings: true }),
  },
  {
    name: "mysql2 with rows as arrays",
    database: "mysql",
    connect: async () => mysqlConnection({ rowsAsArray: true }),
  },
  {
    name: "mysql2 with callbacks",
    database: "mysql",
    async connect() {
      const pool = createCallbackPool({ uri: mysqlUrl! });
      return connection(
        (options) => new MySqlStore(pool, options),
        async (text) => (await pool.promise().query(text))[0] as Rows,
        () => pool.promise().end(),
      );
    },
  },
  {
    name: "mysql2, a connection",
    database: "mysql",
    async connect() {
      const single = await createConnection(mysqlUrl!);
      return connection(
        (options) => new MySqlStore(single, options),
        async (text) => (await single.query(text))[0] as Rows,
        () => single.end(),
      );
    },
  },
  {
    name: "mariadb",
    database: "mysql",
    async connect() {
      const pool = createMariaPool({ ...mariaAddress(), connectionLimit: 10 });
      return connection(
        (options) => new MySqlStore(pool, options),
        (text) => pool.query<Rows>(text),
        () => pool.end(),
      );
    },
  },
  {
    name: "mariadb, a connection",
    database: "mysql",
    async connect() {
      const single = await createMariaConnection(mariaAddress());
      return connection(
        (options) => new MySqlStore(single, options),
        (text) => single.query<Rows>(text),
        () => single.end(),
      );
    },
  },
];

/** As that driver wants it: where the server is, and further options of its own. */
export function mariaAddress(): { host: string; port: number; user: string; database: string } {
  const { hostname, port, username, pathname } = new URL(mysqlUrl!);
  return { host: hostname, port: Number(port), user: username, database: pathname.slice(1) };
}

function libsqlConnection(file: string, close: () => Promise<void>): Connection {
  const database = new Database(file);
  const sql = async (text: string): Promise<Rows> => {
    const statement = database.prepare(text);
    return (statement.reader ? statement.all() : [statement.run()]) as unknown as Rows;
  };
  const store: Connection["store"] = (options) => new SqliteStore(database, options);
  // Its tables go with it.
  return { store, sql, drop: async () => undefined, close: async () => (database.close(), close()) };
}

const ownOnMySql: Client = {
  name: "a client of one's own for MySQL",
  database: "mysql",
  async connect() {
    const { pool, ...rest } = mysqlConnection({});
    const query = async (text: string, parameters: readonly unknown[]) => {
      const [answer] = await pool.execute(text, [...parameters] as never);
      if (Array.isArray(answer)) return { rows: answer as Rows, affected: 0 };
      const { affectedRows: affected, insertId } = answer;
      return { rows: [], affected, insertId };
    };
    return { ...rest, store: (options) => new MySqlStore({ query }, options) };
  },
};

const ofSqlite: Client[] = [
  {
    name: "libsql",
    database: "sqlite",
    connect: async () => libsqlConnection(":memory:", async () => undefined),
  },
  {
    name: "libsql on a file",
    database: "sqlite",
    async connect() {
      const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
      return libsqlConnection(join(folder, "sessions.db"), () => rm(folder, { recursive: true }));
    },
  },
];

/** What D1 makes of SQLite: statements that have to be bound, and promises; bytes come as numbers; errors have no code. */
export const d1: Client = {
  name: "D1, as it is seen from a Worker",
  database: "sqlite",
  async connect() {
    const database = new Database(":memory:");
    const all = async (text: string, parameters: unknown[]) => {
      try {
        const statement = database.prepare(text);
        if (!statement.reader) return { results: [], meta: { changes: statement.run(...parameters).changes } };
        const rows = statement.all(...parameters) as Rows;
        const results = rows.map((row) =>
          "data" in row ? { ...row, data: [...new Uint8Array(row["data"] as ArrayBuffer)] } : row,
        );
        return { results, meta: { changes: 0 } };
      } catch (error) {
        throw new Error(`D1_ERROR: ${(error as Error).message}: SQLITE_ERROR`, { cause: error });
      }
    };
    const prepare = (text: string) => ({
      bind: (...parameters: unknown[]) => ({ all: () => all(text, parameters) }),
      all: (..._ignored: unknown[]) => all(text, []),
    });
    return connection(
      (options) => new SqliteStore({ prepare, batch: async () => [] }, options),
      async (text) => (await prepare(text).all()).results,
      async () => database.close(),
    );
  },
};

/** Those whose servers are not left out by TEST_SKIP. */
export const clients: readonly Client[] = [
  ...(postgresUrl === undefined ? [] : [...ofPostgres, ownOnPostgres]),
  pglite,
  ...(mysqlUrl === undefined ? [] : [...ofMySql, ownOnMySql]),
  ...ofSqlite,
];

/** A client all of whose transactions have this isolation level. */
export function isolatedClient(database: "postgres" | "mysql", level: string): Connection {
  if (database === "postgres") {
    const options = `-c default_transaction_isolation=${level.toLowerCase().replace(" ", "\\ ")}`;
    return pgConnection(new pg.Pool({ connectionString: postgresUrl, options }));
  }
  const isolated = mysqlConnection({});
  isolated.pool.on("connection", (each) => void each.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`));
  return isolated;
}
