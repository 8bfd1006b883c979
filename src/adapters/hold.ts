/**
 * Holds a Node response back until its sessions are stored, so that nothing of it leaves too early. The first of writeHead,
 * write, end and flushHeaders starts the commits; calls made meanwhile are queued and replayed. Afterwards everything passes
 * straight through: the methods are never restored, since another middleware may have wrapped them.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { storage } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { ResponseHeaders } from "../transport.ts";

/** What a response looked like when the request came in; it looks so again when a commit fails. */
export interface Head {
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly headers: OutgoingHttpHeaders;
}

/** Where a framework's errors go. */
export type Fail = (error: unknown) => void;

/** The methods that send something, and start with the head if it is not sent. */
const senders = ["writeHead", "write", "end", "flushHeaders"] as const;
type Sender = (typeof senders)[number];
type Method = (...args: unknown[]) => unknown;
type Callback = (error?: unknown) => void;

const holds = new WeakMap<ServerResponse, Hold>();

/** Has a response wait for the session of an exchange. `entry` is its head as it was before the handler ran. */
export function hold(response: ServerResponse, entry: Head, exchange: Exchange, fail: Fail): void {
  let held = holds.get(response);
  if (held === undefined) holds.set(response, (held = new Hold(response, entry)));
  held.add(exchange, fail);
}

/** Set while the error path runs: what it sends is the error response; what the handler goes on to send is swallowed. */
const answering = new AsyncLocalStorage<Hold>();

class Hold {
  readonly #response: ServerResponse;
  readonly #entry: Head;
  readonly #sessions: { readonly exchange: Exchange; readonly fail: Fail }[] = [];
  readonly #originals = {} as Record<Sender, Method>;
  #state: "waiting" | "held" | "open" | "failed" = "waiting";
  #queue: (() => void)[] = [];
  #callbacks: Callback[] = [];
  #refusedWrite = false;
  #answered = false;

  constructor(response: ServerResponse, entry: Head) {
    this.#response = response;
    this.#entry = entry;
    const methods = response as unknown as Record<Sender, Method>;
    for (const name of senders) {
      const original = methods[name];
      this.#originals[name] = original;
      methods[name] = (...args) => (this.#state === "open" ? original.apply(response, args) : this.#call(name, args));
    }
  }

  add(exchange: Exchange, fail: Fail): void {
    if (this.#state === "waiting" && !this.#response.headersSent) this.#sessions.push({ exchange, fail });
    else exchange.seal();
  }

  /** A sender was called before the response was open. */
  #call(name: Sender, given: unknown[]): unknown {
    if (this.#state === "failed") return this.#callAfterFailure(name, given);
    if (name === "writeHead" && this.#state === "held") throw headersSent("write");
    const args = name === "writeHead" ? foldHead(this.#response, given) : given;
    if (name === "write" || name === "end") checkChunk(name, args[0]);
    if (this.#state === "waiting" && this.#start()) return this.#send(name, args);

    this.#queue.push(() => this.#send(name, args));
    const callback = args.at(-1);
    if (typeof callback === "function") this.#callbacks.push(callback as Callback);
    if (name === "end") shadow(this.#response, { writableEnded: true, finished: true });
    if (name !== "write") return this.#response;
    this.#refusedWrite = true;
    return false;
  }

  #send(name: Sender, args: unknown[]): unknown {
    return this.#originals[name].apply(this.#response, args);
  }

  /** Starts the commits; true when there is nothing to wait for. */
  #start(): boolean {
    for (const { exchange } of this.#sessions) exchange.seal();
    const unsettled = this.#sessions.filter(({ exchange }) => exchange.needsCommit);
    if (unsettled.length === 0) {
      this.#open();
      return true;
    }
    this.#state = "held";
    const { statusCode, statusMessage } = this.#response;
    const unguard = guard(this.#response);
    void Promise.allSettled(unsettled.map(({ exchange }) => exchange.commit())).then((results) => {
      unguard();
      const failed = results.findIndex(({ status }) => status === "rejected");
      const result = results[failed];
      if (result?.status === "rejected") {
        this.#fail(result.reason, unsettled[failed]?.fail);
      } else {
        Object.assign(this.#response, { statusCode, statusMessage });
        this.#release();
      }
    });
    return false;
  }

  #open(): void {
    const headers = headersOf(this.#response);
    for (const { exchange } of this.#sessions) exchange.writeHeaders(headers);
    this.#state = "open";
  }

  #release(): void {
    try {
      this.#open();
      for (const call of this.#queue) call();
    } catch (error) {
      // Node found fault with what was queued; its caller is gone.
      this.#response.destroy(error instanceof Error ? error : undefined);
    }
    this.#queue = this.#callbacks = [];
    const { writableNeedDrain, writableEnded } = this.#response;
    if (this.#refusedWrite && !writableNeedDrain && !writableEnded) this.#response.emit("drain");
  }

  #fail(error: unknown, fail: Fail | undefined): void {
    this.#state = "failed";
    restoreHead(this.#response, this.#entry);
    if (fail !== undefined) answering.run(this, fail, error);
    for (const callback of this.#callbacks) process.nextTick(callback, error);
    this.#queue = this.#callbacks = [];
    // Whoever waits to write on need not wait any longer.
    if (this.#refusedWrite) this.#response.emit("drain");
  }

  #callAfterFailure(name: Sender, given: unknown[]): unknown {
    const fromErrorPath = answering.getStore() === this || storage.getStore() === undefined;
    if (!fromErrorPath) {
      const callback = given.at(-1);
      if (typeof callback === "function") process.nextTick(callback, new Error("The session was not stored."));
      return name === "write" ? true : this.#response;
    }
    if (this.#answered) return this.#send(name, given);
    this.#answered = true;
    const args = name === "writeHead" ? foldHead(this.#response, given) : given;
    const headers = headersOf(this.#response);
    for (const { exchange } of this.#sessions) exchange.writeHeaders(headers);
    return this.#send(name, args);
  }
}

/** The head of a response as it is now. */
export function headOf(response: ServerResponse): Head {
  return { statusCode: response.statusCode, statusMessage: response.statusMessage, headers: response.getHeaders() };
}

function restoreHead(response: ServerResponse, { statusCode, statusMessage, headers }: Head): void {
  for (const name of response.getHeaderNames()) if (!(name in headers)) response.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && response.getHeader(name) !== value) response.setHeader(name, value);
  }
  Object.assign(response, { statusCode, statusMessage });
}

/** The headers of a Node response, as the core writes them. */
function headersOf(response: ServerResponse): ResponseHeaders {
  return {
    get(name) {
      const value = response.getHeader(name);
      return value === undefined ? null : Array.isArray(value) ? value.join(", ") : String(value);
    },
    set: (name, value) => void response.setHeader(name, value),
    append(name, value) {
      const present = response.getHeader(name);
      response.setHeader(name, present === undefined ? value : [present, value].flat().map(String));
    },
    delete: (name) => {
      response.removeHeader(name);
    },
  };
}

/**
 * Sets what writeHead was given on the response, where the core can see it and Node checks it at once. Returns what is left
 * of the arguments.
 */
function foldHead(response: ServerResponse, [status, second, third]: unknown[]): unknown[] {
  const statusCode = Math.trunc(Number(status)) || 0;
  if (statusCode < 100 || statusCode > 999) {
    throw coded(new RangeError(`Invalid status code: ${String(status)}`), "ERR_HTTP_INVALID_STATUS_CODE");
  }
  const reason = typeof second === "string" ? second : undefined;
  const headers = (reason === undefined ? (second ?? third) : third) as
    Record<string, OutgoingHttpHeader> | unknown[] | undefined;
  response.statusCode = statusCode;
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers.flat() : headers;
    if (pairs.length % 2 !== 0)
      throw coded(new TypeError("The headers have a name without a value."), "ERR_INVALID_ARG_VALUE");
    for (let i = 0; i < pairs.length; i += 2) response.removeHeader(String(pairs[i]));
    for (let i = 0; i < pairs.length; i += 2)
      response.appendHeader(String(pairs[i]), pairs[i + 1] as string | readonly string[]);
  } else if (headers !== undefined) {
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "") response.setHeader(name, value);
    }
  }
  if (reason === undefined) return [statusCode];
  response.statusMessage = reason;
  return [statusCode, reason];
}

/** Node refuses these at once; a queue would find out when the caller is gone. */
function checkChunk(name: "write" | "end", chunk: unknown): void {
  if (typeof chunk === "string" || chunk instanceof Uint8Array) return;
  if (name === "end" && (chunk === undefined || chunk === null || typeof chunk === "function")) return;
  if (chunk === null) throw coded(new TypeError("May not write null values to stream"), "ERR_STREAM_NULL_VALUES");
  const message = 'The "chunk" argument must be of type string or an instance of Buffer or Uint8Array.';
  throw coded(new TypeError(message), "ERR_INVALID_ARG_TYPE");
}

/** Makes a held response behave as if its head were sent, until the function returned is called. */
function guard(response: ServerResponse): () => void {
  const refuse = (verb: string) => () => {
    throw headersSent(verb);
  };
  const set = refuse("set");
  const unshadow = shadow(response, {
    headersSent: true,
    setHeader: set,
    setHeaders: set,
    appendHeader: set,
    removeHeader: refuse("remove"),
    // Some middleware calls it where it finds no head; here there is one.
    _implicitHeader: () => undefined,
  });
  return () => {
    unshadow();
    Reflect.deleteProperty(response, "writableEnded");
    Reflect.deleteProperty(response, "finished");
  };
}

/** Puts properties before those of an object; the function returned takes them away. */
function shadow(object: object, properties: Record<string, unknown>): () => void {
  const before = Object.keys(properties).map((name) => [name, Object.getOwnPropertyDescriptor(object, name)] as const);
  for (const [name, value] of Object.entries(properties)) {
    Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
  }
  return () => {
    for (const [name, descriptor] of before) {
      Reflect.deleteProperty(object, name);
      if (descriptor !== undefined) Object.defineProperty(object, name, descriptor);
    }
  };
}

function headersSent(verb: string): Error {
  return coded(new Error(`Cannot ${verb} headers after they are sent to the client`), "ERR_HTTP_HEADERS_SENT");
}

function coded(error: Error, code: string): Error {
  return Object.assign(error, { code });
}
