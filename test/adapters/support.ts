/** What the tests of the adapters share: servers on loopback, a client that sees every byte, a store that waits. */

import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Server as NetServer } from "node:net";
import express, { type ErrorRequestHandler, type Express } from "express";
import express4 from "express-4";
import { SessionManager, type SessionOptions } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { MemoryStore } from "scs-session/memory";
import { loadAndSave as onNode } from "scs-session/node";
import { FaultyStore } from "scs-session/testing";
import { onTestFinished } from "vitest";

export interface Data {
  n: number;
  user: string;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/** A manager and its store, which waits for the test. */
export interface Setup {
  readonly sessions: SessionManager<Data>;
  readonly store: FaultyStore;
  readonly memory: MemoryStore;
}

export function setup(options: SessionOptions<Data> = {}): Setup {
  const memory = new MemoryStore();
  const store = new FaultyStore(memory);
  const sessions = new SessionManager<Data>({ store, sweepInterval: false, ...options });
  return { sessions, store, memory };
}

export const kinds = ["node", "express", "express-4"] as const;
export type Kind = (typeof kinds)[number];

/** What stands around the handler. */
export interface Surroundings {
  readonly before?: readonly Middleware[];
  readonly after?: readonly Middleware[];
  readonly onError?: ErrorRequestHandler;
}

/** Serves a handler behind loadAndSave, on one of the servers of Node. */
export function site(kind: Kind, { sessions }: Setup, handler: Handler, around: Surroundings = {}): Promise<string> {
  const { before = [], after = [], onError } = around;
  if (kind === "node") {
    const inner = connectStyle([...after, (req, res) => void handler(req, res)]);
    const wrapped = onNode(sessions, inner);
    return listen(createServer(connectStyle([...before, wrapped])));
  }
  const app: Express = kind === "express" ? express() : (express4() as unknown as Express);
  // Else the default error handler writes to the console.
  app.set("env", "test");
  for (const middleware of before) app.use(middleware);
  app.use(onExpress(sessions));
  for (const middleware of after) app.use(middleware);
  app.use((req, res) => handler(req, res) as undefined);
  if (onError !== undefined) app.use(onError);
  return listen(createServer(app as unknown as RequestListener));
}

/** Runs middleware one after the other, as Connect does; an error ends it with a bare answer. */
export function connectStyle(chain: readonly Middleware[]): RequestListener {
  return (request, response) => {
    const run = (at: number): void => {
      chain[at]?.(request, response, (error) => {
        if (error === undefined) {
          run(at + 1);
          return;
        }
        response.statusCode = (error as { status?: number }).status ?? 500;
        response.end("error");
      });
    };
    run(0);
  };
}

/** Listens until the test is over; answers with the port. */
export async function listen(server: Server | NetServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return String((server.address() as AddressInfo).port);
}

/** Lets I/O happen until a condition holds; the time limit of the test ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets all I/O happen that is under way. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A response as it came over the wire. */
export interface RawResponse {
  readonly status: number;
  readonly reason: string;
  readonly head: string;
  readonly body: Buffer;
  readonly text: string;
  readonly trailers: string;
  /** All values of a header, in order. */
  all(name: string): string[];
  /** The value of a header that is there once at most. */
  header(name: string): string | undefined;
}

/** A connection that sees each byte when it comes. */
export class Wire {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  isClosed = false;
  #pieces: Buffer[] = [];

  constructor(port: string) {
    this.socket = connect(Number(port), "127.0.0.1");
    this.socket.on("data", (piece: Buffer) => this.#pieces.push(piece));
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => (this.isClosed = true));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  get bytes(): Buffer {
    if (this.#pieces.length > 0) this.received = Buffer.concat([this.received, ...this.#pieces.splice(0)]);
    return this.received;
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  send(method = "GET", path = "/", headers: Record<string, string> = {}, body = ""): this {
    const lines = Object.entries({ host: "localhost", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
    return this;
  }

  /** The next complete response. */
  async response(method = "GET"): Promise<RawResponse> {
    let parsed: { response: RawResponse; rest: Buffer } | undefined;
    let seen = -1;
    await until(() => {
      const closed = this.isClosed;
      if (this.bytes.length === seen && !closed) return false;
      seen = this.bytes.length;
      // Looking at every piece of a large body would take long.
      if (seen > 10_000 && !closed && !this.bytes.subarray(-5).equals(Buffer.from("0\r\n\r\n"))) return false;
      parsed = parse(this.bytes, method, closed);
      if (parsed === undefined && closed)
        throw new Error(`The connection was closed after: ${this.text.slice(0, 500)}`);
      return parsed !== undefined;
    });
    this.received = parsed!.rest;
    return parsed!.response;
  }
}

/** Sends one request and closes. */
export function ask(port: string, method = "GET", path = "/", headers: Record<string, string> = {}, body = ""): Wire {
  return new Wire(port).send(method, path, { connection: "close", ...headers }, body);
}

function parse(bytes: Buffer, method: string, closed: boolean): { response: RawResponse; rest: Buffer } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = bytes.subarray(0, end).toString("latin1");
  const [first, ...lines] = head.split("\r\n");
  const [, status, reason] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first!)!;
  const headers = lines.map((line) => [
    line.slice(0, line.indexOf(":")).toLowerCase(),
    line.slice(line.indexOf(":") + 2),
  ]);
  const all = (name: string): string[] => headers.filter(([key]) => key === name).map(([, value]) => value!);
  const make = (body: Buffer, rest: Buffer, trailers = ""): { response: RawResponse; rest: Buffer } => ({
    response: {
      status: Number(status),
      reason: reason!,
      head,
      body,
      text: body.toString(),
      trailers,
      all,
      header(name) {
        const values = all(name);
        if (values.length > 1) throw new Error(`${name} is there ${values.length} times.`);
        return values[0];
      },
    },
    rest,
  });

  let at = end + 4;
  const nothing = Buffer.alloc(0);
  if (method === "HEAD" || status === "204" || status === "304" || status!.startsWith("1")) {
    return make(nothing, bytes.subarray(at));
  }
  const [length] = all("content-length");
  if (length !== undefined) {
    if (bytes.length < at + Number(length)) return undefined;
    return make(bytes.subarray(at, at + Number(length)), bytes.subarray(at + Number(length)));
  }
  if (all("transfer-encoding")[0] !== "chunked") return closed ? make(bytes.subarray(at), nothing) : undefined;
  const chunks: Buffer[] = [];
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.subarray(at, line).toString(), 16);
    at = line + 2;
    if (size === 0) {
      const stop = bytes.indexOf("\r\n\r\n", line);
      if (stop === -1) return undefined;
      return make(Buffer.concat(chunks), bytes.subarray(stop + 4), bytes.subarray(at, stop).toString());
    }
    if (bytes.length < at + size + 2) return undefined;
    chunks.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
}

/** Whether a response has a session cookie, and its `name=value` for the next request. */
export function cookieOf(response: RawResponse, name = "session"): string | undefined {
  return response
    .all("set-cookie")
    .find((line) => line.startsWith(`${name}=`))
    ?.split(";")[0];
}

/** How many sessions a store holds. */
export async function stored(memory: MemoryStore): Promise<number> {
  let count = 0;
  for await (const _ of memory.all()) count++;
  return count;
}
