/** A TCP proxy before Redis or PostgreSQL that counts: commands that clients send, and bytes both ways. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";

export interface Counts {
  /** Commands of clients; what a script does inside of Redis is no command. */
  readonly commands: number;
  readonly bytesToStore: number;
  readonly bytesFromStore: number;
}

/** Takes parts of what a client sends; answers how many commands have become complete. */
type Reader = (chunk: Buffer) => number;

export class Counter {
  /** The target's, by way of the proxy. */
  readonly url: string;
  readonly #server: Server;
  #counts = { commands: 0, bytesToStore: 0, bytesFromStore: 0 };
  #lastReplyAt = 0;

  constructor(server: Server, target: URL) {
    this.#server = server;
    const own = new URL(target);
    own.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.url = own.href;
    const newReader = target.protocol === "redis:" ? readRedis : readPostgres;
    server.on("connection", (client) => {
      const store = connect(Number(target.port), target.hostname);
      const read = newReader();
      client.on("data", (chunk: Buffer) => {
        this.#counts.commands += read(chunk);
        this.#counts.bytesToStore += chunk.length;
      });
      store.on("data", (chunk: Buffer) => {
        this.#counts.bytesFromStore += chunk.length;
        this.#lastReplyAt = performance.now();
      });
      for (const [socket, other] of [
        [client, store],
        [store, client],
      ] as const) {
        socket.setNoDelay().on("error", () => other.destroy());
        socket.on("close", () => other.destroy());
        socket.pipe(other);
      }
    });
  }

  /** When the store last sent something, by `performance.now()`. */
  get lastReplyAt(): number {
    return this.#lastReplyAt;
  }

  /** What was counted since the last time it was asked. */
  take(): Counts {
    const counts = this.#counts;
    this.#counts = { commands: 0, bytesToStore: 0, bytesFromStore: 0 };
    return counts;
  }

  /** The clients must have closed their connections. */
  async stop(): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Starts one before the store at this address. */
export async function startCounter(url: string): Promise<Counter> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return new Counter(server, new URL(url));
}

/** Of RESP: a command is an array of texts, `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`. */
function readRedis(): Reader {
  let rest = Buffer.of();
  let textsLeft = 0;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let commands = 0;
    for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
      const length = Number(rest.toString("latin1", 1, end));
      const isText = rest[0] === 0x24; // $
      const size = isText ? end + 2 + length + 2 : end + 2;
      if (rest.length < size) break;
      rest = rest.subarray(size);
      textsLeft = isText ? textsLeft - 1 : length;
      if (textsLeft === 0) commands++;
    }
    return commands;
  };
}

/** Of PostgreSQL: a startup message without a type, then messages with one; Q is a query, E executes a prepared one. */
function readPostgres(): Reader {
  let rest = Buffer.of();
  let started = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let commands = 0;
    for (;;) {
      const at = started ? 1 : 0;
      if (rest.length < at + 4) break;
      const size = at + rest.readInt32BE(at);
      if (rest.length < size) break;
      if (started && (rest[0] === 0x51 || rest[0] === 0x45)) commands++;
      started = true;
      rest = rest.subarray(size);
    }
    return commands;
  };
}
