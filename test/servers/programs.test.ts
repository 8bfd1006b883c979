// Programs that tests run are found, or the command that installs them is named.
import { afterEach, expect, test, vi } from "vitest";
import { browserProgram, programOf, serverProgram } from "./programs.ts";
import { addressOf } from "./shared.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test("CHROMIUM_PATH names the browser, and has to exist", async () => {
  vi.stubEnv("CHROMIUM_PATH", process.execPath);
  expect(await browserProgram()).toBe(process.execPath);
  vi.stubEnv("CHROMIUM_PATH", "/nowhere/chrome");
  await expect(browserProgram()).rejects.toThrow("CHROMIUM_PATH names /nowhere/chrome, which does not exist.");
});

test("who may not install gets the command, and what else helps", async () => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  vi.stubEnv("PATH", "");
  vi.stubEnv("CHROMIUM_PATH", "");
  await expect(browserProgram()).rejects.toThrow(
    "There is no chromium here. Run `sudo test/servers/install.sh chromium` (Debian, Ubuntu), or name a Chromium or " +
      "Chrome in CHROMIUM_PATH, or leave it out with TEST_SKIP=browser.",
  );
  await expect(programOf("no-such-program", { otherwise: "do without" })).rejects.toThrow(
    "Run `sudo test/servers/install.sh no-such-program` (Debian, Ubuntu), or do without.",
  );
});

test("a server that is not here fails with the command, the address that would do, and what leaves it out", async () => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  vi.stubEnv("PATH", "");
  await expect(serverProgram("redis")).rejects.toThrow(
    /^There is no redis-server here\. Run `sudo test\/servers\/install\.sh redis-server.*` \(Debian, Ubuntu\), or name a server in STORE_REDIS_URL, or leave it out with TEST_SKIP=redis\.$/,
  );
});

test("an address from the environment is taken as it is, and TEST_SKIP leaves the server out all the same", async () => {
  vi.stubEnv("TEST_SKIP", "mysql");
  vi.stubEnv("STORE_REDIS_URL", "redis://elsewhere:1");
  vi.stubEnv("STORE_MYSQL_URL", "mysql://elsewhere:2/test");
  expect([await addressOf("redis"), await addressOf("mysql")]).toEqual(["redis://elsewhere:1", undefined]);
});
