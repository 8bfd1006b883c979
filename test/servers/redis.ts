/** Redis, one server. */

import { serverProgram } from "./programs.ts";
import { runProgram, Server, type StartOptions } from "./server.ts";

/** Starts one; `settings` are further lines of redis.conf, as arguments. */
export async function startRedis(options: StartOptions = {}, settings: readonly string[] = []): Promise<Server> {
  const durability = options.durable === true ? ["--appendonly", "yes", "--appendfsync", "always"] : [];
  const command = await serverProgram("redis");
  return Server.start(
    {
      command,
      arguments: (port, data) => [
        ...[
          "--port",
          String(port),
          "--bind",
          "127.0.0.1",
          "--dir",
          data,
          "--save",
          "",
          "--repl-diskless-sync-delay",
          "0",
        ],
        ...durability,
        ...settings,
      ],
      prepare: (data) => runProgram("mkdir", [data], data),
      ready: /Ready to accept connections/,
      stopSignal: "SIGTERM",
      url: (port) => `redis://127.0.0.1:${port}`,
    },
    options,
  );
}
