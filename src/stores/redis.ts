/** Sessions in Redis and Valkey. */

import { Buffer, isUtf8 } from "node:buffer";
import { SessionError } from "../errors.ts";
import type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";
import { isAnswer, recognise, type AnyRedisClient, type Commands, type Send } from "./redis-client.ts";
import { subscribeBy } from "./redis-push.ts";
import { scripts, type Script } from "./redis-scripts.ts";

export type {
  AnyRedisClient,
  IoRedisClient,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
  RedisClient,
} from "./redis-client.ts";

/** The options of a `RedisStore`. */
export interface RedisStoreOptions {
  /**
   * What the keys of sessions begin with; the token follows. No other store's prefix on the same server may begin with it:
   * its sessions would be listed here, too. The keys of the index by subject are `subject:`, the length of the prefix, `:`,
   * the prefix, and the subject.
   *
   * @default "scs:session:"
   */
  readonly prefix?: string;
  /**
   * Whether the end of a session is announced (`PUBLISH`, in the script that ends it, to the channel `ended:` and the
   * prefix), so that sockets attached to it in other processes close at once. Set it in every process of the site. One
   * with sockets subscribes, by a connection of its own like the client's. Pools of node-redis and clients of one's own
   * only announce; there sockets ask the store, as they do without.
   *
   * @default false
   */
  readonly push?: boolean;
}

/** How many keys are asked for at once. */
const pageSize = 1_000;

/** An expiry that is later than any. */
const never = 8.64e15;

const replaceAnswers: readonly ReplaceAnswer[] = ["missing", "conflict", "replaced"];

/**
 * A store in Redis 7 or Valkey, under the keys of SCS. Every ability of `Store`; Redis itself deletes what has expired, so
 * `deleteExpired` finds nothing. One command each, but two where a session has a subject and may be on another server than
 * its index. When the signal is aborted, nothing more is sent, and commands of node-redis that have not been sent yet leave
 * its queue; others are not ended: set a time limit on the client. The client stays open when the store is closed.
 *
 * ```ts
 * const client = createClient();
 * client.on("error", (error) => console.error(error)); // without a listener an outage ends the process
 * await client.connect();
 * const store = new RedisStore(client);
 * ```
 */
export class RedisStore implements Store {
  readonly #commands: Commands;
  readonly #prefix: string;
  /** Where the end of a session is announced. */
  readonly #channel: string | undefined;
  /** With `push`, where the client can subscribe. */
  readonly watch?: NonNullable<Store["watch"]>;
  /** Whether session and index may be on different servers, where no script writes both. */
  #areApart: boolean;

  constructor(client: AnyRedisClient, { prefix = "scs:session:", push = false }: RedisStoreOptions = {}) {
    this.#commands = recognise(client);
    this.#prefix = prefix;
    const channel = push ? `ended:${prefix}` : undefined;
    this.#channel = channel;
    const subscribe = subscribeBy(client);
    if (channel !== undefined && subscribe !== undefined) this.watch = (listener) => subscribe(channel, listener);
    this.#areApart = this.#commands.isCluster;
  }

  find(token: string, options: Partial<CallOptions> = {}): Promise<StoredSession | undefined> {
    const key = this.#prefix + token;
    if (!isText(token)) return Promise.resolve(undefined);
    if (options.expiry === false) {
      return this.#commands.send(key, ["GET", key], options).then((data) => toStored(data, never), toNone);
    }
    return this.#run(scripts.find, [key], [], options).then((answer) => {
      const [data, expiry] = answer as [data: unknown, expiry: unknown];
      return toStored(data, Number(expiry) < 0 ? never : Number(expiry));
    }, toNone);
  }

  async commit(token: string, session: SessionToStore, options?: CallOptions): Promise<void> {
    const key = this.#keyOf(token);
    const [data, expiry] = toArguments(session);
    await this.#indexed(token, session, options, (index) =>
      index === undefined
        ? this.#commands.send(key, ["SET", key, data, "PXAT", expiry], options)
        : this.#run(scripts.commit, [key, index], [data, expiry, token, deadlineOf(session)], options),
    );
  }

  async delete(token: string, options?: CallOptions): Promise<void> {
    if (!isText(token)) return;
    const key = this.#keyOf(token);
    if (this.#channel === undefined) await this.#commands.send(key, ["DEL", key], options);
    else await this.#run(scripts.delete, [key], [this.#channel, token], options);
  }

  replace(
    token: string,
    expected: Uint8Array,
    next: SessionToStore | undefined,
    options?: CallOptions,
  ): Promise<ReplaceAnswer> {
    if (!isText(token)) return Promise.resolve("missing");
    const key = this.#prefix + token;
    const record: Argument[] = [toArgument(expected), ...(next === undefined ? [] : toArguments(next))];
    const isTold = this.#channel !== undefined && (next === undefined || next.ended === true);
    const told = isTold ? [this.#channel, token] : [];
    const write = isTold ? scripts.end : scripts.replace;
    const written = this.#indexed(token, next, options, (index) =>
      index === undefined || next === undefined
        ? this.#run(write, [key], [...record, ...told], options)
        : this.#run(write, [key, index], [...record, token, deadlineOf(next), ...told], options),
    );
    return written.then((number) => {
      const answer = replaceAnswers[Number(number)];
      if (answer === undefined) throw new SessionError("store-unavailable", "Redis gave no answer to replace.");
      return answer;
    });
  }

  async touch(token: string, expiry: Date, options?: CallOptions): Promise<boolean> {
    if (!isText(token)) return false;
    const key = this.#keyOf(token);
    return Number(await this.#commands.send(key, ["PEXPIREAT", key, String(expiry.getTime())], options)) === 1;
  }

  async *all(): AsyncGenerator<[token: string, session: StoredSession]> {
    const pattern = `${this.#prefix.replace(/[*?[\]\\]/g, "\\$&")}*`;
    const scan = (cursor: string): string[] => [
      "SCAN",
      cursor,
      "MATCH",
      pattern,
      "COUNT",
      String(pageSize),
      "TYPE",
      "string",
    ];
    const seen = new Set<string>();
    for (const send of await this.#commands.masters(this.#anyKey)) {
      for await (const keys of pages(send, scan)) {
        const tokens = keys.map((key) => key.slice(this.#prefix.length)).filter((token) => !seen.has(token));
        for (const token of tokens) seen.add(token);
        for (const [token, stored] of await this.#findAll(tokens)) if (stored !== undefined) yield [token, stored];
      }
    }
  }

  async *findBySubject(subject: string): AsyncGenerator<[token: string, session: StoredSession]> {
    if (!isText(subject)) return;
    const index = this.#indexKeyOf(subject);
    const scan = (cursor: string): string[] => ["ZSCAN", index, cursor, "COUNT", String(pageSize)];
    const seen = new Set<string>();
    const send: Send = (command) => this.#commands.send(index, command);
    for await (const page of pages(send, scan)) {
      const scores = new Map<string, string>();
      for (let i = 0; i < page.length; i += 2) {
        const [token, score] = page.slice(i, i + 2) as [string, string];
        if (!seen.has(token)) scores.set(token, score);
        seen.add(token);
      }
      const found = await this.#findAll([...scores.keys()]);
      const missing = found
        .filter(([, stored]) => stored === undefined)
        .flatMap(([token]) => [token, scores.get(token) ?? ""]);
      if (missing.length > 0) await this.#run(scripts.settle, [index], missing);
      for (const [token, stored] of found) if (stored !== undefined) yield [token, stored];
    }
  }

  /** Nothing to do: Redis deletes what has expired. It is asked all the same, lest an outage be taken for that. */
  async deleteExpired(): Promise<number> {
    await this.#commands.send(this.#anyKey, ["EXISTS", this.#anyKey]);
    return 0;
  }

  /** One that the store may use; never empty, for which node-redis asks some server. */
  get #anyKey(): string {
    return `${this.#prefix}any`;
  }

  #findAll(tokens: readonly string[]): Promise<[token: string, stored: StoredSession | undefined][]> {
    return Promise.all(tokens.map(async (token) => [token, await this.find(token)]));
  }

  #keyOf(token: string): string {
    if (!isText(token)) throw notText("token");
    return this.#prefix + token;
  }

  #indexKeyOf(subject: string): string {
    // With the length no other prefix and subject have the same key.
    return `subject:${String(this.#prefix.length)}:${this.#prefix}${subject}`;
  }

  /**
   * Writes a session, and its index in the same script. Where the two may be apart, the index is written before. That they
   * are, clients of one server learn from the answer of a server that is part of a cluster; it has written nothing then.
   */
  #indexed(
    token: string,
    session: SessionToStore | undefined,
    options: CallOptions | undefined,
    write: (index?: string) => Promise<unknown>,
  ): Promise<unknown> {
    if (session?.subject === undefined) return write();
    if (!isText(session.subject)) return Promise.reject(notText("subject"));
    const index = this.#indexKeyOf(session.subject);
    const writeApart = async (): Promise<unknown> => {
      await this.#run(scripts.enter, [index], [token, deadlineOf(session)], options);
      return write();
    };
    if (this.#areApart) return writeApart();
    return write(index).catch((error: unknown) => {
      if (!isAnswer(error, "CROSSSLOT")) throw error;
      this.#areApart = true;
      return writeApart();
    });
  }

  #run(
    { text, hash }: Script,
    keys: readonly string[],
    parameters: readonly Argument[],
    options?: Partial<CallOptions>,
  ): Promise<unknown> {
    const [first = ""] = keys;
    const rest = [String(keys.length), ...keys, ...parameters];
    return this.#commands.send(first, ["EVALSHA", hash, ...rest], options, ["EVAL", text, ...rest]);
  }
}

type Argument = string | Buffer;

/** The pages of a scan, as text. */
async function* pages(send: Send, scan: (cursor: string) => string[]): AsyncGenerator<string[]> {
  let cursor = "0";
  do {
    const [next, page] = (await send(scan(cursor))) as [next: unknown, page: unknown[]];
    cursor = String(next);
    yield page.map(String);
  } while (cursor !== "0");
}

function toStored(data: unknown, expiry: number): StoredSession | undefined {
  if (data === null || data === undefined) return undefined;
  if (data instanceof Uint8Array) return { data, expiry: new Date(expiry) };
  throw new SessionError("store-unavailable", "The client of Redis answers text; RedisStore needs bytes.");
}

/** A list, for example, under the key of a session is no more a session than bytes that no codec knows. */
function toNone(error: unknown): StoredSession {
  if (isAnswer(error, "WRONGTYPE")) return { data: Buffer.of(), expiry: new Date(never) };
  throw error;
}

function toArguments({ data, expiry }: SessionToStore): [data: Argument, expiry: string] {
  return [toArgument(data), String(Math.max(1, expiry.getTime()))];
}

function deadlineOf({ expiry, deadline = expiry }: SessionToStore): string {
  return String(Math.max(1, deadline.getTime(), expiry.getTime()));
}

/** As text where it is some: clients write each Buffer by itself, which takes longer than to make text of it. */
function toArgument(data: Uint8Array): Argument {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return isUtf8(bytes) ? bytes.toString() : bytes;
}

/** Half a surrogate pair is none for UTF-8: two of them would be one key. */
function isText(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function notText(what: string): SessionError {
  return new SessionError("store-unavailable", `A key of Redis cannot hold the given ${what}: it is no text.`);
}
