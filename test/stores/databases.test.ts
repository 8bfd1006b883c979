// What the SQL stores do to their databases: tables shared with SCS, migrations, indexes, round trips, isolation, faults.
import { inspect } from "node:util";
import { SessionManager, subscribe, type SessionEvent } from "scs-session";
import { createTable as mysqlTable, MySqlStore } from "scs-session/mysql";
import { createTable as postgresTable, PostgresStore } from "scs-session/postgres";
import { createTable as sqliteTable, SqliteStore } from "scs-session/sqlite";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { clients, isolatedClient } from "./clients.ts";
import { newTable } from "./names.ts";

const bytes = (text: string): Buffer => Buffer.from(text);
const session = (text: string, subject?: string) => ({
  data: bytes(text),
  expiry: new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_123),
  subject,
});
async function textAt(store: { find(token: string): Promise<{ data: Uint8Array } | undefined> }, token: string) {
  const found = await store.find(token);
  return found && Buffer.from(found.data).toString();
}
async function keysOf(rows: AsyncIterable<[string, unknown]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of rows) keys.push(key);
  return keys.sort();
}

/** One client of each database, and how SCS makes its table there, writes a session and reads it. */
const databases = [
  {
    database: "postgres",
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
    explain: (table: string) =>
      `EXPLAIN SELECT token, data, expiry FROM ${table} WHERE subject = '7' AND token > '' ORDER BY token LIMIT 1000`,
    fill: (table: string) => [
      `INSERT INTO ${table} SELECT 'k' || n, 'x', now() + interval '1 hour', (n % 5000)::text FROM generate_series(1, 50000) n`,
      `ANALYZE ${table}`,
    ],
  },
  {
    database: "mysql",
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
    explain: (table: string) =>
      `EXPLAIN SELECT token, data, expiry FROM ${table} WHERE subject = '7' AND token > '' ORDER BY token LIMIT 1000`,
    fill: (table: string) => [
      `INSERT INTO ${table} WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
       SELECT CONCAT('k', a.n, 'x', b.n), 'x', UTC_TIMESTAMP() + INTERVAL 1 HOUR, a.n FROM numbers a, numbers b WHERE b.n <= 20`,
      `ANALYZE TABLE ${table}`,
    ],
  },
  {
    database: "sqlite",
    client: "libsql",
    scsTable: (table: string) => [
      `CREATE TABLE ${table} (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)`,
      `CREATE INDEX ${table}_expiry_idx ON ${table} (expiry)`,
    ],
    scsWrite: (table: string, token: string, hex: string, expiry: Date) =>
      `REPLACE INTO ${table} (token, data, expiry) VALUES ('${token}', x'${hex}', julianday('${expiry.toISOString().slice(0, -1)}'))`,
    scsRead: (table: string, token: string) =>
      `SELECT lower(hex(data)) AS hex FROM ${table} WHERE token = '${token}' AND julianday('now') < expiry`,
    explain: (table: string) =>
      `EXPLAIN QUERY PLAN SELECT token, data, expiry FROM ${table} WHERE subject = '7' AND token > '' ORDER BY token LIMIT 1000`,
    fill: (table: string) => [
      `INSERT INTO ${table} WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
       SELECT 'k' || n, x'00', julianday('now') + 1, n % 2000 FROM numbers`,
      "ANALYZE",
    ],
  },
].filter(({ client }) => clients.some(({ name }) => name === client));

describe.each(databases)("$database", { timeout: 60_000 }, ({ client, scsTable, scsWrite, scsRead, explain, fill }) => {
  const connected = clients.find(({ name }) => name === client)!.connect();
  const tables: string[] = [];
  const setup = async () => {
    const connection = await connected;
    const table = newTable();
    tables.push(table);
    return { ...connection, table, store: connection.store({ table }) };
  };
  afterAll(async () => {
    const { drop, close } = await connected;
    await drop(tables);
    await close();
  });

  test("migrate may run again, and five times at once", async () => {
    const { store, table, sql } = await setup();
    const others = Array.from({ length: 4 }, async () => (await connected).store({ table }));
    await Promise.all([store, ...(await Promise.all(others))].map((each) => each.migrate()));
    await store.commit("a", session("one", "1"));
    await store.migrate();
    expect([await textAt(store, "a"), await keysOf(store.findBySubject("1"))]).toEqual(["one", ["a"]]);
    expect(await sql(`SELECT count(*) AS n FROM ${table}`)).toEqual([{ n: expect.anything() as unknown }]);
  });

  test("migrate brings a table of SCS up to date, with the sessions in it", async () => {
    const { store, table, sql } = await setup();
    for (const statement of scsTable(table)) await sql(statement);
    const { expiry } = session("");
    const [aB, Ab] = [`aB${"x".repeat(41)}`, `Ab${"x".repeat(41)}`];
    await sql(scsWrite(table, aB, bytes("from Go").toString("hex"), expiry));
    await store.migrate();
    expect((await store.find(aB))?.expiry).toEqual(expiry);
    expect([await textAt(store, aB), await textAt(store, Ab)]).toEqual(["from Go", undefined]);
    const large = Buffer.alloc(1_000_000, 7);
    await store.commit(Ab, { ...session("", "1"), data: large });
    expect([await textAt(store, aB), Buffer.compare((await store.find(Ab))!.data, large)]).toEqual(["from Go", 0]);
  });

  test("SCS and the store write and read the same rows", async () => {
    const { store, table, sql } = await setup();
    await store.migrate();
    const token = "t".repeat(43);
    await store.commit(token, session("from here", "1"));
    expect(await sql(scsRead(table, token))).toEqual([{ hex: bytes("from here").toString("hex") }]);
    await sql(scsWrite(table, token, bytes("from Go").toString("hex"), session("").expiry));
    expect(await store.replace(token, bytes("from here"), session("again", "1"))).toBe("conflict");
    expect(await store.replace(token, bytes("from Go"), session("again", "1"))).toBe("replaced");
    await store.touch(token, new Date(Date.now() - 1_000));
    expect(await sql(scsRead(table, token))).toEqual([]);
    expect(await store.deleteExpired(10)).toBe(1);
  });

  test("the sessions of a subject are found by its index", async () => {
    const { store, table, sql } = await setup();
    await store.migrate();
    for (const statement of fill(table)) await sql(statement);
    expect(JSON.stringify(await sql(explain(table)))).toContain(`${table}_subject_idx`);
    expect((await keysOf(store.findBySubject("7"))).length).toBeGreaterThan(5);
  });

  test("a table that does not exist is named in the error, with what to do; token and data are not", async () => {
    const { store, table } = await setup();
    const events: SessionEvent[] = [];
    onTestFinished(subscribe((event) => events.push(event)));
    const sessions = new SessionManager<{ secret: string }>({ store, cookie: { name: table } });
    const draft = await sessions.load();
    draft.put("secret", "do-not-show");
    const error: unknown = await sessions.commit(draft).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "store-unavailable", status: 503 });
    const told = inspect([error, events], { depth: 10 });
    expect(told).toContain(`The table ${table} does not exist or is not up to date; call await store.migrate()`);
    expect(told).not.toContain("do-not-show");
  });

  test("names that are no tables are refused", async () => {
    const { store } = await connected;
    for (const table of ["", "a b", 'a"b', "a`b", "a;b", "a.b.c", ".a", "1a", "ä"]) {
      expect(() => store({ table })).toThrow(expect.objectContaining({ code: "invalid-option" }) as Error);
    }
  });

  test("rows that are none of ours end no process: a fresh session, and an event", async () => {
    const { store, table, sql } = await setup();
    await store.migrate();
    const sessions = new SessionManager<{ n: number }>({ store, hashTokenInStore: false, cookie: { name: table } });
    const events: string[] = [];
    onTestFinished(subscribe(({ type, manager }) => manager === table && events.push(type)));
    for (const [n, hex] of ["00", "", bytes('{"n":').toString("hex"), bytes("[1,2]").toString("hex")].entries()) {
      const token = `${n}${"g".repeat(42)}`;
      await sql(scsWrite(table, token, hex, session("").expiry));
      expect((await sessions.load(token)).isNew).toBe(true);
    }
    expect(events).toEqual(["undecodable", "undecodable", "undecodable", "undecodable"]);
  });
});

describe.each(databases.filter(({ database }) => database !== "sqlite"))(
  "$database, with every isolation level",
  ({ client, database }) => {
    test.each(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])(
      "%s: 50 counters that retry on conflict count to 50",
      { timeout: 60_000 },
      async (level) => {
        const { store: newStore, drop, close } = await clients.find(({ name }) => name === client)!.connect();
        const table = newTable();
        await newStore({ table }).migrate();
        const connection = isolatedClient(database as "postgres" | "mysql", level);
        onTestFinished(async () => {
          await connection.close();
          await drop([table]);
          await close();
        });
        const store = connection.store({ table });
        await store.commit("a", session("0"));
        const count = async (): Promise<void> => {
          for (;;) {
            const { data } = (await store.find("a"))!;
            if (
              (await store.replace("a", data, session(String(Number(Buffer.from(data).toString()) + 1)))) === "replaced"
            )
              return;
          }
        };
        await Promise.all(Array.from({ length: 50 }, count));
        expect(await textAt(store, "a")).toBe("50");
        expect(await store.replace("b", bytes("x"), session("y"))).toBe("missing");
      },
    );
  },
);

test("createTable is exported as SQL, for migrations of one's own", () => {
  for (const sql of [postgresTable, mysqlTable, sqliteTable]) {
    expect(sql).toMatch(/^CREATE TABLE IF NOT EXISTS ["`]sessions["`] \(token [\s\S]*;\n$/);
    expect(sql).toContain("subject");
  }
});

test.each([
  ["PostgresStore", PostgresStore, "a Pool or Client of pg, postgres (postgres.js), PGlite, Bun.sql"],
  ["MySqlStore", MySqlStore, "a pool or connection of mysql2 or mariadb"],
  ["SqliteStore", SqliteStore, "a database of better-sqlite3, libsql, node:sqlite or bun:sqlite"],
])("%s refuses a client of no known shape, and lists what it takes", (name, Store, accepted) => {
  for (const client of [undefined, null, {}, "postgres://localhost", { send: () => undefined }]) {
    expect(() => new Store(client as never)).toThrow(
      `${name} takes ${accepted}, or an object { query(text, parameters, { signal }) }`,
    );
  }
});

test("a client of one's own needs one method", async () => {
  const asked: [text: string, parameters: readonly unknown[]][] = [];
  const store = new PostgresStore({
    async query(text: string, parameters: readonly unknown[]) {
      asked.push([text, parameters]);
      return { rows: [{ token: "a", data: bytes("one"), expiry: 5 }], affected: 0 };
    },
  });
  expect(await store.find("a")).toEqual({ data: bytes("one"), expiry: new Date(5) });
  expect(asked).toEqual([[expect.stringContaining('FROM "sessions" WHERE token = $1'), ["a"]]]);
});

test("each ability is one round trip; a conditional delete or a SQLite replace that misses looks again", async () => {
  const counted = (Store: typeof PostgresStore | typeof MySqlStore) => {
    let calls = 0;
    const rows = [{ token: "a", data: bytes("one"), expiry: "2030-01-01T00:00:00.000000", answer: "replaced" }];
    const client = { query: async () => (calls++, { rows, affected: 1, insertId: 1 }) };
    return { store: new Store(client), count: () => calls };
  };
  for (const Store of [PostgresStore, MySqlStore]) {
    const { store, count } = counted(Store);
    await store.find("a");
    await store.commit("a", session("one"));
    await store.replace("a", bytes("one"), session("two"));
    await store.replace("a", bytes("one"), undefined);
    await store.touch("a", new Date());
    await store.delete("a");
    await keysOf(store.all());
    await keysOf(store.findBySubject("1"));
    await store.deleteExpired(1_000);
    expect(count()).toBe(9);
  }
});

test("a SQLite database that another process has locked is asked once: its driver has waited already, and blocks", async () => {
  let asked = 0;
  const run = (): never => {
    asked++;
    throw Object.assign(new Error("database is locked"), { code: "SQLITE_BUSY" });
  };
  const store = new SqliteStore({ prepare: () => ({ all: run, run }) });
  await expect(store.commit("a", session("one"))).rejects.toThrow("database is locked");
  expect(asked).toBe(1);
});
