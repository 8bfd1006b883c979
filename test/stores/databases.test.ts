// What the SQL stores do to their databases: tables shared with SCS, indexes, round trips, isolation, faults.
import { inspect } from "node:util";
import { SessionManager, subscribe, type SessionEvent } from "scs-session";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore } from "scs-session/postgres";
import { SqliteStore } from "scs-session/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { clients, isolatedClient } from "./clients.ts";
import { newTable } from "./names.ts";
import { databases } from "./scs-tables.ts";
import { bytes, connect, keysOf, textAt } from "./tables.ts";

const session = (text: string, subject?: string) => ({
  data: bytes(text),
  expiry: new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_123),
  subject,
});

describe.each(databases)(
  "$database",
  { timeout: 60_000 },
  ({ client, scsTable, scsWrite, scsRead, fill, statements, strangeDates }) => {
    const { connected, setup } = connect(client);

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

    test("an expiry comes back to the millisecond, wherever in the next 30 years it is, and at the ends of calendars", async () => {
      const { store } = await setup();
      await store.migrate();
      const edges = [0, 999, -1, -62_135_596_800_000, Date.UTC(2038, 0, 19, 3, 14, 8, 1), Date.UTC(9999, 11, 31) - 1];
      const written = [...Array.from({ length: 1_000 }, (_, n) => Date.UTC(2027, 0) + n * 946_684_801), ...edges];
      await Promise.all(written.map((ms) => store.commit(`at${ms}`, { data: bytes("one"), expiry: new Date(ms) })));
      const read: string[] = [];
      for await (const [token, { expiry }] of store.all()) if (token !== `at${expiry.getTime()}`) read.push(token);
      expect(read).toEqual([]);
    });

    test("dates that JavaScript does not have are taken for the nearest that it has, and stop no list", async () => {
      const { store, table, sql } = await setup();
      await store.migrate();
      const found: Record<string, number | undefined> = {};
      for (const [n, literal] of Object.keys(strangeDates).entries()) {
        await store.commit(`strange-${n}`, session("one"));
        // MySQL would refuse some, were it asked strictly.
        await sql(`UPDATE /*+ SET_VAR(sql_mode = '') */ ${table} SET expiry = ${literal} WHERE token = 'strange-${n}'`);
        found[literal] = (await store.find(`strange-${n}`))?.expiry.getTime();
      }
      expect(found).toEqual(strangeDates);
      await store.commit("usual", session("one"));
      expect(await keysOf(store.all())).toHaveLength(Object.keys(strangeDates).length + 1);
    });

    test("each statement of the store is answered by an index, with 100,000 sessions of others present", async () => {
      const { store, table, sql } = await setup();
      await store.migrate();
      for (const statement of fill(table)) await sql(statement);
      const explained = new Map<string, string>();
      for (const statement of await statements(table)) explained.set(statement, JSON.stringify(await sql(statement)));
      expect(explained.size).toBeGreaterThanOrEqual(8);
      for (const [statement, plan] of explained)
        expect(plan, statement).not.toMatch(/Seq Scan|"type":"ALL"(?!.*"rows":null)|"SCAN /);
      const bySubject = [...explained].filter(([statement]) => statement.includes("WHERE subject = "));
      expect(bySubject.map(([, plan]) => plan)).toEqual([expect.stringContaining(`${table}_subject_idx`)]);
    });

    test("sessions that were stored without a subject are found by it once each was committed again", async () => {
      const { store, table, sql } = await setup();
      for (const statement of scsTable(table)) await sql(statement);
      const options = { store, cookie: { name: table } };
      const before = new SessionManager<{ userId: number }>(options);
      await store.migrate();
      const tokens: string[] = [];
      for (const userId of [1, 1, 2]) {
        const session = await before.load();
        session.put("userId", userId);
        tokens.push((await before.commit(session)).token);
      }
      await before.close();
      const sessions = new SessionManager<{ userId: number }>({ ...options, subject: ({ userId }) => userId });
      onTestFinished(() => sessions.close());
      await sessions.revoke({ subject: 1 });
      expect((await sessions.load(tokens[0])).get("userId")).toBe(1);
      for await (const session of sessions.iterate()) {
        const userId = session.get("userId");
        if (userId !== undefined) session.put("userId", userId);
        await sessions.commit(session);
      }
      await sessions.revoke({ subject: 1 });
      const users = await Promise.all(tokens.map(async (token) => (await sessions.load(token)).get("userId")));
      expect(users).toEqual([undefined, undefined, 2]);
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
      for (const table of ["", "a b", 'a"b', "a`b", "a;b", "a.b.c", ".a", "1a", "ä", "a".repeat(52)]) {
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
  },
);

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

test("a client of one's own needs one method", async () => {
  const asked: [text: string, parameters: readonly unknown[]][] = [];
  const store = new PostgresStore({
    async query(text: string, parameters: readonly unknown[]) {
      asked.push([text, parameters]);
      return { rows: [{ data: bytes("one"), expiry: 0.005 }], affected: 0 };
    },
  });
  expect(await store.find("a")).toEqual({ data: bytes("one"), expiry: new Date(5) });
  expect(asked).toEqual([[expect.stringContaining('FROM "sessions" WHERE token = $1'), ["a"]]]);
});

test("each ability is one round trip; a replace that misses looks again, a sweep of MySQL first", async () => {
  const counted = (Store: typeof PostgresStore | typeof MySqlStore) => {
    let calls = 0;
    const expiry = Store === MySqlStore ? "2030-01-01T00:00:00.000000" : Date.UTC(2030, 0);
    const rows = [{ token: "a", data: bytes("one"), expiry }];
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
    expect(count()).toBe(Store === MySqlStore ? 10 : 9);
  }
});

test("a sweep of MySQL whose sessions another process has swept first looks for others: fewer would mean that none is left", async () => {
  const sweepBeside = async (takenByOthers: number, expired = 1_000) => {
    let [looks, left] = [0, expired];
    const store = new MySqlStore({
      async query(text: string, parameters: readonly unknown[]) {
        if (text.startsWith("SELECT")) {
          looks++;
          const rows = Array.from({ length: Math.min(100, left) }, (_, n) => ({ token: `${left - n}` }));
          return { rows, affected: 0 };
        }
        const found = new Set(parameters).size;
        left -= found;
        return { rows: [], affected: looks <= takenByOthers ? found - 1 : found };
      },
    });
    return [await store.deleteExpired(100), looks];
  };
  expect(await sweepBeside(0)).toEqual([100, 1]);
  expect(await sweepBeside(1)).toEqual([100, 2]);
  expect(await sweepBeside(1, 100)).toEqual([99, 2]);
  expect(await sweepBeside(0, 50)).toEqual([50, 1]);
  const [, looks] = await sweepBeside(Infinity);
  expect(looks).toBeLessThanOrEqual(5);
});

test("a SQLite database that another process has locked is asked once: its driver has waited already, and blocks", async () => {
  let asked = 0;
  const run = (): never => {
    asked++;
    throw Object.assign(new Error("database is locked"), { code: "SQLITE_BUSY" });
  };
  const store = new SqliteStore({ prepare: () => ({ all: run, run }) });
  await expect(store.commit("a", session("one"))).rejects.toMatchObject({ code: "SQLITE_BUSY" });
  expect(asked).toBe(1);
});
