// What depends on drivers: what their errors tell, abort signals, prepared statements, transactions, clients that look like others.
import { createRequire } from "node:module";
import { inspect } from "node:util";
import { createPool } from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore } from "scs-session/postgres";
import { SqliteStore } from "scs-session/sqlite";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type { SqlStore } from "../../src/stores/sql.ts";
import { waitUntil } from "../servers/server.ts";
import { addressOf } from "../servers/shared.ts";
import { clients, d1, mariaAddress } from "./clients.ts";
import { newTable } from "./names.ts";

const [postgresUrl, mysqlUrl] = await Promise.all([addressOf("postgres"), addressOf("mysql")]);
const session = (text: string, subject?: string) => ({
  data: Buffer.from(text),
  expiry: new Date(Date.now() + 3_600_000),
  subject,
});
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Makes a table refuse what is longer than two bytes. */
const refusing = {
  postgres: (table: string) => `ALTER TABLE ${table} ADD CONSTRAINT ${table}_short CHECK (length(data) < 3)`,
  mysql: (table: string) => `ALTER TABLE ${table} ADD CONSTRAINT ${table}_short CHECK (LENGTH(data) < 3)`,
  sqlite: (table: string) =>
    `CREATE TRIGGER ${table}_short BEFORE INSERT ON ${table} WHEN length(new.data) > 2 BEGIN SELECT RAISE(ABORT, 'long'); END`,
};

/** Where the server counts statements that were prepared, or executed so. */
const preparedBy: Record<string, (table: string) => string> = {
  "pg, a Client": (table) => `SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%${table}%'`,
  "mysql2, a connection": () => "SHOW SESSION STATUS LIKE 'Com_stmt_execute'",
  "mariadb, a connection": () => "SHOW SESSION STATUS LIKE 'Com_stmt_execute'",
};

describe.each([...clients, d1])("$name", { timeout: 20_000 }, ({ name, database, connect }) => {
  const connected = connect();
  const tables: string[] = [];
  const setup = async () => {
    const connection = await connected;
    const table = newTable();
    tables.push(table);
    const store = connection.store({ table });
    await store.migrate();
    return { ...connection, table, store };
  };
  afterAll(async () => {
    const { drop, close } = await connected;
    await drop(tables);
    await close();
  });

  test("errors of the database tell neither statement, token nor data", async () => {
    const { store, table, sql } = await setup();
    await sql(refusing[database](table));
    const error = await failure(store.commit("the-token", session("the-data", "the-subject")));
    expect(error).toBeInstanceOf(Error);
    const told = inspect(error, { depth: 10, showHidden: true });
    const secrets = ["the-token", "the-data", Buffer.from("the-data").toString("hex"), "the-subject", "INSERT", table];
    for (const secret of secrets) expect(told).not.toContain(secret);
    if (name !== d1.name) expect((error as { code?: unknown }).code).toEqual(expect.any(String));
  });

  test("a table that does not exist is named by every call, with what to do, and without what was given", async () => {
    const store = (await connected).store({ table: "nowhere" });
    const calls = [
      () => store.find("the-token"),
      () => store.commit("the-token", session("the-data", "the-subject")),
      () => store.replace("the-token", Buffer.from("the-data"), session("the-data", "the-subject")),
      () => store.replace("the-token", Buffer.from("the-data"), undefined),
      () => store.touch("the-token", new Date()),
      () => store.delete("the-token"),
      () => store.all().next(),
      () => store.findBySubject("the-subject").next(),
      () => store.deleteExpired(10),
    ];
    for (const call of calls) {
      const error = await failure(call());
      expect(error).toMatchObject({ code: "store-unavailable" });
      const told = inspect(error, { depth: 10, showHidden: true });
      expect(told).toContain("The table nowhere does not exist or is not up to date; call await store.migrate()");
      for (const secret of ["the-token", "the-data", "the-subject"]) expect(told).not.toContain(secret);
    }
  });

  test("a call whose signal is aborted already writes nothing", async () => {
    const { store } = await setup();
    await store.commit("a", session("one"));
    const options = { signal: AbortSignal.abort() };
    const calls = [
      store.commit("b", session("one"), options),
      store.commit("a", session("two"), options),
      store.replace("a", Buffer.from("one"), session("two"), options),
      store.touch("a", new Date(0), options),
      store.delete("a", options),
      store.find("a", options),
    ];
    for (const call of calls) expect(await failure(call)).toMatchObject({ name: "AbortError" });
    expect([await store.find("b"), Buffer.from((await store.find("a"))!.data).toString()]).toEqual([undefined, "one"]);
  });

  test("dates that its column cannot hold are taken for the nearest that it can", async () => {
    const { store } = await setup();
    for (const ms of [-8.64e15, 8.64e15]) {
      await store.commit("a", { ...session("one"), expiry: new Date(ms) });
      const found = (await store.find("a"))!.expiry.getTime();
      expect(Math.sign(ms) * found).toBeGreaterThan(62_000_000_000_000);
      expect(await store.touch("a", new Date(ms))).toBe(true);
    }
  });

  if (!(name in preparedBy)) return; // the others are asked in tests of their own, or cannot prepare
  test("statements are prepared once, and executed", async () => {
    const { store, table, sql } = await setup();
    const count = async (): Promise<number> => {
      const rows = await sql(preparedBy[name]!(table));
      return database === "mysql" ? Number(rows[0]!["Value"]) : rows.length;
    };
    const before = await count();
    for (let i = 0; i < 3; i++) {
      await store.commit("a", session("one"));
      await store.find("a");
    }
    expect((await count()) - before).toBe(database === "mysql" ? 6 : 2);
  });
});

test.skipIf(postgresUrl === undefined)("statements of postgres.js are prepared once, and executed", async () => {
  const sql = postgres(postgresUrl!, { max: 1, onnotice: () => undefined });
  const table = newTable();
  const store = new PostgresStore(sql, { table });
  await store.migrate();
  for (let i = 0; i < 3; i++) await store.find("a");
  const prepared = await sql.unsafe(`SELECT 1 FROM pg_prepared_statements WHERE statement LIKE '%${table}%'`);
  expect(prepared).toHaveLength(1);
  await sql.unsafe(`DROP TABLE ${table}`);
  await sql.end();
});

test("an error that migrate() meets tells neither statement nor data", async () => {
  const fault = Object.assign(new Error("Duplicate entry 'the-token'"), { sql: "ALTER TABLE", code: "ER_DUP_ENTRY" });
  const error = await failure(new MySqlStore({ query: () => Promise.reject(fault) }).migrate());
  expect(error).toMatchObject({
    message: "The session store failed to migrate the table sessions.",
    cause: { code: "ER_DUP_ENTRY" },
  });
  expect(inspect(error, { depth: 10 })).not.toMatch(/the-token|ALTER/);
});

test("errors of the operating system keep their message", async () => {
  const fault = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), {
    code: "ECONNREFUSED",
    syscall: "connect",
  });
  const error = await failure(new PostgresStore({ query: () => Promise.reject(fault) }).find("a"));
  expect(error).toMatchObject({ message: fault.message, code: fault.code, syscall: "connect" });
});

describe("a statement that is in the way of others", () => {
  const deadlock = (code: string) => Object.assign(new Error("deadlock"), { code });

  test("is tried ten times, but not after an abort", async () => {
    const controller = new AbortController();
    for (const [abortAt, expected] of [
      [Infinity, 10],
      [3, 3],
    ] as const) {
      let asked = 0;
      const query = async (): Promise<never> => {
        if (++asked === abortAt) setImmediate(() => controller.abort());
        throw deadlock("40001");
      };
      const options = { signal: controller.signal };
      expect(await failure(new PostgresStore({ query }).commit("a", session("one"), options))).toBeInstanceOf(Error);
      expect(asked).toBe(expected);
    }
  });

  test("is tried again over a pool of MySQL, but not over a single connection", async () => {
    for (const [pool, expected] of [
      [{ getConnection: () => Promise.reject(new Error("none is left")) }, 10],
      [{}, 1],
    ] as const) {
      let asked = 0;
      const execute = (): Promise<never> => (asked++, Promise.reject(deadlock("ER_LOCK_DEADLOCK")));
      const error = await failure(new MySqlStore({ ...pool, execute }).delete("a"));
      expect(error).toMatchObject({ code: "ER_LOCK_DEADLOCK" });
      expect(asked).toBe(expected);
    }
  });

  test.skipIf(mysqlUrl === undefined)(
    "in a transaction of the application on MySQL: the application is told that its transaction is gone",
    async () => {
      const pool = createPool({ uri: mysqlUrl! });
      const [table, orders] = [newTable(), newTable()];
      const others = new MySqlStore(pool, { table });
      await others.migrate();
      await others.commit("a", session("1"));
      await pool.query(`CREATE TABLE ${orders} (id INT PRIMARY KEY, n INT)`);
      await pool.query(`INSERT INTO ${orders} VALUES (1, 0)`);
      const [one, two] = [await pool.getConnection(), await pool.getConnection()];
      onTestFinished(async () => {
        one.release();
        two.release();
        await pool.query(`DROP TABLE ${table}, ${orders}`);
        await pool.end();
      });
      await one.query("BEGIN");
      await one.query(`UPDATE ${orders} SET n = 100 WHERE id = 1`);
      await two.query("BEGIN");
      const filler = Array.from({ length: 20 }, (_, i) => `(${i + 100}, 0)`).join(", ");
      await two.query(`INSERT INTO ${orders} VALUES ${filler}`); // the lighter one is the victim
      await two.query(`UPDATE ${table} SET data = 'z' WHERE token = 'a'`);
      const blocked = two.query(`UPDATE ${orders} SET n = 5 WHERE id = 1`);
      await waitUntil("it waits for the lock", async () => {
        const waiting = `SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id = ?`;
        const [rows] = await pool.query(waiting, [two.threadId]);
        return (rows as unknown[]).length > 0;
      });
      const error = await failure(new MySqlStore(one, { table }).replace("a", Buffer.from("1"), session("2")));
      await blocked;
      await two.query("COMMIT");
      expect(error).toMatchObject({ code: "ER_LOCK_DEADLOCK" });
    },
  );

  test.skipIf(postgresUrl === undefined)(
    "in a transaction of the application on PostgreSQL: the first error is told, not that of the retry",
    async () => {
      const pool = new pg.Pool({ connectionString: postgresUrl });
      const table = newTable();
      const others = new PostgresStore(pool, { table });
      await others.migrate();
      await others.commit("a", session("1"));
      const one = await pool.connect();
      onTestFinished(async () => {
        one.release();
        await pool.query(`DROP TABLE ${table}`);
        await pool.end();
      });
      await one.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
      await one.query(`SELECT count(*) FROM ${table}`);
      await others.commit("a", session("2"));
      const error = await failure(new PostgresStore(one, { table }).commit("a", session("3")));
      await one.query("ROLLBACK");
      expect(error).toMatchObject({ code: "40001" });
    },
  );
});

test.skipIf(postgresUrl === undefined)(
  "a sweep of PostgreSQL waits for nobody: what another one has locked is left to that",
  { timeout: 20_000 },
  async () => {
    const pool = new pg.Pool({ connectionString: postgresUrl });
    const table = newTable();
    const store = new PostgresStore(pool, { table });
    await store.migrate();
    for (const token of ["a", "b", "c"]) await store.commit(token, { ...session("1"), expiry: new Date(0) });
    const other = await pool.connect();
    onTestFinished(async () => {
      other.release();
      await pool.query(`DROP TABLE ${table}`);
      await pool.end();
    });
    await other.query("BEGIN");
    await new PostgresStore(other, { table }).touch("b", new Date(Date.now() + 60_000));
    expect(await store.deleteExpired(10)).toBe(2);
    await other.query("COMMIT");
    expect(await store.deleteExpired(10)).toBe(0);
  },
);

test.skipIf(mysqlUrl === undefined)("a trigger of MySQL that inserts rows of its own changes no answer", async () => {
  const pool = createPool({ uri: mysqlUrl! });
  const table = newTable();
  const store = new MySqlStore(pool, { table });
  await store.migrate();
  onTestFinished(async () => {
    await pool.query(`DROP TABLE ${table}, ${table}_log`);
    await pool.end();
  });
  await pool.query(`CREATE TABLE ${table}_log (id INT AUTO_INCREMENT PRIMARY KEY, token TEXT)`);
  const log = `FOR EACH ROW INSERT INTO ${table}_log (token) VALUES (OLD.token)`;
  for (const event of ["UPDATE", "DELETE"]) {
    await pool.query(`CREATE TRIGGER ${table}_${event} AFTER ${event} ON ${table} ${log}`);
  }
  await store.commit("a", session("one"));
  expect(await store.touch("a", new Date(Date.now() + 60_000))).toBe(true);
  expect(await store.touch("b", new Date(Date.now() + 60_000))).toBe(false);
  expect(await store.replace("a", Buffer.from("two"), session("three"))).toBe("conflict");
  expect(await store.replace("a", Buffer.from("one"), session("two"))).toBe("replaced");
  expect(await store.replace("b", Buffer.from("one"), session("two"))).toBe("missing");
  expect(await store.replace("a", Buffer.from("two"), undefined)).toBe("replaced");
});

test.skipIf(mysqlUrl === undefined)(
  "a sweep of MySQL locks what it deletes, and no place where others store what expires next",
  { timeout: 20_000 },
  async () => {
    const pool = createPool({ uri: mysqlUrl! });
    const table = newTable();
    const store = new MySqlStore(pool, { table });
    await store.migrate();
    for (const [token, ms] of Object.entries({ b: -2_000, d: -1_000, f: 3_600_000 })) {
      await store.commit(token, { ...session("1", "7"), expiry: new Date(Date.now() + ms) });
    }
    const [sweeper, writer] = [await pool.getConnection(), await pool.getConnection()];
    onTestFinished(async () => {
      sweeper.destroy();
      writer.destroy();
      await pool.query(`DROP TABLE ${table}`);
      await pool.end();
    });
    await sweeper.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    await sweeper.query("BEGIN"); // keeps the locks until its end
    expect(await new MySqlStore(sweeper, { table }).deleteExpired(100)).toBe(2);
    await writer.query("SET innodb_lock_wait_timeout = 1");
    const writes = new MySqlStore(writer, { table });
    for (const token of ["a", "c", "e", "g"]) {
      await writes.commit(token, { ...session("1", "7"), expiry: new Date(Date.now() + 60_000) });
      await writes.touch(token, new Date(Date.now() + 30_000));
      await writes.delete(token);
    }
    await writes.touch("f", new Date(Date.now() + 20_000));
    await sweeper.query("COMMIT");
  },
);

describe("a pool of pg", () => {
  type Callback = (error: Error | undefined, result?: object) => void;
  type Query = (query: unknown, values?: unknown, callback?: Callback) => unknown;
  const result = { rows: [{ token: "a", data: Buffer.from("one"), expiry: Date.UTC(2030, 0) / 1000 }], rowCount: 1 };
  /** As pg: given a callback it answers nothing. */
  const query: Query = function (_, values, callback = values as Callback | undefined) {
    if (callback === undefined) return Promise.resolve(result);
    setImmediate(callback, undefined, result);
    return undefined;
  };
  const around: [name: string, query: Query][] = [
    ["in nothing", query],
    ["in an async function that passes everything on", async (each, values, callback) => query(each, values, callback)],
    [
      "in an async function that reads the result",
      async (...given) => {
        const answer = (await query(...given)) as typeof result;
        return { ...answer, rows: [...answer.rows] };
      },
    ],
    ["in one that answers null", (each, values, callback) => query(each, values, callback) ?? null],
  ];
  test.each(around)("answers as ever when its query is wrapped %s", async (_, wrapped) => {
    const store = new PostgresStore({ query: wrapped, connect: () => undefined } as never);
    expect((await store.find("a"))?.data).toEqual(Buffer.from("one"));
  });

  test("whose query is wrapped in one that drops the count of rows is refused at its first answer", async () => {
    const withoutCount: Query = async () => ({ rows: result.rows });
    const store = new PostgresStore({ query: withoutCount, connect: () => undefined } as never);
    await expect(store.find("a")).rejects.toThrow("PostgresStore takes a Pool or Client of pg");
  });

  test("that counts NaN where there is nothing to count, as pg.native does, is one", async () => {
    const counting = { query: async () => ({ ...result, rowCount: NaN }), connect: () => undefined };
    expect(await new PostgresStore(counting).deleteExpired(1)).toBe(0);
  });

  test("that was ended fails, and leaves no rejection unhandled", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): unknown => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    onTestFinished(() => void process.off("unhandledRejection", listener));
    const pool = new pg.Pool();
    const plain = pool.query.bind(pool) as Query;
    await pool.end();
    const wrapped: Query = async (each, values, callback) => plain(each, values, callback);
    for (const client of [pool, { query: wrapped, connect: () => undefined }]) {
      await expect(new PostgresStore(client as pg.Pool).find("a")).rejects.toThrow("message withheld");
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });
});

describe("a client that looks like another", () => {
  const lookAlikes: [name: string, newStore: () => SqlStore][] = [
    ["sqlite3 of npm", () => new SqliteStore({ prepare: () => ({ all: () => ({}), run: () => ({}) }) } as never)],
    [
      "SQLite by promises",
      () => new SqliteStore({ prepare: () => ({ all: async () => ({}), run: async () => ({}) }) } as never),
    ],
    ["mysql", () => new MySqlStore({ query: () => ({ sql: "" }), getConnection: () => undefined } as never)],
    [
      "mysql, for PostgreSQL",
      () => new PostgresStore({ query: () => ({ sql: "" }), connect: () => undefined } as never),
    ],
    ["a client of one's own that answers rows alone", () => new PostgresStore({ query: async () => [] } as never)],
  ];
  test.each(lookAlikes)("is refused at its first answer: %s", async (_, newStore) => {
    const store = newStore();
    const calls = [
      () => store.migrate(),
      () => store.commit("a", session("one")),
      () => store.find("a"),
      () => store.replace("a", Buffer.from("one"), session("two")),
      () => store.touch("a", new Date()),
      () => store.delete("a"),
      () => store.all().next(),
      () => store.findBySubject("1").next(),
      () => store.deleteExpired(10),
    ];
    for (const call of calls) {
      expect(await failure(call())).toMatchObject({
        code: "invalid-option",
        message: expect.stringMatching(/Store takes .* \{ query\(text, parameters, \{ signal \}\) \}/) as unknown,
      });
    }
  });

  test("fails where it answers rejections, and leaves none unhandled", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): unknown => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    onTestFinished(() => void process.off("unhandledRejection", listener));
    const reject = () => Promise.reject(new Error("Wrong number of parameters for 'the-token'"));
    const store = new SqliteStore({ prepare: () => ({ all: reject, run: reject }) } as never);
    for (const call of [store.find("the-token"), store.delete("the-token")]) {
      expect(inspect(await failure(call))).toMatch(/^Error(?!.*the-token)/);
    }
    await new Promise((resolve) => setImmediate(resolve)); // they are told before
    expect(unhandled).toEqual([]);
  });

  test.skipIf(mysqlUrl === undefined)("is refused at its first answer: mariadb with callbacks", async () => {
    const { createPool: create } = createRequire(import.meta.url)("mariadb/callback") as {
      createPool(address: object): { execute(): Promise<unknown>; end(): void };
    };
    const pool = create(mariaAddress());
    onTestFinished(() => pool.end());
    await expect(new MySqlStore(pool).migrate()).rejects.toThrow("MySqlStore takes a pool or connection");
  });

  test("or whose driver is told to make something else of bytes or dates: an error, not a wrong session", async () => {
    const answers = (row: object) => new PostgresStore({ query: async () => ({ rows: [{ ...row }], affected: 0 }) });
    for (const expiry of ["n5", undefined, {}]) {
      const store = answers({ token: "a", data: Buffer.from("one"), expiry });
      await expect(store.find("a")).rejects.toThrow("The column expiry of the table sessions does not hold a date.");
    }
    await expect(answers({ data: "text", expiry: 5 }).find("a")).rejects.toThrow("does not hold bytes");
  });
});

test("PostgreSQL refuses a subject that its index cannot hold, in words of the store", async () => {
  const store = new PostgresStore({ query: async () => ({ rows: [], affected: 0 }) });
  await store.commit("a", session("one", "s".repeat(2_500)));
  await expect(store.commit("a", session("one", "s".repeat(2_501)))).rejects.toThrow("The column subject cannot hold");
});
