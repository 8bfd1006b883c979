// Servers die, hang, and fail over while a site is visited: no request hangs, and what was promised is kept.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { startMariaDB } from "../servers/mariadb.ts";
import { promotePostgres, startPostgres, startPostgresReplica } from "../servers/postgres.ts";
import { startProxy } from "../servers/proxy.ts";
import { startRedisCluster } from "../servers/redis-cluster.ts";
import { startSentinel } from "../servers/redis-sentinel.ts";
import { startRedis } from "../servers/redis.ts";
import { isSkipped } from "../servers/services.ts";
import { open, type Backend } from "./backends.ts";
import { Load, storeTimeout, type Recovery } from "./load.ts";
import { newPrefix, newTable } from "./names.ts";
import { Site } from "./site.ts";

const single = [
  { kind: "postgres", start: startPostgres, name: newTable() },
  { kind: "mysql", start: startMariaDB, name: newTable() },
  { kind: "redis", start: startRedis, name: newPrefix() },
] as const;

/** Starts a site on a store, and visitors on the site. */
async function visited(name: string, backend: Backend) {
  const { store, close } = await open(backend);
  await store.migrate?.();
  await close();
  const start = async () => {
    const site = await Site.start(backend, { storeTimeout: `${storeTimeout}ms` });
    onTestFinished(() => site.kill());
    return site;
  };
  const site = await start();
  const load = new Load(site, name);
  await load.goesOn();
  return { site, load, start };
}

/** The process has survived, complains of nothing, and ends by itself. */
async function endsWell(site: Site): Promise<void> {
  expect(await site.close()).toBe(0);
  expect(site.complaints).toBe("");
}

describe.each(single.filter(({ kind }) => !isSkipped(kind)))("$kind", { timeout: 120_000 }, ({ kind, start, name }) => {
  test("is killed and started again: every session that was promised is there", async () => {
    const server = await start({ durable: true });
    onTestFinished(() => server.stop());
    const { site, load } = await visited(`${kind}, killed`, { kind, at: [server.url], name });
    await server.kill();
    await wait(1_000);
    await server.restart();
    await load.finish([await load.goesOn()]);
    await endsWell(site);
  });

  test("is behind a network that hangs, delays, resets and cuts replies: nothing hangs, and nothing is lost", async () => {
    const server = await start({ durable: true });
    onTestFinished(() => server.stop());
    const proxy = await startProxy(server.url);
    onTestFinished(() => proxy.stop());
    const { site, load } = await visited(`${kind}, bad network`, { kind, at: [proxy.url], name });
    const recoveries: Recovery[] = [];
    const faults = [
      () => proxy.hang(),
      () => proxy.delay(300),
      () => proxy.reset(),
      () => proxy.cutReplyAfter(20),
      () => proxy.cutReplyAfter(0),
    ];
    for (const fault of faults) {
      fault();
      await wait(storeTimeout + 500);
      proxy.pass();
      recoveries.push(await load.goesOn(performance.now(), 100));
    }
    await load.finish(recoveries);
    await endsWell(site);
  });
});

describe.skipIf(isSkipped("redis"))("a Redis Cluster", { timeout: 120_000 }, () => {
  test("loses a master: its replica takes over, and what Redis has lost is counted", async () => {
    const cluster = await startRedisCluster({ durable: true });
    onTestFinished(cluster.stop);
    const at = cluster.nodes.map(({ url }) => url);
    const { site, load } = await visited("cluster, a master killed", { kind: "cluster", at, name: newPrefix() });
    const fault = performance.now();
    await cluster.masters[0]!.kill();
    await load.finish([await load.goesOn(fault, 500)], { lossy: true });
    await endsWell(site);
  });
});

describe.skipIf(isSkipped("redis"))("Redis with Sentinel", { timeout: 120_000 }, () => {
  test("loses its master: a replica takes over, and what Redis has lost is counted", async () => {
    const group = await startSentinel({ durable: true });
    onTestFinished(group.stop);
    const at = group.sentinels.map(({ url }) => url);
    const { site, load } = await visited("sentinel, master killed", { kind: "sentinel", at, name: newPrefix() });
    const fault = performance.now();
    await group.master.kill();
    await load.finish([await load.goesOn(fault, 500)], { lossy: true });
    await endsWell(site);
  });
});

describe.skipIf(isSkipped("postgres"))("PostgreSQL with a synchronous replica", { timeout: 120_000 }, () => {
  test("loses its primary: the replica is promoted, and every session that was promised is there", async () => {
    const primary = await startPostgres({ durable: true });
    onTestFinished(() => primary.stop());
    const replica = await startPostgresReplica(primary, { durable: true });
    onTestFinished(() => replica.stop());
    const client = new pg.Client(primary.url);
    await client.connect();
    await client.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
    await client.query("SELECT pg_reload_conf()");
    await client.end();
    const proxy = await startProxy(primary.url);
    onTestFinished(() => proxy.stop());
    const { site, load } = await visited("postgres, replica promoted", {
      kind: "postgres",
      at: [proxy.url],
      name: newTable(),
    });
    const fault = performance.now();
    await primary.kill();
    await promotePostgres(replica);
    proxy.leadTo(replica.url);
    await load.finish([await load.goesOn(fault)]);
    await endsWell(site);
  });
});

describe("SQLite", { timeout: 120_000 }, () => {
  test("is in a process that is killed while it writes: every session that was promised is there", async () => {
    const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const at = [join(folder, "sessions.db")];
    const { site, load, start } = await visited("sqlite, process killed", { kind: "sqlite", at, name: newTable() });
    await site.kill();
    const next = await start();
    load.moveTo(next);
    // Its driver blocks the thread, so that no time limit holds.
    await load.finish([await load.goesOn()], { interrupted: true, tolerance: 4_000 });
    await endsWell(next);
  });
});
