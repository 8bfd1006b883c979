/** What every example is tested with: it is started by its one command, and a browser logs in and out. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A port that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Installs the packages of an example that has some of its own, from its lock file. The library itself has to be built. */
export function install(folder: string): void {
  const cwd = `${root}examples/${folder}`;
  if (!existsSync(`${root}dist/index.js`)) execFileSync("npm", ["run", "build"], { cwd: root, stdio: "inherit" });
  if (existsSync(`${cwd}/node_modules/.package-lock.json`)) return;
  execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd, stdio: "inherit" });
}

/**
 * Runs an example until the test is over; answers its address. It listens on the port that the environment variable PORT
 * names, and prints whatever it likes.
 */
export async function start(folder: string, command: readonly string[]): Promise<string> {
  const port = await freePort();
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    cwd: `${root}examples/${folder}`,
    env: { ...process.env, PORT: String(port), HOST: "127.0.0.1", NODE_ENV: "development" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // npm and its children end together
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += String(chunk)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  for (let turn = 0; turn < 600; turn++) {
    if (child.exitCode !== null) throw new Error(`The example ended before it listened: ${printed}`);
    const answer = await fetch(url, { redirect: "manual" }).catch(() => undefined);
    if (answer !== undefined) return url;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`The example did not listen: ${printed}`);
}

/** Logs in, looks, logs out, and looks again. */
export async function drive(url: string): Promise<void> {
  let cookie = "";
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { origin: url, ...(cookie === "" ? {} : { cookie }), ...(init.headers as Record<string, string>) };
    const response = await fetch(url + path, { redirect: "manual", ...init, headers });
    const [line] = response.headers.getSetCookie().filter((each) => each.startsWith("session="));
    if (line !== undefined) cookie = /^session=;/.test(line) ? "" : line.split(";", 1)[0]!;
    return response;
  };
  const post = (path: string, form: Record<string, string> = {}): Promise<Response> =>
    ask(path, { method: "POST", body: new URLSearchParams(form) });

  const stranger = await ask("/");
  expect(await stranger.text()).toContain("Please log in");
  expect(stranger.headers.getSetCookie()).toEqual([]);

  const login = await post("/login", { user: "anna" });
  expect([302, 303]).toContain(login.status);
  expect(cookie).toMatch(/^session=[\w-]{43}$/);
  expect(await (await ask("/")).text()).toContain("Hello, anna");

  const old = cookie;
  expect([302, 303]).toContain((await post("/logout")).status);
  expect(cookie).toBe("");
  cookie = old;
  expect(await (await ask("/")).text()).toContain("Please log in");
}
