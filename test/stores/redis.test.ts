// The Redis store keeps the contract with every client, on one server, with Sentinel and on a Cluster.
import { storeContract } from "scs-session/testing";
import { afterAll, describe, expect, test } from "vitest";
import { startRedisCluster, startRedisNode } from "../servers/redis-cluster.ts";
import { startSentinel } from "../servers/redis-sentinel.ts";
import { isSkipped } from "../servers/services.ts";
import { addressOf } from "../servers/shared.ts";
import { newPrefix } from "./names.ts";
import {
  clusterClients,
  sentinelClients,
  serverClients,
  singleNodeClients,
  type RedisClientUnderTest,
} from "./redis-clients.ts";

const [url, valkey] = await Promise.all([addressOf("redis"), addressOf("valkey")]);
const clients: RedisClientUnderTest[] = [];
if (url !== undefined) {
  const [cluster, sentinel, node] = await Promise.all([startRedisCluster(), startSentinel(), startRedisNode()]);
  afterAll(async () => {
    await Promise.all([cluster.stop(), sentinel.stop(), node.stop()]);
  });
  clients.push(...serverClients(url), ...clusterClients(cluster), ...sentinelClients(sentinel));
  clients.push(...singleNodeClients(node.url));
}

const onRedis = clients.map((client) => ({ title: client.name, ...client }));
const onValkey = valkey === undefined ? [] : serverClients(valkey);
const all = [...onRedis, ...onValkey.map((client) => ({ title: `${client.name}, on Valkey`, ...client }))];

// A file without any test would be a failure.
test.skipIf(isSkipped("redis"))("Redis is there, unless TEST_SKIP leaves it out", () => expect(url).toBeDefined());

describe.each(all)("$title", { timeout: 60_000 }, ({ name: client, connect }) => {
  const connected = connect();
  afterAll(async () => (await connected).close());
  const newStore = async () => (await connected).store(newPrefix());
  const unreachable = async () => {
    const { store, close } = await connect();
    await close();
    return store(newPrefix());
  };
  for (const { name, run } of storeContract(newStore, { unreachable })) test(name, run);

  // Where sessions are announced, their ends have scripts of their own.
  const pushing = async () => (await connected).store(newPrefix(), { push: true });
  const push = !["redis, a pool", "a client of one's own", "valkey-glide"].includes(client); // which only announce
  for (const { name, run } of storeContract(pushing, { push })) {
    if (/watch|replace|delete/.test(name)) test(`push: ${name}`, run);
  }
});
