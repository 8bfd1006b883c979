/**
 * Counts what Redis loses of what it has acknowledged: at a crash, at a power cut, at a failover, when memory is short. The
 * figures of docs/stores.md. `npm run bench:redis-loss -- --runs 5`. The power cut needs strace.
 */

import { spawn } from "node:child_process";
import { readdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Cluster, Redis } from "ioredis";
import { RedisStore, type IoRedisClient } from "scs-session/redis";
import { startProxy } from "../test/servers/proxy.ts";
import { startRedisCluster } from "../test/servers/redis-cluster.ts";
import { startSentinel } from "../test/servers/redis-sentinel.ts";
import { askRedis, isFollowing, startRedis } from "../test/servers/redis.ts";
import { waitUntil, type Server } from "../test/servers/server.ts";

const { values: options } = parseArgs({ options: { runs: { type: "string", default: "5" } } });
const writers = 16;
const pause = 10;
const duration = 5_000;

/** What was acknowledged, and what is missing of it. */
interface Loss {
  readonly acknowledged: number;
  sessions: number;
  puts: number;
  /** Logouts that were undone. */
  logouts: number;
  /** Sessions that are alive, but not in the index of their subject. */
  unindexed: number;
  /** How long before the fault the oldest loss was acknowledged, in milliseconds. */
  age: number;
}

interface Visit {
  login?: number;
  put?: number;
  logout?: number;
  /** Asked for, whatever came of it. */
  leaving?: boolean;
}

/** Users who log in, write, and every third time log out, and when they were told that it is stored. */
class Users {
  readonly #store: RedisStore;
  readonly #visits = new Map<string, Visit>();
  #stopped = false;
  #number = 0;

  constructor(client: IoRedisClient) {
    this.#store = new RedisStore(client);
    for (let i = 0; i < writers; i++) void this.#write();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** What another client finds now; what was acknowledged after the fault is left out. */
  async loss(client: IoRedisClient, fault: number): Promise<Loss> {
    const store = new RedisStore(client);
    const loss: Loss = { acknowledged: 0, sessions: 0, puts: 0, logouts: 0, unindexed: 0, age: 0 };
    const before = (time: number | undefined): time is number => time !== undefined && time <= fault;
    const lost = (what: "sessions" | "puts" | "logouts", acknowledged: number): void => {
      loss[what]++;
      loss.age = Math.max(loss.age, fault - acknowledged);
    };
    for (const [token, { login, put, logout, leaving }] of this.#visits) {
      const found = await store.find(token);
      Object.assign(loss, { acknowledged: loss.acknowledged + [login, put, logout].filter(before).length });
      if (before(logout) && found !== undefined) lost("logouts", logout);
      if (leaving === true || !before(login)) continue;
      if (found === undefined) lost("sessions", login);
      else if (before(put) && String(found.data) === "in") lost("puts", put);
      if (found === undefined) continue;
      let isListed = false;
      for await (const [each] of store.findBySubject(`user of ${token}`)) isListed ||= each === token;
      if (!isListed) loss.unindexed++;
    }
    return loss;
  }

  async #write(): Promise<void> {
    const now = (): number => performance.now();
    while (!this.#stopped) {
      const number = ++this.#number;
      const token = `token-${number}`;
      const session = (data: string) => ({
        data: Buffer.from(data),
        expiry: new Date(Date.now() + 3_600_000),
        subject: `user of ${token}`,
      });
      const visit: Visit = {};
      this.#visits.set(token, visit);
      try {
        await this.#store.commit(token, session("in"));
        visit.login = now();
        await wait(pause);
        if ((await this.#store.replace(token, Buffer.from("in"), session("put"))) === "replaced") visit.put = now();
        await wait(pause);
        if (number % 3 !== 0) continue;
        visit.leaving = true;
        if ((await this.#store.replace(token, Buffer.from("put"), undefined)) === "replaced") visit.logout = now();
      } catch {
        await wait(pause);
      }
    }
  }
}

type Scene = () => Promise<Loss>;
const quiet = <Client extends Redis | Cluster>(client: Client): Client => client.on("error", () => undefined) as Client;

/** One server with these settings: it is killed, `between` may change its files, and it is started again. */
const crash =
  (settings: readonly string[], between?: (server: Server) => Promise<() => Promise<void>>): Scene =>
  async () => {
    const server = await startRedis({}, settings);
    const [client, reader] = [quiet(new Redis(server.url)), quiet(new Redis(server.url, { lazyConnect: true }))];
    try {
      const change = await between?.(server);
      const users = new Users(client);
      await wait(duration);
      const fault = performance.now();
      const killed = server.kill();
      users.stop();
      await killed;
      await change?.();
      await server.restart();
      return await users.loss(reader, fault);
    } finally {
      client.disconnect();
      reader.disconnect();
      await server.stop();
    }
  };

/** Takes from the file what was written but not synced, as a power cut does. */
async function unsynced(server: Server): Promise<() => Promise<void>> {
  const log = join(server.data, "strace.log");
  const trace = ["-f", "-y", "-qq", "-s", "0", "-e", "trace=write,fdatasync", "-o", log];
  const strace = spawn("strace", [...trace, "-p", String(server.process.pid)], { stdio: "ignore" });
  const ended = new Promise((resolve) => strace.on("exit", resolve));
  await wait(500);
  return async () => {
    await ended;
    let [written, syncing, synced] = [0, 0, 0];
    for (const line of (await readFile(log, "utf8")).split("\n")) {
      const bytes = /write\(\d+<.*\.incr\.aof>.* = (\d+)$/.exec(line)?.[1];
      if (bytes !== undefined) written += Number(bytes);
      if (/fdatasync\(\d+<.*\.incr\.aof>/.test(line)) syncing = written;
      if (/fdatasync.* = 0$/.test(line)) synced = syncing;
    }
    const folder = join(server.data, "appendonlydir");
    const [file = ""] = (await readdir(folder)).filter((each) => each.endsWith(".incr.aof"));
    await truncate(join(folder, file), synced);
  };
}

const sentinel: Scene = async () => {
  const { name, sentinels, master, stop } = await startSentinel();
  const addresses = sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
  const [client, reader] = [0, 1].map(() => quiet(new Redis({ name, sentinels: addresses }))) as [Redis, Redis];
  try {
    const users = new Users(client);
    await wait(duration);
    const fault = performance.now();
    const killed = master.kill();
    users.stop();
    await killed;
    return await users.loss(reader, fault);
  } finally {
    client.disconnect();
    reader.disconnect();
    await stop();
  }
};

const cluster: Scene = async () => {
  const { nodes, masters, stop } = await startRedisCluster();
  const addresses = nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  const [client, reader] = [0, 1].map(() => quiet(new Cluster(addresses))) as [Cluster, Cluster];
  try {
    const users = new Users(client);
    await wait(duration);
    const fault = performance.now();
    const killed = masters[0]!.kill();
    users.stop();
    await killed;
    await waitUntil("the replica has taken over", async () =>
      (await askRedis(masters[1]!, "CLUSTER", "INFO")).includes("cluster_state:fail"),
    ).catch(() => undefined);
    await waitUntil("the cluster is complete", async () =>
      (await askRedis(masters[1]!, "CLUSTER", "INFO")).includes("cluster_state:ok"),
    );
    return await users.loss(reader, fault);
  } finally {
    client.disconnect();
    reader.disconnect();
    await stop();
  }
};

/** A master whose replica is behind this network, and takes over. */
const behind =
  (network: "delay" | "hang", settings: readonly string[] = []): Scene =>
  async () => {
    const master = await startRedis({}, settings);
    const proxy = await startProxy(master.url);
    const replica = await startRedis({}, ["--replicaof", "127.0.0.1", String(proxy.port)]);
    const [client, reader] = [quiet(new Redis(master.url)), quiet(new Redis(replica.url))];
    try {
      await waitUntil("the replica follows", () => isFollowing(replica));
      if (network === "delay") proxy.delay(100);
      const users = new Users(client);
      await wait(duration);
      if (network === "hang") {
        proxy.hang();
        await wait(10_000);
      }
      const fault = performance.now();
      const killed = master.kill();
      users.stop();
      await killed;
      await askRedis(replica, "REPLICAOF", "NO", "ONE");
      return await users.loss(reader, fault);
    } finally {
      client.disconnect();
      reader.disconnect();
      await proxy.stop();
      await Promise.all([replica.stop(), master.stop()]);
    }
  };

const everysec = ["--appendonly", "yes", "--appendfsync", "everysec"];
const always = ["--appendonly", "yes", "--appendfsync", "always"];
const scenes: Readonly<Record<string, Scene>> = {
  "killed, no persistence": crash([]),
  "killed, snapshots as Redis has them by default": crash(["--save", "3600 1 300 100 60 10000"]),
  "killed, appendfsync everysec": crash(everysec),
  "power cut, appendfsync everysec": crash(everysec, unsynced),
  "power cut, appendfsync always": crash(always, unsynced),
  "Sentinel, master killed": sentinel,
  "Cluster, a master killed": cluster,
  "replica 100 ms behind takes over": behind("delay"),
  "replica cut off for 10 s takes over": behind("hang"),
  "the same, min-replicas-to-write 1, max-lag 1": behind("hang", [
    "--min-replicas-to-write",
    "1",
    "--min-replicas-max-lag",
    "1",
  ]),
};

for (const [name, scene] of Object.entries(scenes)) {
  const losses: Loss[] = [];
  for (let run = 0; run < Number(options.runs); run++) losses.push(await scene());
  const range = (what: keyof Loss): string => {
    const numbers = losses.map((loss) => Math.round(loss[what])).sort((a, b) => a - b);
    return `${numbers[0]}..${numbers.at(-1)}`;
  };
  console.log(
    `${name}: of ${range("acknowledged")} writes lost: sessions ${range("sessions")}, puts ${range("puts")}, ` +
      `logouts ${range("logouts")}; alive without index ${range("unindexed")}; oldest ${range("age")} ms before the fault`,
  );
}

/** 6,000 users log in in the course of a day, each session in an index of its own, and half of that has room. */
async function evict(policy: string, idleTimeout: number): Promise<string> {
  const server = await startRedis({}, ["--maxmemory-policy", policy]);
  const client = quiet(new Redis(server.url));
  try {
    const store = new RedisStore(client);
    const used = Number(/used_memory:(\d+)/.exec(await client.info("memory"))?.[1]);
    await client.config("SET", "maxmemory", String(used + 4_000_000));
    const [start, hour, users] = [Date.now(), 3_600_000, 6_000];
    for (let user = 0; user < users; user++) {
      const now = start + (24 * hour * user) / users;
      const [expiry, deadline] = [new Date(now + idleTimeout), new Date(now + 12 * hour)];
      const session = { data: Buffer.alloc(700), expiry, deadline, subject: String(user) };
      await store.commit(`token-${user}`, session).catch(() => undefined); // OOM, where nothing is evicted
    }
    let [alive, unindexed] = [0, 0];
    for (let user = 0; user < users; user++) {
      if ((await store.find(`token-${user}`)) === undefined) continue;
      alive++;
      if ((await store.findBySubject(String(user)).next()).done === true) unindexed++;
    }
    return `${alive} alive, ${unindexed} of them without index`;
  } finally {
    client.disconnect();
    await server.stop();
  }
}

for (const policy of ["noeviction", "volatile-ttl", "volatile-lru", "allkeys-lru"]) {
  const [idle, not] = [await evict(policy, 20 * 60_000), await evict(policy, 12 * 3_600_000)];
  console.log(`${policy}: with an idle timeout ${idle}; without ${not}`);
}
