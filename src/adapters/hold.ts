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
  readonly statusMessage: string | undefined;
  readonly sendDate: boolean;
  readonly headers: OutgoingHttpHeaders;
}

/** Where a framework's errors go. */
export type Fail = (error: unknown) => void;

/** The methods that send something, and start with the head if it is not sent. */
const senders = ["writeHead", "write", "end", "flushHeaders"] as const;
type Sender = (typeof senders)[number];
type Method = (...args: unknown[]) => unknown;
type Methods = Record<Sender, Method>;

/** Under which a response carries its hold; one for all managers. */
const slot: unique symbol = Symbol("scs-session hold");
type HeldResponse = ServerResponse & { [slot]?: Hold | undefined };

/** Has a response wait for the session of an exchange. `entry` is its head as it was before the handler ran. */
export function hold(response: HeldResponse, entry: Head, exchange: Exchange, fail: Fail): void {
  const held = (response[slot] ??= new Hold(response, entry));
  held.add(exchange, fail);
}

/** Set while the error path runs: what it sends is the error response; what the handler goes on to send is swallowed. */
const answering = new AsyncLocalStorage<Hold>();

class Hold {
  readonly #response: ServerResponse;
  readonly #entry: Head;
  readonly #sessions: { readonly exchange: Exchange; readonly fail: Fail }[] = [];
  readonly #originals = {} as Methods;
  readonly #wrappers = {} as Methods;
  #state: "waiting" | "held" | "open" | "failed";
  #queue: { readonly name: Sender; readonly args: unknown[] }[] = [];
  /** How far the middleware that came later has been asked about an implicit head. */
  #asked: "no" | "asking" | "yes" = "no";
  /** What the response is to look like as long as it is held. */
  #veil: Partial<Record<Veiled, boolean>> = {};
  #handlerEnded = false;
  #answered = false;

  constructor(response: ServerResponse, entry: Head) {
    this.#response = response;
    this.#entry = entry;
    this.#state = response.headersSent ? "open" : "waiting";
    const methods = response as unknown as Methods;
    for (const name of senders) {
      const original = methods[name];
      this.#originals[name] = original;
      this.#wrappers[name] = methods[name] = (...args) =>
        this.#state === "open" ? original.apply(response, args) : this.#call(name, args);
    }
  }

  add(exchange: Exchange, fail: Fail): void {
    if (this.#state === "waiting") this.#sessions.push({ exchange, fail });
    else exchange.seal();
  }

  /** A sender was called before the response was open. */
  #call(name: Sender, given: unknown[]): unknown {
    if (this.#state === "failed") return this.#callAfterFailure(name, given);
    if (name === "writeHead" && this.#state === "held") throw headersSent("write");
    if (name === "write" || name === "end") checkChunk(name, given[0]);
    const args = name === "writeHead" ? foldHead(this.#response, given) : given;
    if (this.#state === "waiting") {
      if (this.#asked === "asking") return this.#response;
      if (name !== "writeHead") this.#askAboutHead();
      if (this.#start()) return this.#send(name, args);
    }

    this.#queue.push({ name, args });
    if (name === "end") {
      Object.assign(this.#veil, { writableEnded: true, finished: true, writableFinished: false });
      setFinished(this.#response, true);
    }
    if (name !== "write") return this.#response;
    this.#veil.writableNeedDrain = true;
    return false;
  }

  /**
   * Middleware that was mounted later may have wrapped writeHead, which Node calls for an implicit head: to compress, to add
   * a header. It has its say now, since what it decides applies to the writes that are queued next.
   */
  #askAboutHead(): void {
    const response = this.#response as unknown as Methods;
    if (response.writeHead === this.#wrappers.writeHead) return;
    this.#asked = "asking";
    try {
      response.writeHead(this.#response.statusCode);
    } finally {
      this.#asked = "yes";
    }
  }

  #send(name: Sender, args: unknown[]): unknown {
    if (this.#asked !== "yes") return this.#originals[name].apply(this.#response, args);
    this.#asked = "no";
    const response = this.#response as unknown as Methods;
    const { writeHead } = response;
    response.writeHead = this.#originals.writeHead;
    try {
      return this.#originals[name].apply(response, args);
    } finally {
      response.writeHead = writeHead;
    }
  }

  /** Starts the commits; true when there is nothing to wait for. */
  #start(): boolean {
    checkStatus(this.#response);
    for (const { exchange } of this.#sessions) exchange.seal();
    const unsettled = this.#sessions.filter(({ exchange }) => exchange.needsCommit);
    if (unsettled.length === 0) {
      this.#open();
      return true;
    }
    this.#state = "held";
    const status = statusOf(this.#response);
    this.#guard();
    this.#veil.headersSent = true;
    Object.defineProperties(this.#response, "stream" in this.#response ? veilsOfHttp2 : veilsOfHttp1);
    void Promise.allSettled(unsettled.map(({ exchange }) => exchange.commit())).then((results) => {
      if (this.#veil.finished === true) setFinished(this.#response, false);
      this.#veil = {};
      const failed = results.findIndex(({ status }) => status === "rejected");
      const result = results[failed];
      if (result?.status === "rejected") {
        this.#fail(result.reason, unsettled[failed]?.fail);
      } else {
        Object.assign(this.#response, status);
        this.#release();
      }
    });
    return false;
  }

  #open(): void {
    this.#state = "open";
    this.#writeSessionHeaders();
  }

  #writeSessionHeaders(): void {
    const headers = headersOf(this.#response);
    for (const { exchange } of this.#sessions) exchange.writeHeaders(headers);
  }

  #release(): void {
    let refused = false;
    try {
      this.#open();
      for (const { name, args } of this.#queue) {
        const answer = this.#send(name, args);
        if (name === "write") refused = answer === false;
      }
    } catch (error) {
      // Node found fault with what was queued; its caller is gone.
      this.#response.destroy(error instanceof Error ? error : undefined);
    }
    if (!refused) this.#drain();
    this.#queue = [];
  }

  #fail(error: unknown, fail: Fail | undefined): void {
    this.#state = "failed";
    this.#handlerEnded = this.#queue.some(({ name }) => name === "end");
    // What was mounted later is busy with the response that is not sent: compression would take no other.
    Object.assign(this.#response, this.#wrappers);
    answering.run(this, () => {
      restoreHead(this.#response, this.#entry);
      fail?.(error);
    });
    for (const { args } of this.#queue) callBack(args, error);
    this.#drain();
    this.#queue = [];
  }

  /** Whoever was refused a write need not wait any longer. */
  #drain(): void {
    if (this.#queue.every(({ name }) => name !== "write") || this.#queue.at(-1)?.name === "end") return;
    // compression keeps those who wait for this event with a stream of its own, which `on` then returns.
    const ignore = (): void => undefined;
    const emitter = this.#response.on("drain", ignore);
    emitter.off("drain", ignore);
    if (emitter !== this.#response) emitter.emit("drain");
    this.#response.emit("drain");
  }

  #callAfterFailure(name: Sender, given: unknown[]): unknown {
    if (!this.#isErrorPath()) {
      callBack(given, new Error("The session was not stored, so another response was sent."));
      return name === "write" ? true : this.#response;
    }
    if (this.#answered) return this.#send(name, given);
    const args = name === "writeHead" ? foldHead(this.#response, given) : given;
    this.#answered = true;
    this.#writeSessionHeaders();
    return this.#send(name, args);
  }

  /**
   * Whether the calling code belongs to the error path, not to the handler. Code of neither, such as a callback of a shared
   * connection, is the handler's as long as that may have more to send.
   */
  #isErrorPath(): boolean {
    if (this.#state !== "failed") return false;
    return answering.getStore() === this || (this.#handlerEnded && storage.getStore() === undefined);
  }

  /** What a property of the response is: as it is to look, or as it really is. */
  look(name: Veiled): unknown {
    return this.#veil[name] ?? Reflect.get(Object.getPrototypeOf(this.#response) as object, name, this.#response);
  }

  /**
   * Changes of the head throw while it is held. After a failure those of the handler are ignored, whose head is not the one
   * that is sent.
   */
  #guard(): void {
    const response = this.#response as unknown as Record<string, Method | undefined>;
    for (const name of headMethods) {
      const original = response[name];
      if (original === undefined) continue; // HTTP/2 has no setHeaders
      response[name] = (...args) => {
        // Some middleware calls _implicitHeader where it finds no head; here there is one.
        if (this.#state === "held" && name === "_implicitHeader") return undefined;
        if (this.#state === "held") throw headersSent(name === "removeHeader" ? "remove" : "set");
        // An error of the handler may lead to a second error response, of code that does not expect to fail.
        if (this.#state === "failed" && name !== "_implicitHeader" && !this.#isErrorPath()) return response;
        return original.apply(response, args);
      };
    }
  }
}

/** The methods that change the head. */
const headMethods = ["setHeader", "setHeaders", "appendHeader", "removeHeader", "_implicitHeader"];

/** The properties that tell how far a response is. */
const progress = ["headersSent", "writableEnded", "finished", "writableFinished", "writableNeedDrain"] as const;
type Veiled = (typeof progress)[number];

/** Getters for them. They are the same for every response, and never taken away: so responses keep one shape, and fast. */
const veilsOfHttp2: PropertyDescriptorMap = Object.fromEntries(
  progress.map((name) => [
    name,
    {
      configurable: true,
      get(this: HeldResponse): unknown {
        return this[slot]?.look(name);
      },
    },
  ]),
);
/** HTTP/1 has `finished` as a plain property, which `setFinished` sets. */
const { finished: _, ...veilsOfHttp1 } = veilsOfHttp2;

/** Of HTTP/1: `writableEnded` depends on it too. */
function setFinished(response: ServerResponse, finished: boolean): void {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- much middleware reads it
  if (!("stream" in response)) response.finished = finished;
}

/** The head of a response as it is now. */
export function headOf(response: ServerResponse): Head {
  // Most have none yet, and copying what is not there takes as long as all the rest.
  const headers = response.getHeaderNames().length === 0 ? {} : response.getHeaders();
  return { ...statusOf(response), sendDate: response.sendDate, headers };
}

/** HTTP/2 has no status message, and warns where one is read. */
function statusOf(response: ServerResponse): Pick<Head, "statusCode" | "statusMessage"> {
  const { statusCode } = response;
  return "stream" in response ? ({ statusCode } as Head) : { statusCode, statusMessage: response.statusMessage };
}

function restoreHead(response: ServerResponse, { headers, ...head }: Head): void {
  for (const name of response.getHeaderNames()) if (!(name in headers)) response.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && response.getHeader(name) !== value) response.setHeader(name, value);
  }
  response.addTrailers({});
  Object.assign(response, head);
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
  const statusCode = Number(status) | 0;
  checkStatusCode(statusCode, status);
  const reason = typeof second === "string" ? second : undefined;
  const headers = (reason === undefined ? (second ?? third) : third) as
    Record<string, OutgoingHttpHeader> | unknown[] | null | undefined;
  response.statusCode = statusCode;
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers.flat() : headers;
    if (pairs.length % 2 !== 0) {
      throw coded(new TypeError("The headers have a name without a value."), "ERR_INVALID_ARG_VALUE");
    }
    const seen = new Set<string>();
    for (let i = 0; i < pairs.length; i += 2) {
      const name = String(pairs[i]);
      const value = pairs[i + 1] as string | string[];
      // The first replaces what was set before; a repeated name is a second line.
      if (seen.has(name.toLowerCase())) response.appendHeader(name, value);
      else response.setHeader(name, value);
      seen.add(name.toLowerCase());
    }
  } else if (headers !== undefined && headers !== null) {
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "") response.setHeader(name, value);
    }
  }
  if (reason === undefined || "stream" in response) return [statusCode];
  response.statusMessage = reason;
  return [statusCode, reason];
}

/** Node refuses these at once, and so do we; a queue would find out when the caller is gone. */
function checkStatus(response: ServerResponse): void {
  const { statusCode, statusMessage } = statusOf(response);
  checkStatusCode(statusCode | 0, statusCode);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(statusMessage ?? "")) {
    throw coded(new TypeError('Invalid character in header content ["statusMessage"]'), "ERR_INVALID_CHAR");
  }
}

function checkStatusCode(statusCode: number, given: unknown): void {
  if (statusCode >= 100 && statusCode <= 999) return;
  throw coded(new RangeError(`Invalid status code: ${String(given)}`), "ERR_HTTP_INVALID_STATUS_CODE");
}

function checkChunk(name: "write" | "end", chunk: unknown): void {
  if (typeof chunk === "string" || chunk instanceof Uint8Array) return;
  if (name === "end" && (!chunk || typeof chunk === "function")) return;
  if (chunk === null) throw coded(new TypeError("May not write null values to stream"), "ERR_STREAM_NULL_VALUES");
  const message = 'The "chunk" argument must be of type string or an instance of Buffer or Uint8Array.';
  throw coded(new TypeError(message), "ERR_INVALID_ARG_TYPE");
}

/** Calls the callback that ends the arguments of a sender, if there is one. */
function callBack(args: readonly unknown[], error: unknown): void {
  const callback = args.at(-1);
  if (typeof callback === "function") process.nextTick(callback, error);
}

function headersSent(verb: string): Error {
  return coded(new Error(`Cannot ${verb} headers after they are sent to the client`), "ERR_HTTP_HEADERS_SENT");
}

function coded(error: Error, code: string): Error {
  return Object.assign(error, { code });
}
