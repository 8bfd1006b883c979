/** Finds the programs of the services on this machine, and installs them where that is possible. */

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { servicesOfThisMachine, type Service } from "./services.ts";

const installer = fileURLToPath(new URL("install.sh", import.meta.url));

const serverOf: Record<Service, { readonly program: string; readonly package: string }> = {
  redis: { program: "redis-server", package: "redis-server" },
  postgres: { program: "postgres", package: "postgresql" },
  mysql: { program: "mariadbd", package: "mariadb-server" },
};

/** The path of a service's server, which is installed if it is missing; rejects with the command to run. */
export async function serverProgram(service: Service): Promise<string> {
  const { program } = serverOf[service];
  const found = findProgram(program);
  if (found !== undefined) return found;
  const packages = packagesToInstall(service);
  if (process.getuid?.() === 0 && findProgram("apt-get") !== undefined) {
    await promisify(execFile)(installer, packages, { maxBuffer: 100_000_000 });
    const installed = findProgram(program);
    if (installed !== undefined) return installed;
  }
  throw new Error(
    `There is no ${program} here. Run \`sudo test/servers/install.sh ${packages.join(" ")}\` (Debian, Ubuntu), or ` +
      `name a server in STORE_${service.toUpperCase()}_URL, or leave it out with TEST_SKIP=${service}.`,
  );
}

/** All that is missing, so that there is one installation for all. */
function packagesToInstall(service: Service): string[] {
  const missing = servicesOfThisMachine().filter((other) => findProgram(serverOf[other].program) === undefined);
  return [...new Set([service, ...missing])].map((each) => serverOf[each].package);
}

/** The path of a program: of those in PATH and where Debian puts servers, the first. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return [...folders, ...postgresFolders()].map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function postgresFolders(): string[] {
  const versions = "/usr/lib/postgresql";
  if (!existsSync(versions)) return [];
  const newestFirst = readdirSync(versions).sort((one, other) => Number(other) - Number(one));
  return newestFirst.map((version) => join(versions, version, "bin"));
}
