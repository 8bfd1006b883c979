/** The site in Go, as a process of its own. */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { waitUntil } from "../../servers/server.ts";

/** A value as Go names its type, and writes it. */
export interface Typed {
  readonly type: string;
  readonly value: string;
}

/** What Go has in a session. */
export interface Contents {
  readonly token: string;
  readonly deadline: string;
  readonly values: Readonly<Record<string, Typed>>;
}

/** What a visit answered: the token that the cookie has afterwards, "" if it was ended. */
export interface Visit extends Contents {
  readonly cookie: string;
}

/** The program that the variable SCS_GO names, or else one that `go` builds of the sources beside this file. */
export async function program(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const given = process.env["SCS_GO"] ?? "";
  if (given !== "") return { path: given, remove: async () => undefined };
  const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
  for (const file of ["main.go", "go.mod"]) {
    await cp(fileURLToPath(new URL(file, import.meta.url)), join(folder, file));
  }
  const remove = (): Promise<void> => rm(folder, { recursive: true });
  try {
    await promisify(execFile)("go", ["build", "-mod=mod", "-o", "site", "."], { cwd: folder });
  } catch (error) {
    await remove();
    const remedy = "Install Go 1.23 or newer, or build test/interop/go yourself and name the program in SCS_GO.";
    throw new Error(`The site in Go could not be built. ${remedy}`, { cause: error });
  }
  return { path: join(folder, "site"), remove };
}

export class GoSite {
  readonly #process: ChildProcess;
  readonly #port: number;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.#port = port;
  }

  static async start(path: string, options: Readonly<Record<string, string>>): Promise<GoSite> {
    const flags = Object.entries(options).map(([name, value]) => `-${name}=${value}`);
    const child = spawn(path, flags, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), once(child, "exit")])) as [
      unknown,
    ];
    if (typeof line !== "string") throw new Error(`The site in Go did not start: ${String(line)}`);
    return new GoSite(child, Number(line));
  }

  /** A request, with the token as its cookie. */
  async visit(path: string, token: string, query: Readonly<Record<string, string>> = {}): Promise<Visit> {
    const headers = token === "" ? {} : { cookie: `session=${token}` };
    const response = await this.#ask(path, query, headers);
    const [cookie] = response.headers.getSetCookie();
    const contents = (await response.json()) as Contents;
    return { ...contents, cookie: cookie === undefined ? token : (/^session=([^;]*)/.exec(cookie)?.[1] ?? "") };
  }

  async list(): Promise<Contents[]> {
    return (await (await this.#ask("list")).json()) as Contents[];
  }

  /** Begins a `put`, and answers when it waits in its handler, having loaded the session: a function that lets it go on. */
  async holdPut(token: string, key: string, { type, value }: Typed): Promise<() => Promise<Visit>> {
    const hold = `${token} ${key}`;
    const visit = this.visit("put", token, { key, type, value, hold });
    visit.catch(() => undefined); // for whoever lets it go on
    const waits = async () => (await (await this.#ask("waits", { hold })).json()) === true;
    await waitUntil("the visit waits in its handler", waits);
    return async () => {
      await this.#ask("release", { hold });
      return visit;
    };
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill();
    await ended;
  }

  async #ask(path: string, query: Readonly<Record<string, string>> = {}, headers = {}): Promise<Response> {
    const url = `http://127.0.0.1:${this.#port}/${path}?${new URLSearchParams(query).toString()}`;
    const response = await fetch(url, { headers });
    if (!response.ok) throw new Error(`Go answers ${response.status}: ${await response.text()}`);
    return response;
  }
}
