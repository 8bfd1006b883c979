/** PostgreSQL: one server, and a replica of it. */

import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { serverProgram } from "./programs.ts";
import { runProgram, Server, type StartOptions, waitUntil } from "./server.ts";

/** Starts one; everybody on this machine may log in as postgres. */
export async function startPostgres(options: StartOptions = {}): Promise<Server> {
  return startOn(options, async (data) => {
    const access = ["--username", "postgres", "--auth", "trust"];
    await runProgram(await tool("initdb"), [...access, "-D", data, "-E", "UTF8", "--locale", "C", "--no-sync"], data);
  });
}

/**
 * Starts a replica that follows a primary, asynchronously unless the primary's synchronous_standby_names is set. It answers
 * reads, and is a primary after `promotePostgres`.
 */
export async function startPostgresReplica(primary: Server, options: StartOptions = {}): Promise<Server> {
  const replica = await startOn(options, async (data) => {
    const source = ["-h", "127.0.0.1", "-p", String(primary.port), "-U", "postgres"];
    await runProgram(await tool("pg_basebackup"), [...source, "-D", data, "-R", "-c", "fast", "--no-sync"], data);
  });
  await waitUntil("the replica follows the primary", async () => {
    const target = ["-h", "127.0.0.1", "-p", String(replica.port), "-U", "postgres"];
    const status = "SELECT status FROM pg_stat_wal_receiver";
    return (await runProgram(await tool("psql"), [...target, "-Atc", status], replica.data)).trim() === "streaming";
  });
  return replica;
}

/** Makes a primary of a replica; returns when it takes writes. */
export async function promotePostgres(replica: Server): Promise<void> {
  await runProgram(await tool("pg_ctl"), ["promote", "-w", "-D", replica.data], replica.data);
}

async function startOn(options: StartOptions, prepare: (data: string) => Promise<void>): Promise<Server> {
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 200,
    dynamic_shared_memory_type: "mmap", // in the data folder, which is removed
    ...(options.durable === true ? {} : { fsync: "off", full_page_writes: "off" }),
  };
  return Server.start(
    {
      command: await serverProgram("postgres"),
      arguments: (port, data) => [
        ...["-D", data, "-p", String(port)],
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      prepare,
      ready: /database system is ready to accept/,
      stopSignal: "SIGINT",
      url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    },
    options,
  );
}

/** Another program of the same version: links may lead to the server alone. */
async function tool(name: string): Promise<string> {
  return join(dirname(await realpath(await serverProgram("postgres"))), name);
}
