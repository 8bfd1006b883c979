// What migrate() does to a table: makes it, or brings that of SCS up to date, once, and is in nobody's way where nothing is to do.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import Database from "libsql";
import { createPool as createMariaPool, type Pool as MariaPool } from "mariadb";
import { createConnection, createPool, type Pool } from "mysql2/promise";
import pg from "pg";
import { createTable as mysqlTable, MySqlStore, type MySqlClient } from "scs-session/mysql";
import { createTable as postgresTable, PostgresStore } from "scs-session/postgres";
import { createTable as sqliteTable, SqliteStore } from "scs-session/sqlite";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { addressOf } from "../servers/shared.ts";
import { mariaAddress } from "./clients.ts";
import { newTable } from "./names.ts";
import { databases } from "./scs-tables.ts";
import { bytes, connect, keysOf, textAt } from "./tables.ts";

const [postgresUrl, mysqlUrl] = await Promise.all([addressOf("postgres"), addressOf("mysql")]);
const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
afterAll(() => rm(folder, { recursive: true }));

const expiry = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_123);
const session = (text: string, subject?: string) => ({ data: bytes(text), expiry, subject });

describe.each(databases)("$database", { timeout: 60_000 }, ({ database, client, scsTable, scsWrite, indexes }) => {
  const { connected, tables, setup } = connect(client);

  test("makes the table, may run again, and five times at once", async () => {
    const { store: newStore } = await connected;
    const { store, table, sql } = await setup();
    const others = Array.from({ length: 4 }, () => newStore({ table }));
    await Promise.all([store, ...others].map((each) => each.migrate()));
    await store.commit("a", session("one", "1"));
    await store.migrate();
    expect([await textAt(store, "a"), await keysOf(store.findBySubject("1"))]).toEqual(["one", ["a"]]);
    expect(await sql(indexes(table))).toHaveLength(3);
  });

  test("brings a table of SCS up to date, with the sessions in it", async () => {
    const { store, table, sql } = await setup();
    for (const statement of scsTable(table)) await sql(statement);
    const [aB, Ab] = [`aB${"x".repeat(41)}`, `Ab${"x".repeat(41)}`];
    await sql(scsWrite(table, aB, bytes("from Go").toString("hex"), expiry));
    await store.migrate();
    expect((await store.find(aB))?.expiry).toEqual(expiry);
    expect([await textAt(store, aB), await textAt(store, Ab)]).toEqual(["from Go", undefined]);
    const large = Buffer.alloc(1_000_000, 7);
    await store.commit(Ab, { ...session("", "1"), data: large });
    expect([await textAt(store, aB), Buffer.compare((await store.find(Ab))!.data, large)]).toEqual(["from Go", 0]);
    expect(await sql(indexes(table))).toHaveLength(3);
  });

  test("the exported createTable makes a table that lacks nothing", async () => {
    const { store, table, sql } = await setup();
    const exported = { postgres: postgresTable, mysql: mysqlTable, sqlite: sqliteTable }[database];
    expect(exported).toMatch(/^CREATE TABLE IF NOT EXISTS ["`]sessions["`] \(token [\s\S]*;\n$/);
    for (const statement of exported.split(";\n").slice(0, -1)) await sql(statement.replaceAll("sessions", table));
    const before = await sql(indexes(table));
    await store.migrate();
    await store.commit("a", session("one", "1"));
    expect(await keysOf(store.findBySubject("1"))).toEqual(["a"]);
    expect([before.length, await sql(indexes(table))]).toEqual([3, before]);
  });

  test("of four processes at once, on a table of SCS in a schema, with 1,000 sessions, keeps them all", async () => {
    const { sql, store: newStore } = await connected;
    const schema = database === "sqlite" ? "main" : newTable();
    if (database !== "sqlite") await sql(`CREATE ${database === "mysql" ? "DATABASE" : "SCHEMA"} ${schema}`);
    const file = join(folder, "schema.db");
    const shared = database === "sqlite" ? new Database(file) : undefined;
    onTestFinished(async () => {
      shared?.close();
      if (database === "postgres") await sql(`DROP SCHEMA ${schema} CASCADE`);
      if (database === "mysql") await sql(`DROP DATABASE ${schema}`);
    });
    const run = shared === undefined ? sql : async (text: string) => shared.exec(text);
    // To change the mode needs the file for oneself, and is not what this is about.
    shared?.pragma("journal_mode = WAL");
    const [create1 = ""] = scsTable(`${schema}.sessions`);
    await run(create1);
    const tokens = Array.from({ length: 1_000 }, (_, n) => `${n}${"k".repeat(43 - String(n).length)}`);
    for (const token of tokens) await run(scsWrite(`${schema}.sessions`, token, "78", expiry));
    const at = [database === "postgres" ? postgresUrl! : database === "mysql" ? mysqlUrl! : file];
    await inProcesses(4, { kind: database, at, name: `${schema}.sessions` });
    const options = { table: `${schema}.sessions` };
    const store = shared === undefined ? newStore(options) : new SqliteStore(shared, options);
    const found = new Map<string, Date>();
    for await (const [token, each] of store.all()) found.set(token, each.expiry);
    expect([...found.keys()].sort()).toEqual(tokens.sort());
    expect(new Set([...found.values()].map((each) => each.getTime()))).toEqual(new Set([expiry.getTime()]));
    await store.replace(tokens[0]!, bytes("x"), session("y", "1"));
    expect(await keysOf(store.findBySubject("1"))).toEqual([tokens[0]]);
    await store.migrate();
  });

  test("names the statement when another table's index has the name that it needs", async () => {
    const { store, table, sql } = await setup();
    tables.push(`${table}_old`);
    await store.migrate();
    await sql(`ALTER TABLE ${table} RENAME TO ${table}_old`);
    const error: unknown = await store.migrate().catch((reason: unknown) => reason);
    if (database === "mysql") {
      expect(error).toBeUndefined();
      return;
    } // each table has names of its own
    expect(error).toMatchObject({ code: "store-unavailable" });
    expect(inspect(error)).toContain(`CREATE INDEX IF NOT EXISTS "${table}_subject_idx"`);
  });

  test("gives its table's indexes names that are not cut off", async () => {
    const { store: newStore, sql } = await connected;
    const table = newTable().padEnd(51, "x");
    tables.push(table);
    await newStore({ table }).migrate();
    expect(await sql(indexes(table))).toHaveLength(3);
  });
});

/** Runs migrate() in so many processes at the same moment; all must succeed. */
async function inProcesses(number: number, backend: object): Promise<void> {
  const script = fileURLToPath(new URL("migrate.ts", import.meta.url));
  const flags = ["--unhandled-rejections=strict", "--import", "tsx", script, JSON.stringify(backend)];
  const children = Array.from({ length: number }, () => spawn(process.execPath, flags));
  const complaints: string[] = [];
  for (const child of children) child.stderr.on("data", (text: Buffer) => complaints.push(String(text)));
  const ended = children.map((child) => once(child, "exit"));
  await Promise.all(children.map((child) => Promise.race([once(child.stdout, "data"), once(child, "exit")])));
  for (const child of children) child.stdin.write("go\n");
  const codes = (await Promise.all(ended)).map(([code]: unknown[]) => code);
  expect([codes, complaints.join("")]).toEqual([Array(number).fill(0), ""]);
}

describe.skipIf(postgresUrl === undefined)("on PostgreSQL", () => {
  const pool = new pg.Pool({ connectionString: postgresUrl });
  const table = newTable();
  const store = new PostgresStore(pool, { table });
  afterAll(async () => {
    await pool.query(`DROP TABLE IF EXISTS ${table}`);
    await pool.end();
  });

  test("waits for nobody where nothing is to do, and needs no rights", async () => {
    await store.migrate();
    const role = newTable();
    await pool.query(`CREATE ROLE ${role} LOGIN; GRANT SELECT ON ${table} TO ${role}`);
    const reader = await pool.connect();
    await reader.query(`BEGIN; SELECT count(*) FROM ${table}`);
    const url = new URL(postgresUrl!);
    url.username = role;
    const others = new pg.Pool({ connectionString: url.href });
    await new PostgresStore(others, { table }).migrate();
    await others.end();
    await reader.query("COMMIT");
    reader.release();
    await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test(
    "has requests wait two seconds at most for what it waits for, and tries again",
    { timeout: 20_000 },
    async () => {
      await store.migrate();
      await pool.query(`ALTER TABLE ${table} DROP COLUMN subject`);
      const reader = await pool.connect();
      await reader.query(`BEGIN; SELECT count(*) FROM ${table}`);
      const migration = store.migrate();
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await store.find("a")).toBeUndefined();
      await reader.query("COMMIT");
      reader.release();
      await migration;
      await store.commit("a", session("one", "1"));
    },
  );

  test("fails without words of the server, but with its code", async () => {
    const error: unknown = await new PostgresStore(pool, { table: "nowhere.sessions" })
      .migrate()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({
      message: "The session store failed to migrate the table nowhere.sessions.",
      cause: { code: "3F000" },
    });
  });
});

describe.skipIf(mysqlUrl === undefined)("on MySQL and MariaDB", { timeout: 20_000 }, () => {
  const pool = createPool({ uri: mysqlUrl ?? "" });
  afterAll(() => pool.end());
  const scs = databases.find(({ database }) => database === "mysql")!;

  /** MySQL takes for a comment what is for MariaDB alone. */
  const asMySql = (client: Pick<MySqlClient, "execute">): MySqlClient => ({
    execute: ({ sql }: { readonly sql: string }, parameters?: never) =>
      client.execute({ sql: sql.replace(/\/\*M!.*?\*\//g, "") } as never, parameters),
  });
  const poolAsMySql = (one: Pool | MariaPool): MySqlClient => ({
    ...asMySql(one),
    async getConnection() {
      const connection = await one.getConnection();
      return { ...asMySql(connection), release: () => connection.release() };
    },
  });
  const connectTo: [name: string, connect: () => Promise<{ client: MySqlClient; end(): Promise<void> }>][] = [
    [
      "mysql2",
      async () => {
        const one = createPool({ uri: mysqlUrl!, connectionLimit: 1 });
        return { client: one, end: () => one.end() };
      },
    ],
    [
      "mysql2, as MySQL understands it",
      async () => {
        const one = createPool({ uri: mysqlUrl!, connectionLimit: 1 });
        return { client: poolAsMySql(one), end: () => one.end() };
      },
    ],
    [
      "mysql2 with numbers as text",
      async () => {
        const typeCast = (field: { string(): string | null }): string | null => field.string();
        const one = createPool({ uri: mysqlUrl!, connectionLimit: 1, typeCast });
        return { client: poolAsMySql(one), end: () => one.end() };
      },
    ],
    [
      "mariadb, as MySQL understands it",
      async () => {
        const one = createMariaPool({ ...mariaAddress(), connectionLimit: 1 });
        return { client: poolAsMySql(one), end: () => one.end() };
      },
    ],
    [
      "a connection, as MySQL understands it",
      async () => {
        const one = await createConnection(mysqlUrl!);
        return { client: asMySql(one), end: () => one.end() };
      },
    ],
  ];

  test.each(connectTo)(
    "waits for nobody where nothing is to do, and a short time where something is: %s",
    async (_, newClient) => {
      const table = newTable();
      const { client, end } = await newClient();
      const store = new MySqlStore(client, { table });
      onTestFinished(async () => {
        await pool.query(`DROP TABLE ${table}`);
        await end();
      });
      const patience = async () =>
        inspect(((await client.execute({ sql: "SELECT @@lock_wait_timeout AS n" } as never)) as unknown[])[0]);
      const before = await patience();
      await store.migrate();
      await pool.query(`DROP INDEX ${table}_expiry_idx ON ${table}`);
      const reader = await pool.getConnection();
      await reader.query("BEGIN");
      await reader.query(`SELECT count(*) FROM ${table}`);
      const migration = store.migrate();
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await new MySqlStore(pool, { table }).find("a")).toBeUndefined();
      await reader.query("COMMIT");
      await migration;
      await reader.query("BEGIN");
      await reader.query(`SELECT count(*) FROM ${table}`);
      await store.migrate();
      await reader.query("COMMIT");
      reader.release();
      expect(await patience()).toBe(before);
    },
  );

  test("reads SCS's times in the server's time zone, and refuses over a connection with another one", async () => {
    const table = newTable();
    for (const statement of scs.scsTable(table)) await pool.query(statement);
    await pool.query(scs.scsWrite(table, "a", "78", expiry));
    const elsewhere = createMariaPool({ ...mariaAddress(), timezone: "+07:00" });
    onTestFinished(async () => {
      await elsewhere.end();
      await pool.query(`DROP TABLE ${table}`);
    });
    const store = new MySqlStore(elsewhere, { table });
    await expect(store.migrate()).rejects.toThrow("migrate over a connection that sets no time zone");
    await new MySqlStore(pool, { table }).migrate();
    await store.migrate();
    expect((await store.find("a"))?.expiry).toEqual(expiry);
  });
});
