// A site in Go with SCS's own stores and ours use the same sessions at the same time: `npm run test:go`.
import { createPool } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import { SessionManager, type SessionOptions, type Store } from "scs-session";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore } from "scs-session/postgres";
import { RedisStore } from "scs-session/redis";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startMariaDB } from "../../servers/mariadb.ts";
import { startPostgres } from "../../servers/postgres.ts";
import { startRedis } from "../../servers/redis.ts";
import { gobCodec } from "./gob.ts";
import { GoSite, program, type Typed } from "./site.ts";

type Data = Record<string, string | number | boolean | Uint8Array | Date>;

/** A store, its server, and how Go's driver is told where that is. */
interface Backend {
  readonly store: Store;
  readonly at: string;
  readonly keys: () => Promise<number>;
  stop(): Promise<unknown>;
}

/** Each server is of these tests alone, since SCS has one name for its table, and holds that as SCS's README makes it. */
const backends: Readonly<Record<"postgres" | "mysql" | "redis", () => Promise<Backend>>> = {
  async postgres() {
    const server = await startPostgres();
    const pool = new pg.Pool({ connectionString: server.url });
    pool.on("error", () => undefined); // of connections whose end the server has not read when it stops
    await pool.query(
      "CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)",
    );
    await pool.query("CREATE INDEX sessions_expiry_idx ON sessions (expiry)");
    const keys = async () => Number((await pool.query<{ n: string }>("SELECT count(*) n FROM sessions")).rows[0]?.n);
    const stop = () => pool.end().then(() => server.stop());
    return { store: new PostgresStore(pool), at: `${server.url}?sslmode=disable`, keys, stop };
  },
  async mysql() {
    const server = await startMariaDB();
    const pool = createPool(server.url);
    await pool.query(
      "CREATE TABLE sessions (token CHAR(43) PRIMARY KEY, data BLOB NOT NULL, expiry TIMESTAMP(6) NOT NULL)",
    );
    await pool.query("CREATE INDEX sessions_expiry_idx ON sessions (expiry)");
    const keys = async () => {
      const [rows] = await pool.query("SELECT count(*) n FROM sessions");
      return (rows as { n: number }[])[0]!.n;
    };
    const stop = () => pool.end().then(() => server.stop());
    const at = `root@tcp(127.0.0.1:${server.port})/test?parseTime=true`;
    return { store: new MySqlStore(pool), at, keys, stop };
  },
  async redis() {
    const server = await startRedis();
    const client = createClient({ url: server.url });
    client.on("error", () => undefined);
    await client.connect();
    const keys = async () => (await client.keys("scs:session:*")).length;
    const stop = async () => (client.destroy(), server.stop());
    return { store: new RedisStore(client), at: `127.0.0.1:${server.port}`, keys, stop };
  },
};

/** One of each type of Go, and what is a plain value of ours. */
const samples: readonly (readonly [key: string, ofGo: Typed, ofOurs: Data[string]])[] = [
  ["text", { type: "string", value: "Grüße, 世界 \u0000" }, "Grüße, 世界 \u0000"],
  ["empty", { type: "string", value: "" }, ""],
  ["int", { type: "int", value: "-300" }, -300],
  ["large", { type: "int", value: "9007199254740991" }, 9_007_199_254_740_991],
  ["zero", { type: "int", value: "0" }, 0],
  ["fraction", { type: "float64", value: "-0.1" }, -0.1],
  ["yes", { type: "bool", value: "true" }, true],
  ["no", { type: "bool", value: "false" }, false],
  ["bytes", { type: "[]uint8", value: "AP+AfwE=" }, new Uint8Array([0, 255, 128, 127, 1])],
  ["time", { type: "time.Time", value: "2026-02-28T23:59:59.987Z" }, new Date("2026-02-28T23:59:59.987Z")],
  ["early", { type: "time.Time", value: "1901-01-01T00:00:00.001Z" }, new Date("1901-01-01T00:00:00.001Z")],
];

const { path, remove } = await program();
afterAll(remove);

describe.each(Object.entries(backends))("SCS and we on %s", { timeout: 60_000 }, (kind, start) => {
  let backend: Backend;
  let go: GoSite;
  const flags = (more: Readonly<Record<string, string>> = {}) => ({ store: kind, at: backend.at, ...more });
  const startGo = async (more: Readonly<Record<string, string>>): Promise<GoSite> => {
    const site = await GoSite.start(path, flags(more));
    onTestFinished(() => site.stop());
    return site;
  };

  beforeAll(async () => {
    backend = await start();
    go = await GoSite.start(path, flags());
  });
  afterAll(async () => {
    await go.stop();
    await backend.stop();
  });

  const manager = (options: Partial<SessionOptions<Data>> = {}): SessionManager<Data> => {
    const ours = { store: backend.store, codec: gobCodec, hashTokenInStore: false, sweepInterval: false } as const;
    const sessions = new SessionManager<Data>({ ...ours, lifetime: "1h", ...options });
    onTestFinished(() => sessions.close());
    return sessions;
  };
  const put = async (sessions: SessionManager<Data>, token: string, key: string, value: Data[string]) => {
    const session = await sessions.load(token);
    session.put(key, value);
    return sessions.commit(session);
  };
  const goPut = (token: string, key: string, { type, value }: Typed) => go.visit("put", token, { key, type, value });
  const goNew = async (): Promise<string> => (await goPut("", "user", { type: "string", value: "go" })).cookie;

  test("a table of SCS is brought up to date while Go writes to it", async () => {
    const tokens = [await goNew()];
    const done = new AbortController();
    const writer = (async () => {
      while (!done.signal.aborted) tokens.push(await goNew());
    })();
    await (backend.store as { migrate?(): Promise<void> }).migrate?.();
    done.abort();
    await writer;
    const sessions = manager();
    for (const token of tokens) expect((await sessions.load(token)).get("user")).toBe("go");
  });

  test("what Go has stored is read here, with its deadline", async () => {
    let token = "";
    for (const [key, ofGo] of samples) token = (await goPut(token, key, ofGo)).cookie;
    const session = await manager().load(token);
    for (const [key, , ofOurs] of samples) expect(session.get(key), key).toEqual(ofOurs);
    expect(session.keys()).toEqual(samples.map(([key]) => key).sort());
    const { deadline } = await go.visit("values", token);
    expect(session.deadline).toEqual(new Date(Math.floor(Date.parse(deadline))));
    expect(session.token).toBe(token);
  });

  test("what is stored here is read by Go, in its types, with its deadline", async () => {
    const sessions = manager();
    const session = await sessions.load();
    for (const [key, , ofOurs] of samples) session.put(key, ofOurs);
    const { token } = await sessions.commit(session);
    const contents = await go.visit("values", token);
    expect(contents.values).toEqual(Object.fromEntries(samples.map(([key, ofGo]) => [key, ofGo])));
    expect(Date.parse(contents.deadline)).toBe(session.deadline.getTime());
    expect(contents.cookie).toBe(token);
  });

  test("each adds to what the other has stored, and keeps its types and its deadline", async () => {
    const sessions = manager();
    const token = await goNew();
    const { deadline } = await goPut(token, "id", { type: "int64", value: "7" });
    await goPut(token, "price", { type: "float64", value: "10" });
    await put(sessions, token, "ours", "a");
    await goPut(token, "theirs", { type: "bool", value: "true" });
    const session = await sessions.load(token);
    session.update("id", (id) => Number(id) + 1);
    session.remove("user");
    await sessions.commit(session);
    const after = await go.visit("pop", token, { key: "ours" });
    expect(after.values).toEqual({
      id: { type: "int64", value: "8" },
      price: { type: "float64", value: "10" },
      theirs: { type: "bool", value: "true" },
    });
    expect(Math.abs(Date.parse(after.deadline) - Date.parse(deadline))).toBeLessThan(1);
    expect((await sessions.load(token)).keys()).toEqual(["id", "price", "theirs"]);
  });

  test("both look under the hash of a token", async () => {
    const hashing = await startGo({ hash: "true" });
    const sessions = manager({ hashTokenInStore: true });
    const { token } = await put(sessions, "", "ours", 1);
    const { cookie } = await hashing.visit("put", token, { key: "theirs", type: "int", value: "2" });
    expect(cookie).toBe(token);
    const session = await sessions.load(token);
    expect([session.get("ours"), session.get("theirs")]).toEqual([1, 2]);
    expect((await go.visit("values", token)).values).toEqual({});
  });

  test("a renewal by Go is the end of the old token here: what was on its way is dropped", async () => {
    const sessions = manager();
    const token = await goNew();
    const late = await sessions.load(token);
    late.put("late", 1);
    const { cookie } = await go.visit("renew", token);
    expect(cookie).not.toBe(token);
    await sessions.commit(late);
    expect((await sessions.load(token)).isNew).toBe(true);
    expect((await go.visit("values", token)).values).toEqual({});
    const session = await sessions.load(cookie);
    expect([session.get("user"), session.get("late")]).toEqual(["go", undefined]);
  });

  test("a renewal here is the end of the old token for Go: it finds no values there, and brings none back", async () => {
    const sessions = manager();
    const token = await goNew();
    const session = await sessions.load(token);
    session.renewToken();
    const { token: successor } = await sessions.commit(session);
    expect((await go.visit("values", successor)).values).toEqual({ user: { type: "string", value: "go" } });
    expect((await go.visit("values", token)).values).toEqual({});
    await goPut(token, "late", { type: "int", value: "1" });
    const old = await sessions.load(token);
    expect(old.get("user")).toBeUndefined();
    expect((await sessions.load(successor)).get("late")).toBeUndefined();
  });

  test("an end by Go is an end here: what was on its way is dropped, and no row comes back", async () => {
    const sessions = manager();
    const token = await goNew();
    const late = await sessions.load(token);
    late.put("late", 1);
    const renewed = await sessions.load(token);
    renewed.renewToken();
    const before = await backend.keys();
    expect((await go.visit("destroy", token)).cookie).toBe("");
    await sessions.commit(late);
    await sessions.commit(renewed);
    expect(await backend.keys()).toBe(before - 1);
    expect((await sessions.load(token)).isNew).toBe(true);
  });

  test("an end here is an end for Go; what it had on its way comes back by SCS's design, and is a session here, too", async () => {
    const sessions = manager();
    const token = await goNew();
    const release = await go.holdPut(token, "late", { type: "int", value: "1" });
    const session = await sessions.load(token);
    session.destroy();
    await sessions.commit(session);
    expect((await go.visit("values", token)).values).toEqual({});
    await release();
    const back = await sessions.load(token);
    expect([back.get("user"), back.get("late")]).toEqual(["go", 1]);
    back.destroy();
    await sessions.commit(back);
    expect((await go.visit("values", token)).values).toEqual({});
  });

  test("a session that Go made is found by its subject once it was committed here, whatever Go writes then", async () => {
    const sessions = manager({ subject: ({ user }) => user as string | undefined });
    const user = `user-${kind}`;
    const { cookie } = await goPut("", "user", { type: "string", value: user });
    await put(sessions, cookie, "seen", true);
    await goPut(cookie, "more", { type: "int", value: "1" });
    const found = [];
    for await (const each of sessions.list({ subject: user })) found.push(each.values);
    expect(found).toEqual([{ user, seen: true, more: 1 }]);
    await sessions.revoke({ subject: user });
    expect((await go.visit("values", cookie)).values).toEqual({});
  });

  test("an idle timeout here keeps a session alive for Go, and Go's keeps it alive here", async () => {
    const idle = await startGo({ idle: "1200ms" });
    const sessions = manager({ idleTimeout: "1200ms", touchInterval: "100ms" });
    const { token } = await put(sessions, "", "ours", 1);
    const pause = () => new Promise((resolve) => setTimeout(resolve, 700));
    for (let visit = 0; visit < 3; visit++) {
      await pause();
      expect((await sessions.load(token, { touch: true })).get("ours")).toBe(1);
      await pause();
      expect(Object.keys((await idle.visit("values", token)).values)).toEqual(["ours"]);
    }
    await pause();
    await pause();
    expect((await sessions.load(token)).isNew).toBe(true);
    expect((await go.visit("values", token)).values).toEqual({});
  });

  test("a session is over at the same moment for both", async () => {
    const sessions = manager({ lifetime: "1s" });
    const short = await startGo({ lifetime: "1s" });
    const { token } = await put(sessions, "", "ours", 1);
    const { cookie } = await short.visit("put", "", { key: "theirs", type: "int", value: "2" });
    expect([(await sessions.load(cookie)).get("theirs"), (await go.visit("values", token)).values["ours"]]).toEqual([
      2,
      { type: "int", value: "1" },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect([(await sessions.load(cookie)).isNew, (await go.visit("values", token)).values]).toEqual([true, {}]);
  });

  test("while both write to one session, neither fails; ours lose nothing among themselves", async () => {
    const [one, two] = [manager(), manager()];
    const token = await goNew();
    const ours = (n: number) => Promise.all([one, two].map((sessions, i) => put(sessions, token, `ours${i}-${n}`, n)));
    const theirs = Array.from({ length: 20 }, (_, n) => goPut(token, `theirs${n}`, { type: "int", value: String(n) }));
    await Promise.all([...theirs, ...Array.from({ length: 20 }, (_, n) => ours(n))]);
    const values = await go.visit("values", token);
    expect(values.cookie).toBe(token);
    expect((await one.load(token)).keys()).toEqual(Object.keys(values.values).sort());
    await Promise.all(Array.from({ length: 20 }, (_, n) => ours(100 + n)));
    const last = Object.keys((await go.visit("values", token)).values);
    expect(last.filter((key) => /^ours[01]-1\d\d$/.test(key))).toHaveLength(40);
    expect(last).toEqual(expect.arrayContaining(Object.keys(values.values)));
  });

  test("Go ends sessions in the middle of our writes: none of them is there afterwards", async () => {
    const sessions = manager();
    const tokens = await Promise.all(Array.from({ length: 20 }, goNew));
    await Promise.all(
      tokens.map(async (token, n) => {
        const writes = Array.from({ length: 5 }, (_, i) => put(sessions, token, `ours${i}`, i));
        await new Promise((resolve) => setTimeout(resolve, n % 7));
        await go.visit("destroy", token);
        const written = await Promise.all(writes);
        // A write that began after the end began a session of its own, under a token of its own.
        for (const { token: own } of written) if (own !== token && own !== "") expect(tokens).not.toContain(own);
      }),
    );
    for (const token of tokens) {
      expect((await go.visit("values", token)).values).toEqual({});
      expect((await sessions.load(token)).isNew).toBe(true);
    }
  });

  test("Go's list has ours in it, and ours has Go's", async () => {
    const sessions = manager();
    const [theirs, { token: ours }] = [await goNew(), await put(sessions, "", "ours", 1)];
    expect((await go.list()).map(({ token }) => token)).toEqual(expect.arrayContaining([theirs, ours]));
    const tokens: string[] = [];
    for await (const session of sessions.iterate()) tokens.push(session.token);
    expect(tokens).toEqual(expect.arrayContaining([theirs, ours]));
  });
});
