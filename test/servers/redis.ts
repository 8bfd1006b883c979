/** Redis: one server, or one sentinel; and Valkey. */

import { join } from "node:path";
import { findProgram, serverProgram } from "./programs.ts";
import { runProgram, Server, type StartOptions } from "./server.ts";

/** Starts one; `settings` are further lines of redis.conf, as arguments. */
export async function startRedis(options: StartOptions = {}, settings: readonly string[] = []): Promise<Server> {
  return start("redis", options, newFolder, () => [...settingsFor(options), ...settings]);
}

/** Starts Valkey, as `startRedis` does. */
export async function startValkey(options: StartOptions = {}): Promise<Server> {
  return start("valkey", options, newFolder, () => settingsFor(options));
}

/** Starts a sentinel that watches nothing yet. */
export async function startRedisSentinel(options: StartOptions = {}): Promise<Server> {
  const file = (data: string) => join(data, "sentinel.conf"); // where it writes what it has learned
  const prepare = (data: string) => runProgram("install", ["-D", "/dev/null", file(data)], data);
  return start("redis", options, prepare, (data) => [file(data), "--sentinel"]);
}

const newFolder = (data: string) => runProgram("mkdir", [data], data);

function settingsFor({ durable }: StartOptions): string[] {
  const durability = durable === true ? ["--appendonly", "yes", "--appendfsync", "always"] : [];
  return ["--save", "", "--repl-diskless-sync-delay", "0", ...durability];
}

async function start(
  service: "redis" | "valkey",
  options: StartOptions,
  prepare: (data: string) => Promise<unknown>,
  settings: (data: string) => readonly string[],
): Promise<Server> {
  const command = await serverProgram(service);
  return Server.start(
    {
      command,
      arguments: (port, data) => [...settings(data), "--port", String(port), "--bind", "127.0.0.1", "--dir", data],
      prepare,
      ready: /Ready to accept connections|Sentinel ID is/,
      stopSignal: "SIGTERM",
      url: (port) => `redis://127.0.0.1:${port}`,
    },
    options,
  );
}

/** What redis-cli prints for a command. */
export async function askRedis({ port, data }: Server, ...command: string[]): Promise<string> {
  const client = findProgram("redis-cli");
  if (client === undefined) throw new Error("There is no redis-cli here; it comes with redis-server");
  return runProgram(client, ["-h", "127.0.0.1", "-p", String(port), ...command], data);
}

/** Whether a replica has caught up with its master and follows it. */
export async function isFollowing(replica: Server): Promise<boolean> {
  return (await askRedis(replica, "INFO", "replication")).includes("master_link_status:up");
}

/** Whether it is a master, and a replica follows it. */
export async function isFollowed(server: Server): Promise<boolean> {
  return /role:master\b.*\bstate=online/s.test(await askRedis(server, "INFO", "replication"));
}
