/** What tests know of each database: SCS's own table and statements there, and how it is filled, explained and shared. */

import type { SqlClient } from "../../src/stores/sql-dialect.ts";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore } from "scs-session/postgres";
import { SqliteStore } from "scs-session/sqlite";
import { clients } from "./clients.ts";

type Store = PostgresStore | MySqlStore | SqliteStore;

/** What a store asks its database, with the parameters in the text, and the given words before it. */
async function asked(explain: string, newStore: (client: SqlClient) => Store, hex: string): Promise<string[]> {
  const statements: string[] = [];
  const literal = (parameter: unknown): string =>
    parameter instanceof Uint8Array
      ? hex
      : typeof parameter === "number"
        ? String(parameter)
        : `'${String(parameter)}'`;
  const store = newStore({
    async query(text, parameters) {
      let next = 0;
      const inlined = text.replace(/\$(\d)|\?/g, (_, n?: string) =>
        literal(parameters[n === undefined ? next++ : Number(n) - 1]),
      );
      statements.push(`${explain} ${inlined}`);
      const isSweep = text.startsWith("SELECT token FROM") && text.includes("expiry <=");
      return { rows: isSweep ? [{ token: "k1" }] : [], affected: 0, insertId: 0 };
    },
  });
  const session = { data: Buffer.from("x"), expiry: new Date(), subject: "7" };
  await store.find("k1").catch(() => undefined); // the made-up row has no data
  await store.commit("k1", session);
  await store.delete("k1");
  await store.replace("k1", session.data, session);
  await store.replace("k1", session.data, undefined);
  await store.touch("k1", session.expiry);
  await store.deleteExpired(100);
  for (const pages of [store.all(), store.findBySubject("7")]) await pages.next().catch(() => undefined);
  return statements;
}

/**
 * One client of each database, and how SCS makes its table there, writes a session and reads it. `strangeDates`: what the
 * column takes for a date, and the time in JavaScript that is nearest.
 */
const all = [
  {
    database: "postgres" as const,
    client: "pg, a Pool",
    scsTable: (table: string) => [
      `CREATE TABLE ${table} (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)`,
      `CREATE INDEX ${table}_expiry_idx ON ${table} (expiry)`,
    ],
    scsWrite: (table: string, token: string, hex: string, expiry: Date) =>
      `INSERT INTO ${table} (token, data, expiry) VALUES ('${token}', '\\x${hex}', '${expiry.toISOString()}')
       ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data, expiry = EXCLUDED.expiry`,
    scsRead: (table: string, token: string) =>
      `SELECT encode(data, 'hex') AS hex FROM ${table} WHERE token = '${token}' AND current_timestamp < expiry`,
    /** What the store asks, explained. */
    statements: (table: string) => asked("EXPLAIN", (client) => new PostgresStore(client, { table }), "'\\x78'::bytea"),
    strangeDates: { "'-infinity'": -8.64e15, "'infinity'": 8.64e15, "'294276-12-31'": 8.64e15 },
    indexes: (table: string) => `SELECT indexname FROM pg_indexes WHERE tablename = '${table}' ORDER BY 1`,
    fill: (table: string) => [
      `INSERT INTO ${table} SELECT 'k' || n, 'x', now() + interval '1 hour', 'stranger-' || n FROM generate_series(1, 100000) n`,
      `ANALYZE ${table}`,
    ],
  },
  {
    database: "mysql" as const,
    client: "mysql2",
    scsTable: (table: string) => [
      `CREATE TABLE ${table} (token CHAR(43) PRIMARY KEY, data BLOB NOT NULL, expiry TIMESTAMP(6) NOT NULL)`,
      `CREATE INDEX ${table}_expiry_idx ON ${table} (expiry)`,
    ],
    scsWrite: (table: string, token: string, hex: string, expiry: Date) =>
      `INSERT INTO ${table} (token, data, expiry) VALUES ('${token}', x'${hex}', '${expiry.toISOString().slice(0, -1)}')
       ON DUPLICATE KEY UPDATE data = VALUES(data), expiry = VALUES(expiry)`,
    scsRead: (table: string, token: string) =>
      `SELECT LOWER(HEX(data)) AS hex FROM ${table} WHERE token = '${token}' AND UTC_TIMESTAMP(6) < expiry`,
    /** What the store asks, explained. */
    statements: (table: string) =>
      asked("EXPLAIN FORMAT=TRADITIONAL", (client) => new MySqlStore(client, { table }), "x'78'"),
    strangeDates: { "'0000-00-00'": Date.parse("0000-01-01T00:00Z"), "'2030-00-02'": Date.UTC(2030, 0, 2) },
    indexes: (table: string) =>
      `SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_name = '${table}' ORDER BY 1`,
    fill: (table: string) => [
      `INSERT INTO ${table} WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
       SELECT CONCAT('k', a.n, 'x', b.n), 'x', UTC_TIMESTAMP() + INTERVAL 1 HOUR, CONCAT('stranger-', a.n, '-', b.n)
       FROM numbers a, numbers b WHERE b.n <= 100`,
      `ANALYZE TABLE ${table}`,
    ],
  },
  {
    database: "sqlite" as const,
    client: "libsql",
    scsTable: (table: string) => [
      `CREATE TABLE ${table} (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)`,
      `CREATE INDEX ${table}_expiry_idx ON ${table} (expiry)`,
    ],
    scsWrite: (table: string, token: string, hex: string, expiry: Date) =>
      `REPLACE INTO ${table} (token, data, expiry) VALUES ('${token}', x'${hex}', julianday('${expiry.toISOString().slice(0, -1)}'))`,
    scsRead: (table: string, token: string) =>
      `SELECT lower(hex(data)) AS hex FROM ${table} WHERE token = '${token}' AND julianday('now') < expiry`,
    /** What the store asks, explained. */
    statements: (table: string) => asked("EXPLAIN QUERY PLAN", (client) => new SqliteStore(client, { table }), "x'78'"),
    strangeDates: { "-1e12": -8.64e15, "1893456000": 8.64e15, "9e999": 8.64e15 },
    indexes: (table: string) => `SELECT name FROM pragma_index_list('${table}') ORDER BY 1`,
    fill: (table: string) => [
      `INSERT INTO ${table} WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
       SELECT 'k' || n, x'00', julianday('now') + 1, 'stranger-' || n FROM numbers`,
      "ANALYZE",
    ],
  },
];

/** Those whose servers are not left out by TEST_SKIP. */
export const databases = all.filter(({ client }) => clients.some(({ name }) => name === client));
