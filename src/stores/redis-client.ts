/** The clients of Redis: how a command is sent through each, and answered in bytes. */

import { Buffer } from "node:buffer";
import { SessionError, storeError } from "../errors.ts";
import type { CallOptions } from "../store.ts";
import { checkAborted } from "./abort.ts";

/** A client or a pool of `redis` (node-redis), 5 or newer. */
export interface NodeRedisClient {
  sendCommand(command: never, options?: never): Promise<unknown>;
  withTypeMapping(mapping: never): unknown;
  withCommandOptions?(options: never): unknown;
}

/** `createSentinel` of `redis`. */
export interface NodeRedisSentinel {
  sendCommand(isReadonly: undefined, command: never, options?: never): Promise<unknown>;
  getSentinelNode(): unknown;
}

/** `createCluster` of `redis`. */
export interface NodeRedisCluster {
  sendCommand(firstKey: undefined, isReadonly: undefined, command: never, options?: never): Promise<unknown>;
  readonly masters: readonly unknown[];
  nodeClient(node: never): Promise<NodeRedisClient>;
}

/** `ioredis` or `iovalkey`: `Redis`, also with sentinels, and `Cluster`. */
export interface IoRedisClient {
  callBuffer(command: string, ...parameters: Buffer[]): Promise<unknown>;
  nodes?(role: "master"): unknown[];
  readonly options: object;
}

/** `getBuffer` and its like: one for each command. */
type BufferMethods = Partial<Record<string, (...parameters: (string | Buffer)[]) => Promise<unknown>>>;

/**
 * The smallest client: for drivers that the store does not know, with one server. Bulk strings are answered as bytes, integers as numbers, nil
 * as null.
 */
export interface RedisClient {
  sendCommand(command: readonly (string | Buffer)[], options?: { readonly signal?: AbortSignal }): Promise<unknown>;
}

/** Every client that a `RedisStore` takes. */
export type AnyRedisClient = NodeRedisClient | NodeRedisSentinel | NodeRedisCluster | IoRedisClient | RedisClient;

/** Sends a command. */
export type Send = (command: readonly (string | Buffer)[], options?: Partial<CallOptions>) => Promise<unknown>;

/** What the store needs of a client. */
export interface Commands {
  /** Whether keys may be on several servers, so that no script can touch two of them. */
  readonly isCluster: boolean;
  /** Sends a command to the server of a key; `unknown` instead where it names a script that the server does not know. */
  send(
    key: string,
    command: Parameters<Send>[0],
    options?: Partial<CallOptions>,
    unknown?: Parameters<Send>[0],
  ): Promise<unknown>;
  /** A sender for each server that keeps keys of its own; rejects when one is missing. `key` may be asked for. */
  masters(key: string): Promise<Send[]>;
}

/** Recognises a client by its methods; throws `invalid-option` for what is none. */
export function recognise(given: unknown): Commands {
  const client = clientOf(given);
  return {
    isCluster: client.isCluster,
    send: (key, command, options, unknown) =>
      guarded(
        command,
        options,
        () => client.send(key, command, options),
        unknown && (() => client.send(key, unknown, options)),
      ),
    async masters(key) {
      // A client that is still connecting waits here, one that is closed rejects.
      if (client.isCluster) await guarded(["EXISTS"], undefined, () => client.send(key, ["EXISTS", key]));
      const senders = (await guarded(["SCAN"], undefined, () => client.masters(key))).map(guardedSend);
      if (client.isCluster) await checkComplete(senders);
      return senders;
    },
  };
}

/** Whether an error is this answer of Redis. Clients spell them as they please. */
export function isAnswer(error: unknown, answer: "CROSSSLOT" | "WRONGTYPE"): boolean {
  return error instanceof SessionError && error.message.endsWith(`(${answer}).`);
}

const guardedSend =
  (send: Send): Send =>
  (command, options) =>
    guarded(command, options, () => send(command, options));

/** Sends nothing that nobody waits for, and keeps of an error what tells neither tokens nor data. */
function guarded<T>(
  command: Parameters<Send>[0],
  options: Partial<CallOptions> | undefined,
  send: () => Promise<T>,
  ifUnknown?: () => Promise<T>,
): Promise<T> {
  const fail = (error: unknown): Promise<T> => {
    const text = error instanceof Error ? error.message : "";
    if (ifUnknown !== undefined && /noscript/i.test(text)) return guarded(command, options, ifUnknown);
    const [answer = ""] = /crossslot|wrongtype/i.exec(text) ?? /^[A-Z]{3,20}(?= )/.exec(text) ?? [];
    const asked = `run ${String(command[0])} on Redis${answer && ` (${answer.toUpperCase()})`}`;
    return Promise.reject(storeError(asked, error));
  };
  try {
    checkAborted(options);
    return Promise.resolve(send()).catch(fail);
  } catch (error) {
    return fail(error);
  }
}

/** A client forgets masters that it has lost, and a list without their sessions would look complete. */
async function checkComplete(masters: readonly Send[]): Promise<void> {
  const ids = new Set((await Promise.all(masters.map((send) => send(["CLUSTER", "MYID"])))).map(String));
  const slots = (await masters[0]?.(["CLUSTER", "SLOTS"])) ?? [];
  let reached = 0;
  for (const [first, last, [, , id]] of slots as [first: unknown, last: unknown, master: unknown[]][]) {
    if (ids.has(String(id))) reached += Number(last) - Number(first) + 1;
  }
  if (reached < allSlots) {
    throw new SessionError("store-unavailable", "A master of the Redis Cluster, and its sessions, cannot be reached.");
  }
}

/** How many there are in a cluster. */
const allSlots = 16_384;

function clientOf(client: unknown): Commands {
  const given = (client ?? {}) as Partial<Record<string, unknown>>;
  const has = (method: string): boolean => typeof given[method] === "function";
  if (has("callBuffer")) return ofIoRedis(client as IoRedisClient);
  if (has("nodeClient")) return ofNodeRedisCluster(client as NodeRedisCluster);
  if (has("getSentinelNode")) return onOneServer(ofNodeRedisSentinel(client as NodeRedisSentinel));
  if (has("withTypeMapping")) return onOneServer(ofNodeRedis(client as NodeRedisClient));
  if (has("sendCommand"))
    return onOneServer((command, options) => (client as RedisClient).sendCommand(command, options));
  const accepted = "a client, pool, Sentinel or Cluster of redis (node-redis), ioredis, iovalkey";
  const own = "{ sendCommand(command, { signal }) } that answers bytes";
  throw new SessionError("invalid-option", `RedisStore takes ${accepted}, or an object ${own}.`);
}

function onOneServer(send: Send): Commands {
  return { isCluster: false, send: (_key, command, options) => send(command, options), masters: async () => [send] };
}

/** `$`, a bulk string, is to come as a Buffer. */
const typeMapping = { 36: Buffer };

/**
 * A command that nobody waits for any more leaves the queue, if it is still there. The limit of a manager takes the place of
 * the client's.
 */
function nodeRedisOptions(options: Partial<CallOptions> = {}): never {
  if (options.onAbort !== undefined) {
    return { typeMapping, abortSignal: new QueueSignal(options as CallOptions), timeout: undefined } as never;
  }
  return { typeMapping, ...(options.signal && { abortSignal: options.signal }) } as never;
}

/** What node-redis uses of an AbortSignal. A real one costs more than all the rest of a command. */
class QueueSignal {
  readonly #options: CallOptions;
  #listener: (() => void) | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
    options.onAbort?.(() => this.#listener?.());
  }

  /** Asked when the command is queued: pools, Sentinels and Clusters may do so long after they were given it. */
  get aborted(): boolean {
    return this.#options.aborted ?? this.#options.signal.aborted;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = undefined;
  }
}

/**
 * Commands with a limit go through a client that has all their options already: before Node 24, V8 takes a microsecond to add
 * them to those of another. But it knows nothing of what an application has wrapped around the client that it gave us.
 */
function ofNodeRedis(client: NodeRedisClient): Send {
  let limited: NodeRedisClient | undefined;
  const clientFor = (options: Partial<CallOptions> | undefined): NodeRedisClient => {
    if (options?.onAbort === undefined) return client;
    limited ??= (client.withCommandOptions?.(limitedOptions as never) as NodeRedisClient | undefined) ?? client;
    return isUnwrapped(client, limited) ? limited : client;
  };
  return (command, options) => clientFor(options).sendCommand(command as never, nodeRedisOptions(options));
}

/** The options of commands with a limit, as `nodeRedisOptions` names them. */
const limitedOptions = { typeMapping, abortSignal: undefined, timeout: undefined };

/** Whether commands of both go the same way: not so for a Proxy, an object of one's own, or a method that was replaced. */
function isUnwrapped(client: NodeRedisClient, derived: NodeRedisClient): boolean {
  const own: unknown = Object.getPrototypeOf(client);
  return own === Object.getPrototypeOf(derived) && client.sendCommand === derived.sendCommand;
}

function ofNodeRedisSentinel(client: NodeRedisSentinel): Send {
  return (command, options) => client.sendCommand(undefined, command as never, nodeRedisOptions(options));
}

function ofNodeRedisCluster(client: NodeRedisCluster): Commands {
  return {
    isCluster: true,
    send: (key, command, options) =>
      client.sendCommand(key as never, false as never, command as never, nodeRedisOptions(options)),
    masters: () => Promise.all(client.masters.map(async (node) => ofNodeRedis(await client.nodeClient(node as never)))),
  };
}

function ofIoRedis(client: IoRedisClient): Commands {
  const { keyPrefix, scaleReads } = client.options as { readonly keyPrefix?: string; readonly scaleReads?: unknown };
  if (keyPrefix !== undefined && keyPrefix !== "") {
    throw new SessionError(
      "invalid-option",
      "The client has a keyPrefix; use the option prefix of RedisStore instead.",
    );
  }
  if (scaleReads !== undefined && scaleReads !== "master") {
    const reason = "a session that was just written may be missing on a replica";
    throw new SessionError("invalid-option", `The client has scaleReads; sessions are read from masters: ${reason}.`);
  }
  // Each command by its own method: callBuffer loses the name of the command where enableAutoPipelining is set.
  const sender =
    (each: IoRedisClient): Send =>
    ([name, ...parameters]) =>
      (each as unknown as BufferMethods)[`${String(name).toLowerCase()}Buffer`]?.(...parameters) ??
      Promise.reject(new Error("The client of Redis does not know a command that RedisStore needs."));
  const send = sender(client);
  if (client.nodes === undefined) return onOneServer(send);
  return {
    isCluster: true,
    send: (_key, command, options) => send(command, options),
    masters: async () => (client.nodes?.("master") ?? []).map((node) => sender(node as IoRedisClient)),
  };
}
