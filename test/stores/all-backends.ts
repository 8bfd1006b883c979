/** Every kind of store on servers, for the tests of a file: shared servers, a Redis Cluster and Sentinels of its own, a file. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { startRedisCluster } from "../servers/redis-cluster.ts";
import { startSentinel } from "../servers/redis-sentinel.ts";
import type { Server } from "../servers/server.ts";
import { addressOf } from "../servers/shared.ts";
import type { Backend } from "./backends.ts";
import { newPrefix, newTable } from "./names.ts";

/** `on`: what it is called. */
export type NamedBackend = Backend & { readonly on: string };

const services = ["postgres", "mysql", "redis", "valkey"] as const;

/** Those that TEST_SKIP does not leave out, until the end of the file. Await it outside of tests and hooks. */
export async function allBackends(): Promise<NamedBackend[]> {
  const given = await backends();
  return given.map((backend) => ({ on: backend.kind, ...backend }));
}

async function backends(): Promise<(Backend & Partial<NamedBackend>)[]> {
  const [postgres, mysql, redis, valkey] = await Promise.all(services.map(addressOf));
  const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
  afterAll(() => rm(folder, { recursive: true }));
  const found: (Backend & Partial<NamedBackend>)[] = [
    { kind: "sqlite", at: [join(folder, "sessions.db")], name: newTable() },
  ];
  if (postgres !== undefined) found.push({ kind: "postgres", at: [postgres], name: newTable() });
  if (mysql !== undefined) found.push({ kind: "mysql", at: [mysql], name: newTable() });
  if (valkey !== undefined) found.push({ on: "valkey", kind: "redis", at: [valkey], name: newPrefix() });
  if (redis === undefined) return found;
  const urls = (servers: readonly Server[]): string[] => servers.map(({ url }) => url);
  const patience = "long";
  const [cluster, sentinel] = await Promise.all([startRedisCluster({ patience }), startSentinel({ patience })]);
  afterAll(async () => {
    await Promise.all([cluster.stop(), sentinel.stop()]);
  });
  return [
    ...found,
    { kind: "redis", at: [redis], name: newPrefix() },
    { kind: "cluster", at: urls(cluster.nodes), name: newPrefix() },
    { kind: "sentinel", at: urls(sentinel.sentinels), name: newPrefix() },
  ];
}

/** Whether it is one of Redis. */
export function isRedis({ kind }: Backend): boolean {
  return kind === "redis" || kind === "cluster" || kind === "sentinel";
}
