/** A Redis Cluster: three masters, with one replica each. */

import { askRedis, isFollowing, startRedis } from "./redis.ts";
import { type Server, type StartOptions, waitUntil } from "./server.ts";

export interface RedisCluster {
  readonly nodes: readonly Server[];
  /** Which were masters and replicas when it started; a failover changes that. */
  readonly masters: readonly Server[];
  readonly replicas: readonly Server[];
  stop(): Promise<void>;
}

/** What a group of servers is started with. */
export interface GroupOptions extends Pick<StartOptions, "durable"> {
  /**
   * How long a server may be silent until another one takes its place: 1 s ("short", the default), or 30 s ("long") where none
   * is killed, since on a busy machine each may be silent for a while.
   */
  readonly patience?: "short" | "long";
}

export const patienceOf = (patience: GroupOptions["patience"]): string => (patience === "long" ? "30000" : "1000");

/** Starts one that is complete: a master that is killed now has a replica that takes over, after 2 to 4 s. */
export async function startRedisCluster({ durable = false, patience }: GroupOptions = {}): Promise<RedisCluster> {
  const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", patienceOf(patience)];
  const nodes = await startAll(Array.from({ length: 6 }, () => () => startRedis({ durable }, settings)));
  const stop = () => stopAll(nodes);
  try {
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    await askRedis(nodes[0]!, "--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes");
    const masters = nodes.slice(0, 3);
    const replicas = nodes.slice(3);
    await waitUntil("the cluster is complete", async () => {
      const states = await Promise.all(nodes.map((node) => askRedis(node, "CLUSTER", "INFO")));
      const complete = states.every((state) => state.includes("cluster_state:ok"));
      return complete && (await Promise.all(replicas.map(isFollowing))).every(Boolean);
    });
    return { nodes, masters, replicas, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a cluster of one node. */
export async function startRedisNode(): Promise<Server> {
  const node = await startRedis({}, ["--cluster-enabled", "yes"]);
  await askRedis(node, "CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await waitUntil("the node is a cluster", async () =>
    (await askRedis(node, "CLUSTER", "INFO")).includes("cluster_state:ok"),
  );
  return node;
}

/** Starts several at once; if one fails, stops the others. */
export async function startAll(starts: readonly (() => Promise<Server>)[]): Promise<Server[]> {
  const results = await Promise.allSettled(starts.map((start) => start()));
  const started = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return started;
  await stopAll(started);
  throw failed.reason;
}

export async function stopAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
