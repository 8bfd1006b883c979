/**
 * What every runtime is to pass, as a program of its own: no test runner works in all of them. It is given the addresses of
 * servers, and prints what passed and what failed.
 */

import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { loadAndSave as forFetch } from "../../src/adapters/fetch.ts";
import { loadAndSave as forNode } from "../../src/adapters/node.ts";
import { MemoryStore, SessionManager, type Store } from "../../src/index.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore, type SqliteDatabase } from "../../src/stores/sqlite.ts";
import { adapterContract, storeContract, type ContractServer } from "../../src/testing/index.ts";
import { listen } from "../adapters/harness/tools.ts";
import { fetchHandler, hono, type WebHarness } from "../adapters/harness/web.ts";

interface Data {
  n: number;
  rich: unknown;
}
interface Case {
  readonly name: string;
  run(): Promise<void>;
}

const { redis, postgres } = JSON.parse(process.argv[2] ?? "{}") as { redis?: string; postgres?: string };
const runtime = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";

let names = 0;
const newName = (): string =>
  `runtimes_${runtime}_${String(process.pid)}_${Date.now().toString(36)}_${String(++names)}`;
const rich = { date: new Date(5), map: new Map([["a", new Set([1n])]]), bytes: Uint8Array.of(0, 255), odd: NaN };

/** Plays a visitor who counts visits, over whatever answers requests. */
async function counts(ask: (cookie: string) => Promise<Response>): Promise<void> {
  let cookie = "";
  for (const expected of ["1", "2", "3"]) {
    const response = await ask(cookie);
    assert.equal(await response.text(), expected);
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) cookie = set.split(";", 1)[0] ?? "";
  }
}

const adapters: Case[] = [
  {
    name: "sockets: one learns that its session has ended, polled and pushed",
    async run() {
      const memory = new MemoryStore();
      const some = { find: memory.find.bind(memory), commit: memory.commit.bind(memory) };
      const polled: Store = { ...some, delete: memory.delete.bind(memory), replace: memory.replace.bind(memory) };
      for (const store of [memory, polled]) {
        const sessions = new SessionManager<Data>({ cookie: { name: `session_${names}` }, store });
        const session = await sessions.load();
        session.put("n", 1);
        const { token } = await sessions.commit(session);
        const headers = { cookie: `session_${names}=${token}`, origin: "http://localhost:1" };
        const attached = await sessions.attach(new Request("http://localhost:1/", { headers }));
        assert.equal((await attached?.load())?.get("n"), 1);
        session.destroy();
        await sessions.commit(session);
        assert.equal(await attached?.closed, "destroyed");
        await sessions.close();
      }
    },
  },
  {
    name: "fetch: a session is kept, and is the current one across awaits",
    async run() {
      const sessions = new SessionManager<Data>({ cookie: { name: newName() } });
      const handler = forFetch(sessions, async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        const session = sessions.current();
        session.update("n", (n = 0) => n + 1);
        return new Response(String(session.getNumber("n")));
      });
      await counts(async (cookie) => handler(new Request("http://localhost/", { headers: { cookie } })));
      await sessions.close();
    },
  },
  {
    name: "node: a session is kept, and is the current one across awaits",
    async run() {
      const sessions = new SessionManager<Data>({ cookie: { name: newName() } });
      const handler: RequestListener = forNode(sessions, async (_request, response) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        const session = sessions.current();
        session.update("n", (n = 0) => n + 1);
        response.write(String(session.getNumber("n")));
        response.end();
      });
      const server = createServer(handler);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      try {
        await counts((cookie) => fetch(`http://127.0.0.1:${String(port)}/`, { headers: { cookie } }));
      } finally {
        server.close();
        server.closeAllConnections();
        await sessions.close();
      }
    },
  },
  {
    name: "values come back as they were put",
    async run() {
      const sessions = new SessionManager<Data>({ cookie: { name: newName() }, secrets: ["s".repeat(32)] });
      const session = await sessions.load();
      session.put("rich", rich);
      const { token } = await sessions.commit(session);
      assert.deepEqual((await sessions.load(token)).get("rich"), rich);
      await sessions.close();
    },
  },
];

type Handler = ReturnType<WebHarness["handler"]>;

/** Serves a handler by the runtime's own server. */
async function serve(fetch: Handler): Promise<ContractServer> {
  const where = { hostname: "127.0.0.1", port: 0 };
  if (runtime === "bun") {
    const { Bun } = globalThis as unknown as { Bun: { serve(options: object): BunServer } };
    const server = Bun.serve({ ...where, fetch });
    return { url: `http://127.0.0.1:${String(server.port)}`, close: () => server.stop(true) };
  }
  if (runtime === "deno") {
    const { Deno } = globalThis as unknown as { Deno: { serve(options: object, fetch: Handler): DenoServer } };
    const ending = new AbortController();
    const server = Deno.serve({ ...where, signal: ending.signal, onListen: () => undefined }, fetch);
    const close = async (): Promise<void> => {
      ending.abort();
      await server.finished;
    };
    return { url: `http://127.0.0.1:${String(server.addr.port)}`, close };
  }
  const { createAdaptorServer } = await import("@hono/node-server");
  return listen(createAdaptorServer({ fetch }) as never);
}
interface BunServer {
  readonly port: number;
  stop(closeActiveConnections: boolean): Promise<void>;
}
interface DenoServer {
  readonly addr: { readonly port: number };
  readonly finished: Promise<void>;
}

/** Bun's server sends the head with the first piece of the body. */
const lacking = runtime === "bun" ? (["flush"] as const) : [];

const contracts = [fetchHandler, hono].flatMap(({ name, without, handler }): Case[] =>
  adapterContract((app) => serve(handler(app)), { without: [...without, ...lacking] }).map((each) => ({
    name: `contract of ${name}: ${each.name}`,
    run: () => each.run(),
  })),
);

const ending: (() => unknown)[] = [];
type Make = () => Store | Promise<Store>;
/** `unreachable` makes a store whose client is closed. */
const contract = (name: string, make: Make, unreachable?: Make): Case[] =>
  storeContract(make, { unreachable }).map((each) => ({ name: `${name}: ${each.name}`, run: () => each.run() }));

/** The databases of SQLite that this runtime has. */
async function sqlite(): Promise<Case[]> {
  const cases: Case[] = [];
  const offer = async (module: string, name: string): Promise<void> => {
    const loaded = (await import(module).catch(() => undefined)) as Record<string, unknown> | undefined;
    if (loaded === undefined) return;
    const Database = (loaded[name] ?? loaded["default"]) as new (file: string) => SqliteDatabase & { close(): void };
    const open = async (): Promise<{ database: { close(): void }; store: SqliteStore }> => {
      const database = new Database(":memory:");
      const store = new SqliteStore(database);
      await store.migrate();
      return { database, store };
    };
    const closed = async (): Promise<Store> => {
      const { database, store } = await open();
      // What was prepared before must not be run afterwards.
      const data = new Uint8Array();
      await store.commit("a", { data, expiry: new Date() });
      await store.find("a");
      await store.touch("a", new Date());
      await store.replace("a", data, { data, expiry: new Date() });
      await store.delete("a");
      database.close();
      return store;
    };
    cases.push(...contract(module, async () => (await open()).store, closed));
  };
  if (runtime === "bun") await offer("bun:sqlite", "Database");
  else await offer("node:sqlite", "DatabaseSync");
  if (runtime === "node") await offer("better-sqlite3", "default");
  return cases;
}

async function servers(): Promise<Case[]> {
  const cases: Case[] = [];
  if (redis !== undefined) {
    const { createClient } = await import("redis");
    const client = createClient({ url: redis });
    await client.connect();
    ending.push(() => client.destroy());
    cases.push(...contract("redis", () => new RedisStore(client, { prefix: `${newName()}:` })));
    if (runtime === "bun") cases.push(bunRedis(redis));
  }
  if (postgres !== undefined && runtime === "bun") {
    cases.push(...bunSql(postgres));
  }
  return cases;
}

/** Bun's own client of Redis does not fit, and whoever tries is told so before anything is spoilt. */
function bunRedis(url: string): Case {
  const { RedisClient } = (globalThis as unknown as { Bun: { RedisClient: new (url: string) => BunRedis } }).Bun;
  return {
    name: "Bun.redis: is refused, and that it answers text is told where it is wrapped",
    async run() {
      const client = new RedisClient(url);
      ending.push(() => client.close());
      assert.throws(() => new RedisStore(client as never), /RedisStore takes a client/);
      const sendCommand = ([name, ...parameters]: readonly (string | Buffer)[]): Promise<unknown> =>
        client.send(String(name), parameters);
      const store = new RedisStore({ sendCommand }, { prefix: `${newName()}:` });
      await store.commit("a", { data: Uint8Array.of(0, 255), expiry: new Date(Date.now() + 60_000) });
      await assert.rejects(store.find("a"), /The client of Redis answers text; RedisStore needs bytes\./);
    },
  };
}

interface BunRedis {
  send(command: string, parameters: (string | Buffer)[]): Promise<unknown>;
  close(): void;
}

/** Bun's own client of PostgreSQL: the contract, and what depends on the codes of its errors. */
function bunSql(url: string): Case[] {
  const { SQL } = (globalThis as unknown as { Bun: { SQL: new (url: string) => BunSql } }).Bun;
  const client = new SQL(url);
  const tables: string[] = [];
  ending.push(async () => {
    for (const table of tables) await client.unsafe(`DROP TABLE IF EXISTS ${table}`);
    await client.close();
  });
  const make = async (): Promise<PostgresStore> => {
    const table = newName();
    tables.push(table);
    const store = new PostgresStore(client, { table });
    await store.migrate();
    return store;
  };
  const closed = async (): Promise<Store> => {
    const other = new SQL(url);
    await other.unsafe("SELECT 1");
    await other.close();
    return new PostgresStore(other);
  };
  const session = (n: number) => ({ data: Buffer.from(String(n)), expiry: new Date(Date.now() + 60_000) });
  return [
    ...contract("Bun.sql", make, closed),
    {
      name: "Bun.sql: 50 counters count to 50 in serializable transactions",
      async run() {
        await make();
        const table = tables.at(-1) ?? "";
        const serializable = new SQL(`${url}?options=-c%20default_transaction_isolation%3Dserializable`);
        const [{ level } = { level: "" }] = (await serializable.unsafe(
          "SELECT current_setting('transaction_isolation') AS level",
        )) as { level: string }[];
        assert.equal(level, "serializable");
        const store = new PostgresStore(serializable, { table });
        await store.commit("a", session(0));
        const count = async (): Promise<void> => {
          for (let answer = ""; answer !== "replaced";) {
            const data = (await store.find("a"))?.data ?? new Uint8Array();
            answer = await store.replace("a", data, session(Number(Buffer.from(data).toString()) + 1));
          }
        };
        await Promise.all(Array.from({ length: 50 }, count));
        assert.equal(Buffer.from((await store.find("a"))?.data ?? []).toString(), "50");
        await serializable.close();
      },
    },
    {
      name: "Bun.sql: eight migrate at once, and all succeed",
      async run() {
        const clients = Array.from({ length: 8 }, () => new SQL(url));
        for (let round = 0; round < 10; round++) {
          const table = newName();
          tables.push(table);
          await Promise.all(clients.map((each) => new PostgresStore(each, { table }).migrate()));
        }
        for (const each of clients) await each.close();
      },
    },
    {
      name: "Bun.sql: a table that does not exist is named, and what to do",
      async run() {
        const store = new PostgresStore(client, { table: "nowhere" });
        await assert.rejects(store.find("a"), /The table nowhere does not exist .* store\.migrate\(\)/);
      },
    },
  ];
}

interface BunSql {
  unsafe(text: string): Promise<unknown[] & { count: number }>;
  close(): Promise<void>;
}

/** Waits so many milliseconds at most, so that a case that hangs is told by its name. */
async function within(limit: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${limit} ms`)), limit);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

// The library's own timers keep no process alive, and a case may wait for nothing else.
const alive = setInterval(() => undefined, 1_000);
const passed: string[] = [];
const failed: string[] = [];
for (const { name, run } of [
  ...adapters,
  ...contracts,
  ...contract("MemoryStore", () => new MemoryStore()),
  ...(await sqlite()),
  ...(await servers()),
]) {
  try {
    await within(20_000, run());
    passed.push(name);
  } catch (error) {
    failed.push(`${name}: ${String(error)}`);
  }
}
for (const end of ending) await end();
clearInterval(alive);
console.log(JSON.stringify({ passed, failed }));
