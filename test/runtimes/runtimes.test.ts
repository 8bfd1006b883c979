// The package in other runtimes: other versions of Node, Bun, Deno. Each runs test/runtimes/suite.ts, from the sources.
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { addressOf } from "../servers/shared.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const modules = `${folder}node_modules/`;
if (!isSkipped("runtimes") && !existsSync(`${modules}.package-lock.json`)) {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: folder, stdio: "inherit" });
}
const [redis, postgres] = await Promise.all([addressOf("redis"), addressOf("postgres")]);

const quiet = ["--disable-warning=ExperimentalWarning"];
const always = ["fetch", "node", "contract of fetch", "contract of Hono 4", "MemoryStore"];
const runtimes = [
  { name: "Node 22", program: "node-22/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  { name: "Node 24", program: "node-24/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  { name: "Node 26", program: "node-26/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  { name: "Bun", program: "@oven/bun-linux-x64/bin/bun", flags: [], contracts: ["bun:sqlite", "Bun.sql", "redis"] },
  {
    name: "Deno",
    program: "@deno/linux-x64-glibc/deno",
    flags: ["run", "--allow-all", "--node-modules-dir=manual"],
    contracts: ["node:sqlite", "redis"],
  },
];

describe.skipIf(isSkipped("runtimes"))("the package runs in", () => {
  for (const { name, program, flags, contracts } of runtimes) {
    const isThere = existsSync(modules + program);
    // Their packages are for Linux on x64.
    test.skipIf(!isThere)(
      isThere ? name : `${name}, which npm has not for this machine`,
      { timeout: 120_000 },
      async () => {
        const servers = JSON.stringify({ redis, postgres });
        const { stdout } = await promisify(execFile)(modules + program, [...flags, `${folder}suite.ts`, servers]);
        const { passed, failed } = JSON.parse(stdout) as Record<"passed" | "failed", string[]>;
        expect(failed).toEqual([]);
        const ran = new Set(passed.map((each) => each.split(": ", 1)[0]));
        const left = [redis === undefined ? "redis" : "", postgres === undefined ? "Bun.sql" : ""];
        const expected = contracts.filter((each) => !left.includes(each));
        expect([...ran]).toEqual(expect.arrayContaining([...always, ...expected]));
        console.log(`${name}: ${passed.length} passed, with ${[...ran].join(", ")}`);
      },
    );
  }
});
