// The Redis store keeps the contract with every client, on one server, with Sentinel and on a Cluster.
import { inspect } from "node:util";
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
  const patience = "long";
  const groups = [startRedisCluster({ patience }), startSentinel({ patience })] as const;
  const [cluster, sentinel, node] = await Promise.all([...groups, startRedisNode()]);
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

  test("what is no string is no session, and no index: other sessions are found, and errors tell nothing", async () => {
    const prefix = newPrefix();
    const { store: open } = await connected;
    // Sessions under the keys of the other's index, which is a sorted set.
    const [store, strange] = [open(prefix), open(`subject:${prefix.length}:${prefix}`)];
    const session = (subject: string) => ({
      data: Buffer.from("x"),
      expiry: new Date(Date.now() + 3_600_000),
      subject,
    });
    await strange.commit("1", session("secret"));
    await strange.commit("2", session("secret"));
    await strange.delete("1");
    await store.commit("a", session("1"));
    const options = { signal: new AbortController().signal, expiry: false };
    for (const found of [await strange.find("1"), await strange.find("1", options)])
      expect(found?.data).toHaveLength(0);
    const tokens: string[] = [];
    for await (const [token, { data }] of strange.findBySubject("secret")) if (data.length > 0) tokens.push(token);
    expect(tokens).toEqual(["2"]);

    const refused: unknown = await store.commit("do-not-show", session("2")).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "store-unavailable",
      message: expect.stringContaining("(WRONGTYPE)") as string,
    });
    expect(inspect(refused, { depth: 10, showHidden: true })).not.toMatch(/do-not-show|subject:/);
    expect(await store.find("do-not-show")).toBeUndefined();
  });

  // Where sessions are announced, their ends have scripts of their own.
  const pushing = async () => (await connected).store(newPrefix(), { push: true });
  const push = !["redis, a pool", "a client of one's own", "valkey-glide"].includes(client); // which only announce
  for (const { name, run } of storeContract(pushing, { push })) {
    if (/watch|replace|delete/.test(name)) test(`push: ${name}`, run);
  }
});
