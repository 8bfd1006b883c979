/** PostgreSQL, one server. */

import { dirname, join } from "node:path";
import { serverProgram } from "./programs.ts";
import { runProgram, Server, type StartOptions } from "./server.ts";

/** Starts one; everybody on this machine may log in as postgres. */
export async function startPostgres(options: StartOptions = {}): Promise<Server> {
  return startOn(options, async (data) => {
    const access = ["--username", "postgres", "--auth", "trust"];
    await runProgram(await tool("initdb"), [...access, "-D", data, "-E", "UTF8", "--locale", "C", "--no-sync"], data);
  });
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

/** Another program of the same version. */
async function tool(name: string): Promise<string> {
  return join(dirname(await serverProgram("postgres")), name);
}
