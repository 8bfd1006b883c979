/** What every example is tested with: it is started by its one command, and a browser logs in and out. */

import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
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

/** The time of the newest file below a folder; 0 when there is none. */
function newest(folder: string): number {
  if (!existsSync(folder)) return 0;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return Math.max(0, ...files.map((file) => statSync(`${folder}/${file}`).mtimeMs));
}

/** Builds the library if its sources are newer. Several test files may ask for that at once. */
async function build(): Promise<void> {
  const lock = `${root}node_modules/.scs-session-build`;
  while (existsSync(lock) && Date.now() - statSync(lock).mtimeMs < 60_000) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (newest(`${root}dist`) > newest(`${root}src`)) return;
  mkdirSync(lock, { recursive: true });
  try {
    execFileSync("npm", ["run", "build"], { cwd: root, stdio: "pipe" });
  } finally {
    rmSync(lock, { recursive: true });
  }
}

/** Installs the packages of an example that has some of its own, from its lock file, and the library as it is now. */
export async function install(folder: string): Promise<void> {
  await build();
  const cwd = `${root}examples/${folder}`;
  if (!existsSync(`${cwd}/node_modules/.package-lock.json`)) {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd, stdio: "pipe" });
  }
  cpSync(`${root}dist`, `${cwd}/node_modules/scs-session/dist`, { recursive: true });
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
    const headers = {
      accept: "text/html",
      origin: url,
      ...(cookie === "" ? {} : { cookie }),
      ...(init.headers as Record<string, string>),
    };
    const response = await fetch(url + path, { redirect: "manual", ...init, headers });
    const [line] = response.headers.getSetCookie().filter((each) => each.startsWith("session="));
    if (line !== undefined) cookie = line.startsWith("session=;") ? "" : line.split(";", 1)[0]!;
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
