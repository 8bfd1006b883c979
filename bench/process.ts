/** A contender that runs, as a process of its own. */

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Contender } from "./contenders.ts";

/** How its sessions are: they last a day; they also end without visits; their tokens are signed, for those who sign none by default. */
export type Variant = "plain" | "idle" | "signed";

export interface Setup {
  readonly variant: Variant;
  /** How many sessions a store in memory has at the start; Express only. */
  readonly stored?: number;
  /** The addresses of the stores. */
  readonly redis?: string | undefined;
  readonly postgres?: string | undefined;
}

export interface Usage {
  /** Microseconds of processor time since the start. */
  readonly cpu: number;
  /** Bytes of memory at the most since it was last asked. */
  readonly peak: number;
}

type FirstWord = { readonly port: number } | { readonly reason: string; readonly isMissing: boolean };

/** A store in memory may have to be filled first. */
const patience = 60_000;

export class Running {
  readonly port: number;
  readonly #process: ChildProcess;

  constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.port = port;
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async usage(): Promise<Usage> {
    this.#process.send("usage");
    const [answer] = (await once(this.#process, "message", { signal: AbortSignal.timeout(patience) })) as [Usage];
    return answer;
  }

  async stop(): Promise<void> {
    if (!this.isAlive) return;
    const ended = once(this.#process, "exit");
    this.#process.disconnect();
    const impatience = setTimeout(() => this.#process.kill("SIGKILL"), 2_000);
    await ended;
    clearTimeout(impatience);
  }
}

/** Starts a contender. Answers why it is not there where the package has no such adapter (yet); other errors are thrown. */
export async function start(contender: Contender, setup: Setup): Promise<Running | string> {
  const { framework, name, store } = contender;
  const program = new URL("contenders/serve.js", import.meta.url);
  const child = fork(program, [framework, name, JSON.stringify({ ...setup, store })], {
    execArgv: [],
    env: { ...process.env, NODE_ENV: "production" },
    stdio: ["ignore", "ignore", "ignore", "ipc"], // some print a line for each forged cookie
  });
  const [word] = (await once(child, "message", { signal: AbortSignal.timeout(patience) })) as [FirstWord];
  if ("port" in word) return new Running(child, word.port);
  child.disconnect();
  if (word.isMissing) return word.reason;
  throw new Error(`${framework}, ${name}: ${word.reason}`);
}
