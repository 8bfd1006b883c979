/** Every client of Redis that is tested: how it connects, and how a test speaks to its servers by itself. */

import { Decoder, GlideClient } from "@valkey/valkey-glide";
import { Cluster as IoCluster, Redis as IoRedis } from "ioredis";
import { Cluster as ValkeyCluster, Redis as Iovalkey } from "iovalkey";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { RedisStore, type AnyRedisClient } from "scs-session/redis";
import type { RedisCluster } from "../servers/redis-cluster.ts";
import type { RedisWithSentinel } from "../servers/redis-sentinel.ts";

/** A connected client. */
export interface RedisConnection {
  store(prefix: string, options?: { readonly push: boolean }): RedisStore;
  close(): Promise<unknown>;
}

/** A client that can be connected. */
export interface RedisClientUnderTest {
  readonly name: string;
  connect(): Promise<RedisConnection>;
}

const quiet = (): void => undefined;

function connection(client: AnyRedisClient, close: () => unknown): RedisConnection {
  return { store: (prefix, options) => new RedisStore(client, { prefix, ...options }), close: async () => close() };
}

/** What all node-redis clients have, and all ioredis ones. */
interface Connectable {
  on(event: "error", listener: () => void): unknown;
}
const connectedNodeRedis = async (
  client: AnyRedisClient & Connectable & { connect(): Promise<unknown>; destroy(): unknown },
): Promise<RedisConnection> => {
  client.on("error", quiet);
  await client.connect();
  return connection(client, () => client.destroy());
};
const ioRedis = (client: AnyRedisClient & Connectable & { disconnect(): void }): RedisConnection => {
  client.on("error", quiet);
  return connection(client, () => client.disconnect());
};

/** The clients of one server. */
export function serverClients(url: string): RedisClientUnderTest[] {
  return [
    { name: "redis, a client", connect: () => connectedNodeRedis(createClient({ url: url })) },
    { name: "redis, a client with RESP2", connect: () => connectedNodeRedis(createClient({ url: url, RESP: 2 })) },
    { name: "redis, a pool", connect: () => connectedNodeRedis(createClientPool({ url: url })) },
    { name: "ioredis", connect: async () => ioRedis(new IoRedis(url)) },
    {
      name: "ioredis with pipelines and numbers as text",
      connect: async () => ioRedis(new IoRedis(url, { enableAutoPipelining: true, stringNumbers: true })),
    },
    { name: "iovalkey", connect: async () => ioRedis(new Iovalkey(url)) },
    {
      name: "valkey-glide",
      async connect() {
        const { hostname: host, port } = new URL(url);
        const glide = await GlideClient.createClient({ addresses: [{ host, port: Number(port) }] });
        const sendCommand = (command: readonly (string | Buffer)[]): Promise<unknown> =>
          glide.customCommand([...command], { decoder: Decoder.Bytes });
        return connection({ sendCommand }, () => glide.close());
      },
    },
    {
      name: "a client of one's own",
      async connect() {
        const client = new IoRedis(url);
        client.on("error", quiet);
        const sendCommand = ([name, ...parameters]: readonly (string | Buffer)[]): Promise<unknown> =>
          client.callBuffer(String(name), ...parameters);
        return connection({ sendCommand }, () => client.disconnect());
      },
    },
  ];
}

const addressesOf = (servers: readonly { readonly port: number }[]) =>
  servers.map(({ port }) => ({ host: "127.0.0.1", port }));

/** Clients of one server, on the only node of a cluster. */
export function singleNodeClients(url: string): RedisClientUnderTest[] {
  return [
    { name: "redis, a client on a node of a cluster", connect: () => connectedNodeRedis(createClient({ url: url })) },
    { name: "ioredis on a node of a cluster", connect: async () => ioRedis(new IoRedis(url)) },
  ];
}

/** The clients of a cluster. */
export function clusterClients({ nodes }: RedisCluster): RedisClientUnderTest[] {
  return [
    {
      name: "redis, a Cluster",
      connect: () => connectedNodeRedis(createCluster({ rootNodes: nodes.map((node) => ({ url: node.url })) })),
    },
    { name: "ioredis, a Cluster", connect: async () => ioRedis(new IoCluster(addressesOf(nodes))) },
    {
      name: "ioredis, a Cluster with pipelines",
      connect: async () => ioRedis(new IoCluster(addressesOf(nodes), { enableAutoPipelining: true })),
    },
    { name: "iovalkey, a Cluster", connect: async () => ioRedis(new ValkeyCluster(addressesOf(nodes))) },
  ];
}

/** The clients of sentinels. */
export function sentinelClients({ name, sentinels }: RedisWithSentinel): RedisClientUnderTest[] {
  const addresses = addressesOf(sentinels);
  return [
    {
      name: "redis, with Sentinel",
      connect: () => connectedNodeRedis(createSentinel({ name, sentinelRootNodes: addresses })),
    },
    { name: "ioredis, with Sentinel", connect: async () => ioRedis(new IoRedis({ name, sentinels: addresses })) },
    { name: "iovalkey, with Sentinel", connect: async () => ioRedis(new Iovalkey({ name, sentinels: addresses })) },
  ];
}
