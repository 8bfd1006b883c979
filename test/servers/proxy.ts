/** A TCP proxy that fails on demand, as networks do. */

import { EventEmitter, once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

type Mode =
  | { readonly name: "pass" | "hang" | "reset" }
  | { readonly name: "delay"; readonly milliseconds: number }
  | { readonly name: "cut"; readonly bytes: number };

/** What it does holds for the connections that there are and for new ones, until it is told something else. */
export class Proxy {
  /** The target's, by way of the proxy. */
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<readonly [client: Socket, server: Socket]>();
  #mode: Mode = { name: "pass" };
  readonly #changes = new EventEmitter().setMaxListeners(0);
  /** Whether it has held something back since it hangs. */
  #hasHeld = false;

  constructor(server: Server, target: URL) {
    this.#server = server;
    this.#target = { host: target.hostname, port: Number(target.port) };
    this.port = (server.address() as AddressInfo).port;
    const own = new URL(target);
    own.host = `127.0.0.1:${this.port}`;
    this.url = own.href;
    server.on("connection", (client) => this.#connect(client));
  }

  /** Leads new connections to another server, as a failover does, and resets those that there are. */
  leadTo(url: string): void {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) };
    for (const connection of this.#connections) reset(connection);
  }

  /** Passes everything on, also what was held back. */
  pass(): void {
    this.#change({ name: "pass" });
  }

  /** Passes nothing on: connections open and then stay silent, and nobody hears of their end. */
  hang(): void {
    this.#change({ name: "hang" });
  }

  /** Waits until it holds back something that was sent since it hangs. */
  async held(): Promise<void> {
    if (!this.#hasHeld) await once(this.#changes, "held");
  }

  /** Holds back each part of a reply for so long. */
  delay(milliseconds: number): void {
    this.#change({ name: "delay", milliseconds });
  }

  /** Resets all connections, and new ones at once. */
  reset(): void {
    this.#change({ name: "reset" });
    for (const connection of this.#connections) reset(connection);
  }

  /** Passes so many bytes of what the server sends on a connection from now on, then resets it. */
  cutReplyAfter(bytes: number): void {
    this.#change({ name: "cut", bytes });
  }

  async stop(): Promise<void> {
    this.reset();
    this.#server.close();
    await once(this.#server, "close");
  }

  #change(mode: Mode): void {
    this.#mode = mode;
    this.#hasHeld = false;
    this.#changes.emit("change");
  }

  #connect(client: Socket): void {
    const server = connect({ ...this.#target, allowHalfOpen: true });
    const connection = [client, server] as const;
    this.#connections.add(connection);
    for (const socket of connection) {
      socket.on("close", () => {
        if (connection.every(({ closed }) => closed)) this.#connections.delete(connection);
      });
      socket.setNoDelay(true);
      socket.on("error", () => {}); // the other side gets to see its end
    }
    if (this.#mode.name === "reset") reset(connection);
    void this.#forward(client, server, async (chunk) => chunk);
    void this.#forward(server, client, this.#replies(connection));
  }

  async #forward(from: Socket, to: Socket, pass: (chunk: Buffer) => Promise<Buffer>): Promise<void> {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        this.#noteHeld();
        await this.#released();
        if (!to.write(await pass(chunk as Buffer))) await once(to, "drain");
      }
    } catch {
      // Ended, one way or another.
    }
    await this.#released();
    to.end();
  }

  /** What becomes of the parts of the replies on one connection. */
  #replies(connection: readonly [Socket, Socket]): (chunk: Buffer) => Promise<Buffer> {
    let cutting: Mode | undefined;
    let left = 0;
    return async (chunk) => {
      const mode = this.#mode;
      if (mode.name === "delay") await wait(mode.milliseconds);
      if (mode.name !== "cut") return chunk;
      if (cutting !== mode) left = mode.bytes;
      cutting = mode;
      if (chunk.length < left) {
        left -= chunk.length;
        return chunk;
      }
      const [client] = connection;
      await new Promise((resolve) => client.write(chunk.subarray(0, left), resolve));
      reset(connection);
      return Buffer.of();
    };
  }

  #noteHeld(): void {
    if (this.#mode.name !== "hang") return;
    this.#hasHeld = true;
    this.#changes.emit("held");
  }

  /** Waits while it hangs. */
  async #released(): Promise<void> {
    while (this.#mode.name === "hang") await once(this.#changes, "change");
  }
}

/** Starts one before the server at this address, which may be down. */
export async function startProxy(url: string): Promise<Proxy> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return new Proxy(server, new URL(url));
}

function reset([client, server]: readonly [Socket, Socket]): void {
  client.resetAndDestroy();
  server.destroy();
}
