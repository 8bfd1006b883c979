/** MariaDB, one server. */

import { findProgram, serverProgram } from "./programs.ts";
import { runProgram, Server, type StartOptions } from "./server.ts";

/** Starts one; everybody on this machine may log in as root. */
export async function startMariaDB(options: StartOptions = {}): Promise<Server> {
  const durability =
    options.durable === true
      ? ["--innodb-flush-log-at-trx-commit=1"]
      : ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=OFF"];
  const command = await serverProgram("mysql");
  return Server.start(
    {
      command,
      arguments: (port, data) => [
        ...["--no-defaults", `--datadir=${data}`, `--port=${port}`, "--bind-address=127.0.0.1", "--socket=socket"],
        ...["--max-connections=200", "--character-set-server=utf8mb4", "--innodb-log-file-size=64M"],
        ...durability,
      ],
      prepare: async (data) => {
        const installer = findProgram("mariadb-install-db");
        if (installer === undefined) throw new Error(`There is no mariadb-install-db beside ${command}`);
        await runProgram(
          installer,
          ["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal"],
          data,
        );
      },
      ready: /ready for connections/,
      stopSignal: "SIGTERM",
      url: (port) => `mysql://root@127.0.0.1:${port}/test`,
    },
    options,
  );
}
