// A guard for the costs that do not depend on the machine: calls of the store, commands and bytes on the wire, headers of the
// response, allocation. A change that raises one of them has to say so here.
import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { createServer, get, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext, runInThisContext } from "node:vm";
import express4 from "express-4";
import express5 from "express";
import pg from "pg";
import { createClient } from "redis";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryStore, SessionManager, type SessionOptions, type Store } from "scs-session";
import { loadAndSave as loadAndSaveExpress } from "scs-session/express";
import { loadAndSave } from "scs-session/fetch";
import { PostgresStore } from "scs-session/postgres";
import { RedisStore } from "scs-session/redis";
import { TestClock } from "scs-session/testing";
import { startCounter, type Counter } from "./servers/counter.ts";
import { addressOf } from "./servers/shared.ts";

const [redis, postgres] = await Promise.all([addressOf("redis"), addressOf("postgres")]);

interface Data {
  user: number;
  visits: number;
}

/** Requests of a browser to a small site on a store. */
async function site(options: SessionOptions<Data>) {
  const sessions = new SessionManager<Data>({ sweepInterval: false, ...options });
  onTestFinished(() => sessions.close());
  const actions: Record<string, (request: Request) => void> = {
    "/": () => {},
    "/start": (request) => sessions.of(request).put("user", 123),
    "/read": (request) => void sessions.of(request).get("user"),
    "/write": (request) => sessions.of(request).update("visits", (visits = 0) => visits + 1),
    "/renew": (request) => sessions.of(request).renewToken(),
    "/logout": (request) => sessions.of(request).destroy(),
  };
  const handler = loadAndSave(sessions, (request) => {
    actions[new URL(request.url).pathname]?.(request);
    return new Response("ok");
  });
  let cookie = "";
  const ask = async (path: string, sent = cookie): Promise<Response> => {
    const response = await handler(
      new Request(`http://localhost${path}`, { headers: sent === "" ? {} : { cookie: sent } }),
    );
    expect(response.status).toBe(200);
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) cookie = set.split(";", 1)[0] ?? "";
    return response;
  };
  return { ask, cookie: () => cookie };
}

describe("calls of the store", () => {
  function counted(): { store: Store; taken: () => string } {
    const calls: string[] = [];
    const store = new Proxy(new MemoryStore(), {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          calls.push(String(name));
          return Reflect.apply(value, target, args);
        };
      },
    });
    return { store, taken: () => calls.splice(0).join(" ") };
  }

  const idleTimeout = "30m";
  const secrets = ["a secret of thirty-two characters"];
  const unknown = `session=${"A".repeat(43)}`;

  test("of a session's life are these, and no others", async () => {
    const { store, taken } = counted();
    const { ask } = await site({ store });
    const calls: Record<string, string> = {};
    for (const path of ["/", "/start", "/", "/read", "/write", "/renew", "/logout", "/read"]) {
      await ask(path);
      calls[`${Object.keys(calls).length} ${path}`] = taken();
    }
    expect(calls).toStrictEqual({
      "0 /": "",
      "1 /start": "commit",
      "2 /": "find",
      "3 /read": "find",
      "4 /write": "find replace",
      "5 /renew": "find commit replace",
      "6 /logout": "find replace",
      "7 /read": "",
    });
  });

  test("of a read with an idle expiry are one, and now and then two more: to move it, and to look again before the cookie is sent", async () => {
    const { store, taken } = counted();
    const clock = new TestClock();
    const { ask } = await site({ store, idleTimeout, clock });
    await ask("/start");
    taken();
    const calls: string[] = [];
    for (let minute = 0; minute < 3; minute++) {
      await ask("/read");
      calls.push(taken());
      clock.advance("1m");
    }
    expect(calls).toStrictEqual(["find", "find", "find touch find"]);
  });

  test("of strangers are none when malformed, one when well-formed, none at all with secrets", async () => {
    const { store, taken } = counted();
    const open = await site({ store });
    await open.ask("/read", "session=forged");
    expect(taken()).toBe("");
    await open.ask("/read", unknown);
    expect(taken()).toBe("find");
    const closed = await site({ store: counted().store, secrets });
    await closed.ask("/read", `${unknown}.${"A".repeat(43)}`);
    expect(taken()).toBe("");
  });
});

describe("on the wire", () => {
  /** Per request: commands, and at most so many bytes both ways. */
  type Wire = Record<string, readonly [commands: number, bytes: number]>;

  async function expectWire(counter: Counter, options: SessionOptions<Data>, wire: Wire): Promise<void> {
    const { ask } = await site(options);
    for (const path of ["/start", "/read", "/write", "/renew", "/read"]) await ask(path); // prepares statements and scripts
    for (const [path, [commands, bytes]] of Object.entries(wire)) {
      counter.take();
      await ask(path);
      const counts = counter.take();
      expect(counts.commands, path).toBe(commands);
      const both = counts.bytesToStore + counts.bytesFromStore;
      expect(both, path).toBeLessThanOrEqual(bytes);
      expect(both, `${path}: less than it was? Then lower the bound`).toBeGreaterThan(bytes * 0.9);
    }
  }

  async function counterBefore(address: string): Promise<Counter> {
    const counter = await startCounter(address);
    onTestFinished(() => counter.stop());
    return counter;
  }

  test.skipIf(redis === undefined)("of Redis", async () => {
    const counter = await counterBefore(redis!);
    const client = createClient({ url: counter.url });
    await client.connect();
    onTestFinished(() => client.destroy());
    const store = new RedisStore(client, { prefix: "counts:" });
    await expectWire(counter, { store }, { "/": [1, 190], "/read": [1, 190], "/write": [2, 580], "/renew": [3, 840] });
    await expectWire(
      counter,
      { store: new RedisStore(client, { prefix: "counted:" }), idleTimeout: "30m" },
      { "/read": [1, 270] },
    );
  });

  test.skipIf(postgres === undefined)("of PostgreSQL", async () => {
    const counter = await counterBefore(postgres!);
    const pool = new pg.Pool({ connectionString: counter.url, max: 1 });
    onTestFinished(() => pool.end());
    const store = new PostgresStore(pool, { table: "counts" });
    await store.migrate();
    await expectWire(counter, { store }, { "/": [1, 470], "/read": [1, 470], "/write": [2, 860], "/renew": [3, 1180] });
  });

  test.skipIf(postgres === undefined)("of PostgreSQL, the sessions of one turn of the event loop are one", async () => {
    const counter = await counterBefore(postgres!);
    const pool = new pg.Pool({ connectionString: counter.url });
    onTestFinished(() => pool.end());
    const store = new PostgresStore(pool, { table: "counts_together" });
    await store.migrate();
    const sessions = new SessionManager<Data>({ sweepInterval: false, store });
    onTestFinished(() => sessions.close());
    const tokens: string[] = [];
    for (let user = 0; user < 12; user++) {
      const session = await sessions.load();
      session.put("user", user);
      tokens.push((await sessions.commit(session)).token);
    }
    const loadAll = () => Promise.all(tokens.map((token) => sessions.load(token)));
    await loadAll(); // prepares the statement
    counter.take();
    expect((await loadAll()).map((session) => session.get("user"))).toEqual(tokens.map((_, user) => user));
    expect(counter.take().commands).toBe(1);
  });

  test("of a response are the cookie and two headers more when the session changed, and one when it was read", async () => {
    const { ask } = await site({});
    const sizeOf = async (path: string): Promise<number> =>
      [...(await ask(path)).headers].reduce((size, [name, value]) => size + `${name}: ${value}\r\n`.length, 0);
    const plain = await sizeOf("/");
    expect((await sizeOf("/start")) - plain).toBeLessThanOrEqual(235);
    expect((await sizeOf("/read")) - plain).toBeLessThanOrEqual(40);
  });
});

describe("promises", () => {
  // With AsyncLocalStorage, Node before 24 runs a hook for each, which costs more than the promise.
  async function promised(work: () => Promise<unknown>): Promise<number> {
    const kinds: string[] = [];
    const hook = createHook({ init: (_, kind) => void kinds.push(kind) }).enable();
    await work().finally(() => hook.disable());
    return kinds.filter((kind) => kind === "PROMISE").length - 3; // those of this function
  }

  async function expectPromises(store: Store, counts: { load: number; commit: number }): Promise<void> {
    const sessions = new SessionManager<Data>({ sweepInterval: false, store });
    onTestFinished(() => sessions.close());
    const begun = await sessions.load();
    begun.put("user", 123);
    const { token } = await sessions.commit(begun);
    const found: Record<string, number> = {};
    const session = await sessions.load(token);
    found["load"] = await promised(() => sessions.load(token));
    session.put("visits", 1);
    found["commit"] = await promised(() => sessions.commit(session));
    expect(found).toEqual(counts);
  }

  test("of a load and of a commit in memory are these, and no others", async () => {
    await expectPromises(new MemoryStore(), { load: 6, commit: 11 });
  });

  test.skipIf(postgres === undefined)("of a lone load and a commit in PostgreSQL are these, no others", async () => {
    const pool = new pg.Pool({ connectionString: postgres!, max: 1 });
    onTestFinished(() => pool.end());
    const store = new PostgresStore(pool, { table: "promises" });
    await store.migrate();
    await expectPromises(store, { load: 11, commit: 13 });
  });
});

describe("shapes", () => {
  setFlagsFromString("--allow-natives-syntax");
  const haveSameShape = runInThisContext("(one, other) => %HaveSameMap(one, other)") as (
    a: object,
    b: object,
  ) => boolean;

  test.each([
    ["4", express4 as unknown as typeof express5],
    ["5", express5],
  ])("of the requests and responses of Express %s that have a session are the same", async (_, express) => {
    const sessions = new SessionManager<Data>({ sweepInterval: false });
    onTestFinished(() => sessions.close());
    const app = express();
    app.use(loadAndSaveExpress(sessions));
    const seen: [request: object, response: ServerResponse][] = [];
    let haveOne: boolean[] = [];
    app.get("/", (request, response) => {
      sessions.of(request).put("visits", 1);
      if (seen.push([request, response]) < 2) return; // both are looked at before they go on
      const [one, other] = seen as [(typeof seen)[0], (typeof seen)[0]];
      haveOne = [haveSameShape(one[0], other[0]), haveSameShape(one[1], other[1])];
      for (const [, each] of seen) each.end("ok");
    });
    const server = createServer(app).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const visit = (): Promise<void> =>
      new Promise((resolve, reject) => {
        get({ port, agent: false }, (answer) => answer.resume().on("end", resolve)).on("error", reject);
      });
    await Promise.all([visit(), visit()]);
    expect(haveOne).toEqual([true, true]);
  });
});

describe("allocation", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options?: { type: "minor" }) => void;

  /** Bytes for one run of `work`: the least of several, for a collection on the way or a compilation only add or hide. */
  async function allocated(work: () => Promise<unknown>): Promise<number> {
    const [times, attempts] = [100, 15];
    for (let n = 0; n < 2_000; n++) await work();
    const samples: number[] = [];
    for (let attempt = 0; attempt < attempts; attempt++) {
      collect();
      const before = process.memoryUsage().heapUsed;
      for (let n = 0; n < times; n++) await work();
      samples.push((process.memoryUsage().heapUsed - before) / times);
    }
    return samples.sort((a, b) => a - b)[attempts >> 1]!;
  }

  test("of a load and of a write stay within twice what they were", async () => {
    const sessions = new SessionManager<Data>({ sweepInterval: false });
    onTestFinished(() => sessions.close());
    const session = await sessions.load();
    session.put("user", 123);
    const { token } = await sessions.commit(session);
    const load = await allocated(() => sessions.load(token));
    const write = await allocated(async () => {
      const loaded = await sessions.load(token);
      loaded.update("visits", (visits = 0) => visits + 1);
      await sessions.commit(loaded);
    });
    console.log(`allocated: load ${load.toFixed(0)} bytes, load and write ${write.toFixed(0)} bytes`);
    expect(load).toBeGreaterThan(500);
    expect(load).toBeLessThan(11_000);
    expect(write).toBeLessThan(39_000);
  });

  test("of requests that are over goes with the next minor collection, though others are under way", async () => {
    const memory = new MemoryStore();
    const underWay: (() => void)[] = [];
    const store: Store = {
      commit: (key, record) => memory.commit(key, record),
      delete: (key) => memory.delete(key),
      find: (key) => new Promise<void>((resolve) => underWay.push(resolve)).then(() => memory.find(key)),
    };
    const sessions = new SessionManager<{ text: string }>({ sweepInterval: false, store });
    onTestFinished(() => sessions.close());
    const session = await sessions.load();
    session.put("text", "x".repeat(10_000));
    const { token } = await sessions.commit(session);
    const answerOldest = async (): Promise<void> => {
      underWay.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    };

    collect();
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < 2_000; n++) {
      void sessions.load(token);
      if (underWay.length > 16) await answerOldest();
      if (n % 100 === 0) collect({ type: "minor" });
    }
    while (underWay.length > 0) await answerOldest();
    collect({ type: "minor" });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000); // all would be 20 MB
  });
});
