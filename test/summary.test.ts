// What is left out is counted where a run is summed up, and a run that failed anywhere does not read like success.
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program to its end, well or not. */
function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd: string) {
  return new Promise<{ code: unknown; output: string }>((resolve) => {
    const all = { ...process.env, NO_COLOR: "1", ...env };
    execFile(program, args, { cwd, env: all }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });
}

describe("npm test", () => {
  /** Of a file whose tests need all servers. By a reporter that writes no file. */
  const vitest = (TEST_SKIP: string, env: NodeJS.ProcessEnv = {}) => {
    const args = [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--config",
      "test/vitest.config.ts",
      "--reporter",
      "default",
    ];
    return run(process.execPath, [...args, "test/servers/servers.test.ts"], { ...env, TEST_SKIP }, root);
  };

  test("counts the tests that TEST_SKIP leaves out, and what it leaves out", async () => {
    const { code, output } = await vitest("redis, postgres,mysql,valkey");
    expect(code, output).toBe(0);
    expect(output).toMatch(/Tests +(\d+) skipped \(\1\)/);
    expect(output).toContain("Left out, as TEST_SKIP says: 4 (redis, postgres, mysql, valkey)");
  });

  test("fails where Valkey is here, but does not start", async () => {
    const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    await chmod(folder, 0o755); // servers run as another user than root
    await writeFile(join(folder, "valkey-server"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}`, STORE_VALKEY_URL: "" };
    const { code, output } = await vitest("redis,postgres,mysql", env);
    expect(code, output).toBe(1);
    expect(output).toContain("valkey-server did not start");
  });

  test("fails where TEST_SKIP names what is unknown, and says what is known", async () => {
    const { code, output } = await vitest("mysql,postgre");
    expect(code).toBe(1);
    expect(output).toContain(
      'TEST_SKIP names "postgre"; it takes redis, postgres, mysql, valkey, runtimes, examples, browser',
    );
  });
});

describe(".ci/run", () => {
  interface Run {
    /** What vitest reports; undefined: it did not come to that. */
    readonly report: object | undefined;
    /** The npm script that fails. */
    readonly failing?: string;
    readonly skip?: string;
  }

  /** The exit code and the last lines of a run in a project whose npm only pretends. */
  async function ended({ report, failing = "", skip = "" }: Run) {
    const project = await mkdtemp(join(tmpdir(), "scs-session-"));
    onTestFinished(() => rm(project, { recursive: true }));
    await mkdir(join(project, ".ci"));
    await copyFile(join(root, ".ci/run"), join(project, ".ci/run"));
    await writeFile(join(project, "README.md"), "npm ci && npm test\n");
    if (report !== undefined) await writeFile(join(project, "report.json"), JSON.stringify(report));
    const npm = `#!/bin/sh
      if [ "$1" = test ] && [ -f report.json ]; then mkdir reports && cp report.json reports/test.json; fi
      for each; do last=$each; done
      [ "$last" != "$FAILING" ]`;
    await writeFile(join(project, "npm"), npm, { mode: 0o755 });
    const env = { PATH: `${project}:${process.env["PATH"] ?? ""}`, TEST_SKIP: skip, FAILING: failing };
    const { code, output } = await run(join(project, ".ci/run"), [], env, project);
    const lines = output.trimEnd().split("\n");
    return { code, last: lines.filter((line) => !/^(==|failed:)/.test(line)) };
  }

  const ofTests = (passed: number, failed: number, pending = 0, todo = 0): object => ({
    ...{ numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo },
    testResults: [],
  });

  test("ends with the numbers of tests that passed and failed", async () => {
    expect(await ended({ report: ofTests(7, 0) })).toEqual({ code: 0, last: ["7 passed, 0 failed"] });
    const failed = { code: 1, last: ["5 passed, 2 failed"] };
    expect(await ended({ report: ofTests(5, 2), failing: "test" })).toEqual(failed);
  });

  test("counts what was skipped, and what TEST_SKIP left out, before that", async () => {
    const last = ["3 skipped", "2 left out, as TEST_SKIP says: mysql, browser", "7 passed, 0 failed"];
    expect(await ended({ report: ofTests(7, 0, 2, 1), skip: "mysql, browser," })).toEqual({ code: 0, last });
  });

  test("counts a file that could not be loaded, and a failure of anything else, as one that failed", async () => {
    const unloaded = { ...ofTests(7, 0), testResults: [{ status: "failed", assertionResults: [] }] };
    const failed = { code: 1, last: ["7 passed, 1 failed"] };
    expect(await ended({ report: unloaded, failing: "test" })).toEqual(failed);
    for (const failing of ["lint", "check:size"]) {
      expect(await ended({ report: ofTests(7, 0), failing })).toEqual(failed);
    }
    const nothing = { code: 1, last: ["0 passed, 1 failed"] };
    expect(await ended({ report: undefined, failing: "ci" })).toEqual(nothing);
  });
});
