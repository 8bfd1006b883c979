/** Finds the programs that tests run on this machine, and installs them where that is possible. */

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isDispensable, servicesOfThisMachine, type Service } from "./services.ts";

const installer = fileURLToPath(new URL("install.sh", import.meta.url));

const serverOf: Record<Service, { readonly program: string; readonly package: string }> = {
  redis: { program: "redis-server", package: "redis-server" },
  postgres: { program: "postgres", package: "postgresql" },
  mysql: { program: "mariadbd", package: "mariadb-server" },
  valkey: { program: "valkey-server", package: "valkey-server" },
};

/** The path of a service's server, which is installed if it is missing; rejects with the command to run. */
export async function serverProgram(service: Service): Promise<string> {
  return programOf(serverOf[service].program, {
    packages: () => packagesToInstall(service),
    otherwise: `name a server in STORE_${service.toUpperCase()}_URL, or leave it out with TEST_SKIP=${service}`,
  });
}

/** Whether a run does without a service that did not start: one that not every system has, and this one has not. */
export function isAbsent(service: Service): boolean {
  return isDispensable(service) && findProgram(serverOf[service].program) === undefined;
}

/** The path of chromium: what CHROMIUM_PATH names, or else as for servers. */
export async function browserProgram(): Promise<string> {
  const given = process.env["CHROMIUM_PATH"] ?? "";
  if (given !== "" && !existsSync(given)) throw new Error(`CHROMIUM_PATH names ${given}, which does not exist.`);
  if (given !== "") return given;
  return programOf("chromium", {
    otherwise: "name a Chromium or Chrome in CHROMIUM_PATH, or leave it out with TEST_SKIP=browser",
  });
}

interface Sources {
  /** What to install; the package of the program's name if left out. */
  readonly packages?: () => readonly string[];
  /** What else a person can do: the end of a sentence. */
  readonly otherwise: string;
}

/** The path of a program, which is installed if it is missing; rejects with the command to run. */
export async function programOf(program: string, { packages = () => [program], otherwise }: Sources): Promise<string> {
  const found = findProgram(program);
  if (found !== undefined) return found;
  const missing = packages();
  if (process.getuid?.() === 0 && findProgram("apt-get") !== undefined) {
    await promisify(execFile)(installer, missing, { maxBuffer: 100_000_000 });
    const installed = findProgram(program);
    if (installed !== undefined) return installed;
  }
  const command = `sudo test/servers/install.sh ${missing.join(" ")}`;
  throw new Error(`There is no ${program} here. Run \`${command}\` (Debian, Ubuntu), or ${otherwise}.`);
}

/** All that is missing, so that there is one installation for all; but what may fail to install is by itself. */
function packagesToInstall(service: Service): string[] {
  const isMissing = (other: Service) => !isDispensable(other) && findProgram(serverOf[other].program) === undefined;
  const missing = isDispensable(service) ? [] : servicesOfThisMachine().filter(isMissing);
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
