/** Redis with Sentinel: a master with two replicas, and three sentinels that watch them. */

import { askRedis, isFollowing, startRedis, startRedisSentinel } from "./redis.ts";
import { type GroupOptions, patienceOf, startAll, stopAll } from "./redis-cluster.ts";
import { type Server, waitUntil } from "./server.ts";

export interface RedisWithSentinel {
  /** What the sentinels call it. */
  readonly name: string;
  readonly sentinels: readonly Server[];
  /** Which were master and replicas when it started; a failover changes that. */
  readonly master: Server;
  readonly replicas: readonly Server[];
  stop(): Promise<void>;
}

/** Starts one in which everybody knows one another: a master that is killed now is replaced after 2 to 3 s. */
export async function startSentinel({ durable = false, patience }: GroupOptions = {}): Promise<RedisWithSentinel> {
  const name = "main";
  const servers: Server[] = [];
  const started = async (...starts: (() => Promise<Server>)[]): Promise<Server[]> => {
    const more = await startAll(starts);
    servers.push(...more);
    return more;
  };
  const stop = () => stopAll(servers);
  try {
    const [master] = await started(() => startRedis({ durable }));
    const address = ["127.0.0.1", String(master!.port)];
    const startReplica = () => startRedis({ durable }, ["--replicaof", ...address]);
    const replicas = await started(startReplica, startReplica);
    const sentinels = await started(startRedisSentinel, startRedisSentinel, startRedisSentinel);
    await waitUntil("the replicas follow the master", async () =>
      (await Promise.all(replicas.map(isFollowing))).every(Boolean),
    );
    for (const sentinel of sentinels) {
      await askRedis(sentinel, "SENTINEL", "MONITOR", name, ...address, "2");
      const settings = ["down-after-milliseconds", patienceOf(patience), "failover-timeout", "5000"];
      await askRedis(sentinel, "SENTINEL", "SET", name, ...settings);
    }
    await waitUntil("the sentinels know the replicas and one another", async () => {
      const answers = await Promise.all(sentinels.map((sentinel) => askRedis(sentinel, "SENTINEL", "MASTER", name)));
      return answers.every((answer) => /^num-slaves\n2\nnum-other-sentinels\n2$/m.test(answer));
    });
    return { name, sentinels, master: master!, replicas, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
