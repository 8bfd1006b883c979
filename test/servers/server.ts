/** A server of our own: a process with its data in a folder that is removed in the end, on a port of 127.0.0.1. */

import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

export interface StartOptions {
  /** Whether what was acknowledged survives `kill()`, as in production; otherwise it is quick. */
  readonly durable?: boolean;
  /** A free one if left out. */
  readonly port?: number;
  /** Holds the data, and is kept when the server stops; a temporary one if left out. */
  readonly directory?: string;
}

/** How a kind of server is run. */
export interface Kind {
  readonly command: string;
  readonly arguments: (port: number, data: string) => readonly string[];
  /** Makes the data folder, which does not exist yet. */
  readonly prepare: (data: string) => Promise<unknown>;
  /** What it prints once it accepts connections. */
  readonly ready: RegExp;
  readonly stopSignal: NodeJS.Signals;
  readonly url: (port: number) => string;
}

/** What servers print when the port is taken, or while the rest of a killed one still holds the data. */
const inTheWay = /address already in use|still in use/i;
const attempts = 50;
const patience = 10_000;

const running = new Set<Server>();
process.on("exit", () => {
  for (const server of running) server.abandon();
});

export class Server {
  readonly #kind: Kind;
  readonly #directory: string;
  readonly #temporary: boolean;
  #process: ChildProcess | undefined;
  #port = 0;
  #output = "";

  private constructor(kind: Kind, directory: string, temporary: boolean) {
    this.#kind = kind;
    this.#directory = directory;
    this.#temporary = temporary;
  }

  static async start(kind: Kind, { port, directory }: StartOptions): Promise<Server> {
    const server = new Server(kind, await ownFolder(directory), directory === undefined);
    running.add(server);
    try {
      if (!existsSync(server.data)) await kind.prepare(server.data);
      await server.#run(() => port ?? anyPort());
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get url(): string {
    return this.#kind.url(this.#port);
  }

  get port(): number {
    return this.#port;
  }

  /** The one that runs, or ran last. */
  get process(): ChildProcess {
    if (this.#process === undefined) throw new Error("The server was not started");
    return this.#process;
  }

  get data(): string {
    return join(this.#directory, "data");
  }

  /** What the process printed, from its start until it was ready. */
  get output(): string {
    return this.#output;
  }

  /** Ends it as an administrator would, and removes its data. */
  async stop(): Promise<void> {
    await this.#end(this.#kind.stopSignal);
    running.delete(this);
    if (this.#temporary) await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Ends it without a warning. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Starts it again, with the same data and port; first stops it if it runs. */
  async restart(): Promise<void> {
    await this.#end(this.#kind.stopSignal);
    await this.#run(() => this.#port);
  }

  /** For the end of our own process: there is no time left for more. */
  abandon(): void {
    this.#process?.kill("SIGKILL");
    if (this.#temporary) rmSync(this.#directory, { recursive: true, force: true });
  }

  async #run(choosePort: () => number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#port = choosePort();
      if (await this.#launch()) return;
      if (attempt === attempts || !inTheWay.test(this.#output))
        throw new Error(`${this.#kind.command} did not start:\n${this.#output}`);
      await wait(20);
    }
  }

  /** Answers whether it is ready; otherwise it has ended. */
  async #launch(): Promise<boolean> {
    const { command, arguments: args, ready } = this.#kind;
    const options = {
      ...surroundings(this.#directory),
      stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"],
    };
    const child = spawn(command, args(this.#port, this.data), options);
    this.#process = child;
    this.#output = "";
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (isReady: boolean) => {
        settled = true;
        resolve(isReady);
      };
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8");
        stream.on("data", (text: string) => {
          if (settled) return;
          this.#output += text;
          if (ready.test(this.#output)) settle(true);
        });
      }
      child.once("close", () => settle(false));
      child.once("error", reject);
    });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    const impatience = setTimeout(() => child.kill("SIGKILL"), patience);
    await ended;
    clearTimeout(impatience);
  }
}

/** Runs a program to its end, as the servers are run, beside the data; answers what it printed. */
export async function runProgram(command: string, args: readonly string[], data: string): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, surroundings(join(data, "..")));
  return stdout;
}

/** Asks until the answer is true; throws after half a minute. A question that fails is asked again. */
export async function waitUntil(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    if (await ask().catch(() => false)) return;
    await wait(20);
  }
  throw new Error(`Waited in vain: ${what}`);
}

/** A folder of the user that the servers run as. */
async function ownFolder(wanted: string | undefined): Promise<string> {
  const folder = wanted ?? (await mkdtemp(join(tmpdir(), "scs-session-")));
  await mkdir(folder, { recursive: true });
  const { uid, gid } = owner();
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
  await chmod(folder, 0o755);
  return folder;
}

function surroundings(folder: string) {
  return { ...owner(), cwd: folder, env: { PATH: process.env["PATH"], HOME: folder, LC_ALL: "C" } };
}

/** Servers refuse to be root, or should not be: we start them as nobody then. */
function owner(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: idOfNobody("-u"), gid: idOfNobody("-g") } : {};
}

function idOfNobody(which: "-u" | "-g"): number {
  return Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }));
}

/**
 * A port that systems do not give to outgoing connections: nobody gets it while a killed server is away, and a client that
 * tries to come back cannot connect to itself. Nodes of a Redis Cluster use the port 10,000 above it, too.
 */
function anyPort(): number {
  return randomInt(10_000, 20_000);
}
