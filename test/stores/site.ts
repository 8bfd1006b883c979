/** A site: processes that share a store, and browsers that visit them. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import type { Backend } from "./backends.ts";

/** What the application answers. */
export interface Answer {
  readonly status: number;
  /** What is in the response's Set-Cookie: undefined if there is none, empty if it deletes. */
  readonly token: string | undefined;
  readonly userId?: string;
  readonly count?: number;
  readonly isRich?: boolean;
  readonly keys?: string[];
}

/** A process that runs test/stores/app.ts. */
export class Site {
  readonly #process: ChildProcess;
  readonly #url: string;
  readonly #complaints: () => string;

  private constructor(child: ChildProcess, url: string, complaints: () => string) {
    this.#process = child;
    this.#url = url;
    this.#complaints = complaints;
  }

  /** `options`: of the SessionManager. */
  static async start(backend: Backend, options: object = {}): Promise<Site> {
    const app = fileURLToPath(new URL("app.ts", import.meta.url));
    const child = spawn(
      process.execPath,
      ["--unhandled-rejections=strict", "--import", "tsx", app, JSON.stringify({ backend, options })],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (text: string) => (output[name] += text));
    }
    for (;;) {
      const port = /listens on (\d+)/.exec(output.stdout)?.[1];
      if (port !== undefined) return new Site(child, `http://127.0.0.1:${port}`, () => output.stderr);
      await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
      if (child.exitCode !== null) throw new Error(`The site did not start:\n${output.stderr}`);
    }
  }

  /** One request; rejects when it is not answered. */
  async visit(path: string, token?: string): Promise<Answer> {
    const response = await fetch(
      `${this.#url}/${path}`,
      token === undefined ? {} : { headers: { cookie: `session=${token}` } },
    );
    const body = await response.text();
    const cookie = response.headers.getSetCookie().find((each) => each.startsWith("session="));
    const values = response.ok ? (JSON.parse(body) as object) : {};
    return { ...values, status: response.status, token: cookie && /^session=([^;]*)/.exec(cookie)?.[1] };
  }

  /** Opens a socket; answers whose it is, and the reason it is closed for. Rejects when it is refused. */
  async connect(token: string, origin = this.#url) {
    const socket = new WebSocket(this.#url.replace("http", "ws"), { origin, headers: { cookie: `session=${token}` } });
    const closed = new Promise<string>((resolve) => {
      socket.once("close", (_code, reason) => resolve(String(reason)));
    });
    const [message] = (await once(socket, "message")) as [Buffer];
    return { userId: message.toString(), closed, close: () => socket.close() };
  }

  /** A question about the process. */
  async ask<T>(question: string): Promise<T> {
    return (await (await fetch(`${this.#url}/${question}`)).json()) as T;
  }

  /** Whether it still runs. */
  get isUp(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** What it wrote to standard error. */
  get complaints(): string {
    return this.#complaints();
  }

  /** Closes the manager and the store; answers the exit code once the process has ended by itself. */
  async close(): Promise<number | null> {
    if (!this.isUp) return this.#process.exitCode;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const impatience = setTimeout(() => this.#process.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(impatience);
    return this.#process.exitCode;
  }

  /** Ends it in the middle of whatever it does. */
  async kill(): Promise<void> {
    if (!this.isUp) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}
