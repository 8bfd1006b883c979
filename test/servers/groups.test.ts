// Servers that stand in for one another: Redis Cluster, Redis with Sentinel, PostgreSQL with a replica.
import { Cluster } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import pg from "pg";
import { createCluster, createSentinel } from "redis";
import { describe, expect, onTestFinished, test } from "vitest";
import { startRedisCluster } from "./redis-cluster.ts";
import { startSentinel } from "./redis-sentinel.ts";
import { askRedis, isFollowing } from "./redis.ts";
import { promotePostgres, startPostgres, startPostgresReplica } from "./postgres.ts";
import { type Server, waitUntil } from "./server.ts";
import { isSkipped } from "./services.ts";

const isMaster = async (server: Server) => (await askRedis(server, "ROLE")).startsWith("master");
const some = async (servers: readonly Server[], ask: (server: Server) => Promise<boolean>) =>
  (await Promise.all(servers.map(ask))).some(Boolean);

describe.skipIf(isSkipped("redis"))("a Redis Cluster", { timeout: 90_000 }, () => {
  test("serves its clients, replaces a killed master, and takes it back as a replica", async () => {
    const cluster = await startRedisCluster();
    onTestFinished(cluster.stop);
    const addresses = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);

    const redis = createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) });
    redis.on("error", () => {});
    await redis.connect();
    onTestFinished(() => redis.destroy());
    await Promise.all(keys.map((key) => redis.set(key, key)));
    const ioredis = new Cluster(addresses);
    const iovalkey = new ValkeyCluster(addresses);
    for (const client of [ioredis, iovalkey]) {
      client.on("error", () => {});
      onTestFinished(() => client.disconnect());
      expect(await Promise.all(keys.map((key) => client.get(key)))).toStrictEqual(keys);
    }

    const [killed] = cluster.masters;
    await killed!.kill();
    const start = performance.now();
    await waitUntil("a replica takes over", () => some(cluster.replicas, isMaster));
    console.log(`Redis Cluster: a replica took over after ${((performance.now() - start) / 1000).toFixed(1)} s`);
    await killed!.restart();
    await waitUntil("the killed master follows its successor", () => isFollowing(killed!));
  });
});

describe.skipIf(isSkipped("redis"))("Redis with Sentinel", { timeout: 90_000 }, () => {
  test("serves its clients, and replaces a killed master", async () => {
    const { name, sentinels, master, replicas, stop } = await startSentinel();
    onTestFinished(stop);
    const sentinelRootNodes = sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
    const client = createSentinel({ name, sentinelRootNodes });
    client.on("error", () => {});
    await client.connect();
    onTestFinished(() => client.destroy());
    await client.set("key", "value");
    await waitUntil("the replicas have it", async () => {
      const values = await Promise.all(replicas.map((replica) => askRedis(replica, "GET", "key")));
      return values.every((value) => value === "value\n");
    });

    await master.kill();
    const start = performance.now();
    await waitUntil("a replica takes over", () => some(replicas, isMaster));
    console.log(`Sentinel: a replica took over after ${((performance.now() - start) / 1000).toFixed(1)} s`);
    await waitUntil("the client finds it", async () => (await client.get("key")) === "value");
  });
});

describe.skipIf(isSkipped("postgres"))("PostgreSQL with a replica", { timeout: 60_000 }, () => {
  test("goes on with the replica when the primary is killed, and has lost nothing when it waited for it", async () => {
    const primary = await startPostgres({ durable: true });
    onTestFinished(() => primary.stop());
    const replica = await startPostgresReplica(primary, { durable: true });
    onTestFinished(() => replica.stop());
    await query(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    await query(primary, "SELECT pg_reload_conf()");
    await query(primary, "CREATE TABLE kept AS SELECT 7 AS n");
    await expect(query(replica, "CREATE TABLE refused (n int)")).rejects.toThrow(/read-only/);
    await primary.kill();
    await promotePostgres(replica);
    await query(replica, "INSERT INTO kept VALUES (8)");
    await replica.kill();
    await replica.restart();
    expect(await query(replica, "SELECT n FROM kept ORDER BY n")).toStrictEqual([{ n: 7 }, { n: 8 }]);
  });
});

async function query({ url }: Server, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<object>(sql)).rows;
  } finally {
    await client.end();
  }
}
