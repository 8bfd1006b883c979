// The package in other runtimes: other versions of Node, Bun, Deno. Each runs test/runtimes/suite.ts, from the sources. And
// workerd, which runs test/runtimes/workerd/worker.ts.
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { addressOf } from "../servers/shared.ts";
import manifest from "./package.json" with { type: "json" };
import { startWorkers, type Workers } from "./workerd/start.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const modules = `${folder}node_modules/`;
// An earlier installation may lack what was added since.
const isInstalled = [".package-lock.json", ...Object.keys(manifest.dependencies)].every((each) =>
  existsSync(modules + each),
);
if (!isSkipped("runtimes") && !isInstalled) {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: folder, stdio: "inherit" });
}
const [redis, postgres] = await Promise.all([addressOf("redis"), addressOf("postgres")]);

const quiet = ["--disable-warning=ExperimentalWarning"];
const always = ["fetch", "node", "contract of fetch", "contract of Hono 4", "MemoryStore"];
const runtimes = [
  { name: "Node 22", program: "node-22/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  { name: "Node 24", program: "node-24/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  { name: "Node 26", program: "node-26/bin/node", flags: quiet, contracts: ["node:sqlite", "better-sqlite3", "redis"] },
  {
    name: "Bun",
    program: "@oven/bun-linux-x64/bin/bun",
    flags: [],
    contracts: ["bun:sqlite", "Bun.sql", "redis", "Bun.redis"],
  },
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
        const left = [...(redis === undefined ? ["redis", "Bun.redis"] : []), postgres === undefined ? "Bun.sql" : ""];
        const expected = contracts.filter((each) => !left.includes(each));
        expect([...ran]).toEqual(expect.arrayContaining([...always, ...expected]));
        console.log(`${name}: ${passed.length} passed, with ${[...ran].join(", ")}`);
      },
    );
  }
});

/** What knows Node's own responses: other versions may keep them in another way. */
const ofNode = [
  ...["test/hold.test.ts", "test/adapters/contract.test.ts", "test/adapters/bad-requests.test.ts"],
  "test/adapters/http2.test.ts",
];
const newer = runtimes.filter(({ name, program }) => name.startsWith("Node") && existsSync(modules + program));

describe.skipIf(isSkipped("runtimes") || newer.length === 0)(
  "responses are held, and the adapters' contract kept, by",
  () => {
    for (const { name, program } of newer) {
      test(name, { timeout: 180_000 }, async () => {
        const root = fileURLToPath(new URL("../..", import.meta.url));
        const vitest = `${root}node_modules/vitest/vitest.mjs`;
        const args = [vitest, "run", "--config", "test/vitest.config.ts", "--reporter", "dot", ...ofNode];
        const env = { ...process.env, TEST_SKIP: "redis,postgres,mysql,runtimes,examples,browser", NO_COLOR: "1" };
        const { stdout } = await promisify(execFile)(modules + program, args, { cwd: root, env, maxBuffer: 2 ** 26 });
        expect(stdout).toMatch(/Tests +[5-9]\d\d passed/);
      });
    }
  },
);

const hasWorkerd = existsSync(`${modules}@cloudflare/workerd-linux-64`);
describe.skipIf(isSkipped("runtimes") || !hasWorkerd)("workerd:", () => {
  let workers: Workers;
  beforeAll(async () => {
    workers = await startWorkers(modules);
    await fetch(`${workers.urls[0]}/migrate`);
  });
  afterAll(() => (workers as Workers | undefined)?.close());

  /** Asks the site of one of the workers. */
  const ask = async (url: string, cookie = "", body = ""): Promise<{ status: number; text: string; set: string[] }> => {
    const response = await fetch(url, { method: "POST", body, headers: { cookie } });
    return { status: response.status, text: await response.text(), set: response.headers.getSetCookie() };
  };
  const valueOf = (line = ""): string => line.split(";", 1)[0]!;

  test("the contracts hold", { timeout: 120_000 }, async () => {
    const [url] = workers.urls;
    const names = (await (await fetch(`${url}/contracts`)).json()) as string[];
    const failed: string[] = [];
    for (const name of names) {
      const signal = AbortSignal.timeout(20_000);
      const said = await fetch(`${url}/contracts?run=${encodeURIComponent(name)}`, { signal }).then(
        (response) => response.text(),
        String,
      );
      if (said !== "passed") failed.push(`${name}: ${said}`);
    }
    expect(failed).toEqual([]);
    const ran = [...new Set(names.map((each) => each.split(": ", 1)[0]))];
    expect(ran).toEqual(["contract of fetch", "contract of Hono 4", "MemoryStore", "D1"]);
    console.log(`workerd: ${names.length} passed, with ${ran.join(", ")}`);
  });

  describe.each(["fetch", "hono"])("the site by %s, whose manager and store are built for each request,", (adapter) => {
    const sites = (): [string, string] => [`${workers.urls[0]}/${adapter}`, `${workers.urls[1]}/${adapter}`];

    test("keeps sessions in D1 across requests and workers, until they are renewed and destroyed", async () => {
      const [a, b] = sites();
      await Promise.all(workers.urls.map((url) => fetch(`${url}/events`)));
      const put = await ask(`${a}/put`, "", "anna");
      expect(put.text).toBe("anna,0,rich,current");
      expect(put.set).toEqual([
        expect.stringMatching(/^session=[\w-]{43}; Max-Age=86400; Expires=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/),
      ]);
      const old = valueOf(put.set[0]);
      expect(await ask(`${b}/get`, old)).toEqual({ status: 200, text: "anna,0,rich,current", set: [] });

      const renewed = valueOf((await ask(`${b}/renew`, old)).set[0]);
      expect(renewed).toMatch(/^session=[\w-]{43}$/);
      expect(renewed).not.toBe(old);
      expect((await ask(`${a}/get`, old)).text).toBe(",0,,current");
      expect((await ask(`${a}/get`, renewed)).text).toBe("anna,0,rich,current");

      const other = valueOf((await ask(`${b}/put`, "", "anna")).set[0]);
      await ask(`${b}/revoke`, renewed);
      expect((await ask(`${a}/get`, other)).text).toBe(",0,,current");

      const { set } = await ask(`${a}/destroy`, renewed);
      expect(set).toEqual([
        expect.stringMatching(/^session=; Max-Age=0; Expires=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/),
      ]);
      expect((await ask(`${b}/get`, renewed)).text).toBe(",0,,current");

      const events = await Promise.all(workers.urls.map(async (url) => (await fetch(`${url}/events`)).json()));
      expect(events).toEqual([
        ["created", "refused", "destroyed"],
        ["renewed", "created", "destroyed", "refused"],
      ]);
    });

    test("destroys also when the client has gone meanwhile", async () => {
      const [a, b] = sites();
      const cookie = valueOf((await ask(`${a}/put`, "", "dora")).set[0]);
      const leaving = new AbortController();
      const init = { method: "POST", headers: { cookie }, signal: leaving.signal };
      const asked = fetch(`${a}/destroy-slowly`, init).catch(() => "broken off");
      await expect.poll(async () => (await fetch(`${workers.urls[0]}/events`)).json()).toContain("destroying");
      leaving.abort();
      expect(await asked).toBe("broken off");
      await expect.poll(async () => (await ask(`${b}/get`, cookie)).text, { timeout: 10_000 }).toBe(",0,,current");
    });

    test("loses nothing of 20 parallel requests to both workers", async () => {
      const cookie = valueOf((await ask(`${sites()[0]}/put`, "", "bob")).set[0]);
      const asked = Array.from({ length: 20 }, (_, i) => ask(`${sites()[i % 2]!}/add`, cookie));
      expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(new Array(20).fill(200));
      expect((await ask(`${sites()[1]}/get`, cookie)).text).toBe("bob,20,rich,current");
    });

    test("answers 503, without cookie, when the store fails", async () => {
      const [a] = sites();
      const cookie = valueOf((await ask(`${a}/put`, "", "carl")).set[0]);
      for (const asked of [ask(`${a}/down/get`, cookie), ask(`${a}/down/put`, "", "carl")]) {
        expect(await asked).toEqual({ status: 503, text: "Service Unavailable\n", set: [] });
      }
      expect((await ask(`${a}/get`, cookie)).text).toBe("carl,0,rich,current");
    });
  });
});
