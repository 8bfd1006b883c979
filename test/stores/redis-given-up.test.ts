// What node-redis does with commands that nobody waits for any more: those that were not sent yet never are.
import { createClient, createClientPool, createSentinel } from "redis";
import { RedisStore, type AnyRedisClient } from "scs-session/redis";
import { describe, expect, onTestFinished, test } from "vitest";
import { Limit } from "../../src/limit.ts";
import { startProxy } from "../servers/proxy.ts";
import { startSentinel } from "../servers/redis-sentinel.ts";
import { startRedis } from "../servers/redis.ts";
import { waitUntil } from "../servers/server.ts";
import { isSkipped } from "../servers/services.ts";

const session = (text: string) => ({ data: Buffer.from(text), expiry: new Date(Date.now() + 3_600_000) });
const newLimit = (): Limit => new Limit(Date.now() + 5_000, true, () => undefined);
const quiet = (): void => undefined;

/** Begins a commit of each key under a limit of its own, and says how each ends. */
function commits(client: AnyRedisClient, keys: string) {
  const store = new RedisStore(client, { prefix: "" });
  const calls = keys.split("").map((key) => {
    const limit = newLimit();
    const ended = store.commit(key, session(key), limit).then(
      () => "stored",
      () => "given up",
    );
    return { key, limit, ended };
  });
  return { store, calls };
}

async function found(store: RedisStore, keys: string): Promise<string> {
  const each = await Promise.all(keys.split("").map(async (key) => ((await store.find(key)) && key) ?? ""));
  return each.join("");
}

describe.skipIf(isSkipped("redis"))("a commit that was given up before it was sent", { timeout: 60_000 }, () => {
  test("leaves the queue of a client that has lost its server; the others are sent in their order", async () => {
    const server = await startRedis();
    const client = createClient({ url: server.url, socket: { reconnectStrategy: 50 } });
    client.on("error", quiet);
    onTestFinished(async () => {
      client.destroy();
      await server.stop();
    });
    await client.connect();
    for (const givenUp of ["a", "g", "d", "abcdefg", "ab", "fg", "cde", "aceg"]) {
      await server.kill();
      await waitUntil("the client knows", async () => !client.isReady);
      const { store, calls } = commits(client, "abcdefg");
      for (const { key, limit } of calls) if (givenUp.includes(key)) limit.reach();
      await server.restart();
      for (const { key, ended } of calls) expect(await ended).toBe(givenUp.includes(key) ? "given up" : "stored");
      const others = calls.map(({ key }) => key).filter((key) => !givenUp.includes(key));
      expect(await found(store, "abcdefg")).toBe(others.join(""));
      for (const { limit } of calls) limit.reach(); // too late for those that were sent
      expect(await client.sendCommand(["PING"])).toBe("PONG");
    }
  });

  test("is not sent by a pool when a connection comes free", async () => {
    const server = await startRedis();
    const proxy = await startProxy(server.url);
    const pool = createClientPool({ url: proxy.url }, { minimum: 1, maximum: 1 });
    pool.on("error", quiet);
    onTestFinished(async () => {
      pool.destroy();
      await proxy.stop();
      await server.stop();
    });
    await pool.connect();
    proxy.hang();
    const { store, calls } = commits(pool, "abc");
    await proxy.held(); // a is on its way
    for (const { limit } of calls.slice(0, 2)) limit.reach();
    proxy.pass();
    expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(["stored", "given up", "stored"]);
    expect(await found(store, "abc")).toBe("ac");
  });

  test("is not sent with Sentinel when a master is found again", async () => {
    const { name, master, sentinels, stop } = await startSentinel();
    const sentinelRootNodes = sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
    const client = createSentinel({ name, sentinelRootNodes, passthroughClientErrorEvents: true });
    const hasLostMaster = new Promise<void>((resolve) => {
      client.on("error", (error) => {
        if (String(error).includes("Master Client")) resolve();
      });
    });
    onTestFinished(async () => {
      await client.destroy();
      await stop();
    });
    await client.connect();
    await new RedisStore(client).find("a");
    await master.kill();
    await hasLostMaster;
    const { store, calls } = commits(client, "abc");
    calls[0]!.limit.reach();
    client.on("topology-change", ({ type }) => {
      if (type === "MASTER_CHANGE") calls[1]!.limit.reach(); // known, and not connected yet
    });
    expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(["given up", "given up", "stored"]);
    expect(await found(store, "abc")).toBe("c");
  });
});
