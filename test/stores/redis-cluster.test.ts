// Lists on a Redis Cluster are complete, or fail: a client that knows no masters, or not all, is no empty store.
import { Cluster } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import { createCluster } from "redis";
import { SessionManager, type SessionError, type Store } from "scs-session";
import { RedisStore } from "scs-session/redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRedisCluster, type RedisCluster } from "../servers/redis-cluster.ts";
import { askRedis, isFollowed } from "../servers/redis.ts";
import { waitUntil, type Server } from "../servers/server.ts";
import { isSkipped } from "../servers/services.ts";
import { newPrefix } from "./names.ts";

const quiet = (): void => undefined;
const session = (subject: string) => ({ data: Buffer.from("x"), expiry: new Date(Date.now() + 3_600_000), subject });
async function count(store: Store): Promise<number> {
  let number = 0;
  for await (const _each of store.all!()) number++;
  return number;
}

describe.skipIf(isSkipped("redis"))("all on a Redis Cluster", { timeout: 60_000 }, () => {
  const prefix = newPrefix();
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
    const { store } = ioredis();
    for (let n = 0; n < 50; n++) await store.commit(`session-${n}`, session("1"));
  }, 60_000);
  const clients: { disconnect(): void }[] = [];
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await cluster.stop();
  });

  const addresses = () => cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  const ioredis = (options: object = {}, nodes = addresses()) => {
    const client = new Cluster(nodes, options);
    client.on("error", quiet);
    clients.push(client);
    return { client, store: new RedisStore(client, { prefix }) };
  };
  const nodeRedis = () => {
    const client = createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) });
    client.on("error", quiet);
    return { client, store: new RedisStore(client, { prefix }) };
  };

  test("waits for a client that is still connecting", async () => {
    expect(await count(ioredis().store)).toBe(50);
    expect(await count(ioredis({ lazyConnect: true }).store)).toBe(50);
    expect(await count(ioredis({}, addresses().slice(0, 1)).store)).toBe(50);
    const iovalkey = new ValkeyCluster(addresses());
    clients.push(iovalkey);
    expect(await count(new RedisStore(iovalkey, { prefix }))).toBe(50);
  });

  test("asks for no key beyond those of the store, which is all that an ACL need allow", async () => {
    const rules = ["on", ">secret", "resetkeys", `~${prefix}*`, "+@all"];
    for (const node of cluster.nodes) await askRedis(node, "ACL", "SETUSER", "sessions", ...rules);
    const redisOptions = { username: "sessions", password: "secret" };
    expect(await count(ioredis({ redisOptions }).store)).toBe(50);
  });

  test("asks no server for what another one keeps, which sends clients to look for all servers anew", async () => {
    const redirected = async (): Promise<number> => {
      const told = await Promise.all(cluster.nodes.map((node) => askRedis(node, "INFO", "errorstats")));
      return told.reduce((sum, text) => sum + Number(/errorstat_MOVED:count=(\d+)/.exec(text)?.[1] ?? 0), 0);
    };
    const { client, store } = nodeRedis();
    await client.connect();
    const before = await redirected();
    for (let n = 0; n < 20; n++) expect(await count(store)).toBe(50);
    client.destroy();
    expect(await redirected()).toBe(before);
  });

  test("rejects with a client that is not connected, or not any more", async () => {
    const { client, store } = nodeRedis();
    await expect(count(store)).rejects.toMatchObject({ code: "store-unavailable" });
    await client.connect();
    expect(await count(store)).toBe(50);
    client.destroy();
    await expect(count(store)).rejects.toMatchObject({ code: "store-unavailable" });
    const sessions = new SessionManager({ store, cookie: { name: "cluster-destroyed" } });
    await expect(sessions.iterate().next()).rejects.toMatchObject({ code: "store-unavailable" });
    const ended = ioredis();
    await ended.client.ping();
    ended.client.disconnect();
    await expect(count(ended.store)).rejects.toMatchObject({ code: "store-unavailable" });
  });

  test("rejects where the client has forgotten a master, and its sessions", async () => {
    const { client } = ioredis();
    await client.ping();
    const forgetful = new Proxy(client, {
      get(target, name) {
        if (name === "nodes") return () => target.nodes("master").slice(1);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
    const listed = count(new RedisStore(forgetful, { prefix }));
    await expect(listed).rejects.toThrow("A master of the Redis Cluster, and its sessions, cannot be reached.");
  });

  test("rejects while a master is missing, and is complete again when its replica has taken over", async () => {
    const { store } = ioredis({ redisOptions: { commandTimeout: 1_000 } });
    expect(await count(store)).toBe(50);
    const answers = new Set<number | string>();
    const ask = () => count(store).catch((error: unknown) => (error as SessionError).code);
    // Who was a master at the start need not be one any more: on a busy machine a server may have been silent for a second.
    let master: Server | undefined;
    await waitUntil("a master has a replica", async () => {
      for (const node of cluster.nodes) if (await isFollowed(node)) master = node;
      return master !== undefined;
    });
    await master!.kill();
    await waitUntil("the list is complete again", async () => {
      const answer = await ask();
      answers.add(answer);
      return answer === 50 && answers.size > 1;
    });
    expect([...answers].sort()).toEqual([50, "store-unavailable"]);
  });
});
