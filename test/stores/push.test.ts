// Stores that push: what is announced, what is not, and that each client hears whatever its options.
import { Redis } from "ioredis";
import pg from "pg";
import { createClient } from "redis";
import { PostgresStore } from "scs-session/postgres";
import { RedisStore } from "scs-session/redis";
import { describe, expect, onTestFinished, test } from "vitest";
import { waitUntil } from "../servers/server.ts";
import { addressOf } from "../servers/shared.ts";
import { newPrefix, newTable } from "./names.ts";

const [postgres, redis] = await Promise.all([addressOf("postgres"), addressOf("redis")]);

const inAnHour = () => new Date(Date.now() + 3_600_000);
const session = (text: string, ended = false) => ({ data: new TextEncoder().encode(text), expiry: inAnHour(), ended });
const bytes = (text: string) => new TextEncoder().encode(text);

type PushingStore = PostgresStore | RedisStore;

/** What a store announces, from now on. */
async function toldBy(store: PushingStore): Promise<(string | undefined)[]> {
  const told: (string | undefined)[] = [];
  const stop = await store.watch!((token) => told.push(token));
  onTestFinished(stop);
  return told;
}

async function openPostgres(options: { readonly push?: boolean }): Promise<PostgresStore> {
  const pool = new pg.Pool({ connectionString: postgres });
  const store = new PostgresStore(pool, { table: newTable(), ...options });
  onTestFinished(() => pool.end());
  await store.migrate();
  return store;
}

async function openRedis(options: { readonly push?: boolean }): Promise<RedisStore> {
  const client = createClient({ url: redis! });
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(() => client.destroy());
  return new RedisStore(client, { prefix: newPrefix(), ...options });
}

const stores = [
  ...(postgres === undefined ? [] : [{ name: "PostgreSQL", openStore: openPostgres }]),
  ...(redis === undefined ? [] : [{ name: "Redis", openStore: openRedis }]),
];

describe.each(stores)("$name", ({ openStore }) => {
  test("announces only ends: no write, touch, conflict or delete of nothing", async () => {
    const store = await openStore({ push: true });
    const told = await toldBy(store);
    await store.commit("a", session("one"));
    await store.commit("a", session("two"));
    expect(await store.replace("a", bytes("two"), session("three"))).toBe("replaced");
    expect(await store.replace("a", bytes("two"), undefined)).toBe("conflict");
    expect(await store.replace("a", bytes("two"), session("x", true))).toBe("conflict");
    expect(await store.replace("nothing", bytes("two"), undefined)).toBe("missing");
    await store.touch("a", inAnHour());
    await store.delete("nothing");
    expect(await store.replace("a", bytes("three"), session("marker", true))).toBe("replaced");
    await waitUntil("the end is told", () => Promise.resolve(told.length > 0));
    expect(told).toEqual(["a"]);
  });

  test("has no watch without the option", async () => {
    expect((await openStore({})).watch).toBeUndefined();
  });
});

test.runIf(postgres !== undefined)("a pool gets back the connection that listened", async () => {
  const pool = new pg.Pool({ connectionString: postgres });
  const store = new PostgresStore(pool, { table: newTable(), push: true });
  const stop = await store.watch!(() => undefined);
  expect([pool.totalCount, pool.idleCount]).toEqual([1, 0]);
  await stop();
  await pool.end(); // would wait for it
  expect(pool.totalCount).toBe(0);
});

test.runIf(redis !== undefined).each([
  ["does not queue commands", { enableOfflineQueue: false }],
  ["connects late", { lazyConnect: true }],
  ["pipelines by itself", { enableAutoPipelining: true }],
])("ioredis hears, too, where it %s", async (_what, options) => {
  const client = new Redis(redis!, options);
  onTestFinished(() => client.disconnect());
  if (client.status !== "ready")
    await (client.status === "wait" ? client.connect() : new Promise((resolve) => client.once("ready", resolve)));
  const store = new RedisStore(client, { prefix: newPrefix(), push: true });
  const told = await toldBy(store);
  await store.commit("a", session("one"));
  await store.delete("a");
  await waitUntil("the end is told", () => Promise.resolve(told.includes("a")));
});
