/**
 * Holds a Node response back until its sessions are stored, so that nothing of it leaves too early. The first of writeHead,
 * write, end and flushHeaders starts the commits; calls made meanwhile are queued and replayed. Afterwards everything passes
 * straight through: the methods are never restored, since another middleware may have wrapped them.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { ServerResponse } from "node:http";
import { storage } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import {
  checkStatus,
  coded,
  foldHead,
  headersSent,
  NodeHeaders,
  restoreHead,
  restoreStatus,
  statusOf,
  type Head,
} from "./head.ts";
import { guardHead, slot, unveil, veil, veilEnd, veilHead } from "./veil.ts";
import type { HeadMethod, HeadMethods, Progress, Veiling } from "./veil.ts";

/** Where a framework's errors go. */
export type Fail = (error: unknown) => void;

type Method = (...args: unknown[]) => unknown;
/** The methods that send something, and start with the head if it is not sent. */
type Senders = Record<"writeHead" | "write" | "end" | "flushHeaders", Method>;
type Sender = keyof Senders;

type HeldResponse = ServerResponse & { [slot]?: Hold | undefined };

/** Has a response wait for the session of an exchange. `entry` is its head as it was before the handler ran. */
export function hold(response: HeldResponse, entry: Head, exchange: Exchange, fail: Fail): void {
  const held = (response[slot] ??= new Hold(response, entry));
  held.add(exchange, fail);
}

/** Set while the error path runs: what it sends is the error response; what the handler goes on to send is swallowed. */
const answering = new AsyncLocalStorage<Hold>();

class Hold implements Veiling {
  readonly #response: ServerResponse;
  readonly #entry: Head;
  readonly #sessions: { readonly exchange: Exchange; readonly fail: Fail }[] = [];
  /** The senders as they were. */
  readonly #originals: Senders;
  /** The other methods that were replaced, as they were. */
  #headMethods: HeadMethods | undefined;
  #state: "waiting" | "held" | "open" | "failed";
  #queue: { readonly name: Sender; readonly args: unknown[] }[] = [];
  /** How far the middleware that came later has been asked about an implicit head. */
  #asked: "no" | "asking" | "yes" = "no";
  /** What the response is to look like as long as it is held. */
  #look: Partial<Record<Progress, boolean>> = {};
  #handlerEnded = false;
  #answered = false;

  constructor(response: ServerResponse, entry: Head) {
    this.#response = response;
    this.#entry = entry;
    this.#state = response.headersSent ? "open" : "waiting";
    const methods = response as unknown as Senders;
    const { writeHead, write, end, flushHeaders } = methods;
    this.#originals = { writeHead, write, end, flushHeaders };
    putSenders(methods);
  }

  add(exchange: Exchange, fail: Fail): void {
    if (this.#state === "waiting") this.#sessions.push({ exchange, fail });
    else exchange.seal();
  }

  /** A sender was called. */
  send(name: Sender, given: unknown[]): unknown {
    if (this.#state === "open") return this.#originals[name].apply(this.#response, given);
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
      Object.assign(this.#look, { writableEnded: true, finished: true, writableFinished: false });
      veilEnd(this.#response);
    }
    if (name !== "write") return this.#response;
    this.#look.writableNeedDrain = true;
    veil(this.#response, "writableNeedDrain");
    return false;
  }

  /**
   * Middleware that was mounted later may have wrapped writeHead, which Node calls for an implicit head: to compress, to add
   * a header. It has its say now, since what it decides applies to the writes that are queued next.
   */
  #askAboutHead(): void {
    const response = this.#response as unknown as Senders;
    if (response.writeHead === senders.writeHead) return;
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
    const response = this.#response as unknown as Senders;
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
    this.#look.headersSent = true;
    if (!veilHead(this.#response)) this.#guardHead();
    const status = statusOf(this.#response);
    let waiting = unsettled.length;
    let failure: { readonly error: unknown; readonly fail: Fail } | undefined;
    const settled = (): void => {
      if (--waiting > 0) return;
      unveil(this.#response);
      this.#look = {};
      if (failure !== undefined) {
        this.#fail(failure.error, failure.fail);
      } else {
        restoreStatus(this.#response, status);
        this.#release();
      }
    };
    for (const { exchange, fail } of unsettled) {
      exchange.commit().then(settled, (error: unknown) => {
        failure ??= { error, fail };
        settled();
      });
    }
    return false;
  }

  #open(): void {
    this.#state = "open";
    this.#writeSessionHeaders();
  }

  #writeSessionHeaders(): void {
    const headers = new NodeHeaders(this.#response);
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
      // Node found fault with what was queued, or a transport with the headers; the caller is gone.
      const [first] = this.#sessions;
      if (this.#response.headersSent || first === undefined) {
        this.#response.destroy(error instanceof Error ? error : undefined);
      } else {
        this.#fail(error, first.fail);
        return;
      }
    }
    if (!refused) this.#drain();
    this.#queue = [];
  }

  #fail(error: unknown, fail: Fail): void {
    this.#state = "failed";
    this.#handlerEnded = this.#queue.some(({ name }) => name === "end");
    this.#guardHead();
    // What was mounted later is busy with the response that is not sent: compression would take no other.
    putSenders(this.#response as unknown as Senders);
    answering.run(this, () => {
      restoreHead(this.#response, this.#entry);
      try {
        fail(error);
      } catch (unexpected) {
        this.#response.destroy(); // or the client would wait for ever
        throw unexpected;
      }
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
      this.#handlerEnded ||= name === "end";
      callBack(given, new Error("The session was not stored, so another response was sent."));
      return name === "write" ? true : this.#response;
    }
    if (this.#answered) return this.#send(name, given);
    const args = name === "writeHead" ? foldHead(this.#response, given) : given;
    this.#answered = true;
    try {
      this.#writeSessionHeaders();
    } catch {
      // A transport that throws: this response may be the one that says so.
    }
    return this.#send(name, args);
  }

  /**
   * Whether the calling code belongs to the error path, not to the handler. Code of neither, such as a callback of a shared
   * connection that runs in the context of whoever opened it, is the handler's as long as that may have more to send.
   */
  #isErrorPath(): boolean {
    if (this.#state !== "failed") return false;
    if (answering.getStore() === this) return true;
    if (!this.#handlerEnded) return false;
    for (let around = storage.getStore(); around !== undefined; around = around.outer) {
      if (this.#sessions.some(({ exchange }) => exchange === around)) return false;
    }
    return true;
  }

  /** What a property of the response is: as it is to look, or as it really is. */
  look(name: Progress): unknown {
    return this.#look[name] ?? Reflect.get(Object.getPrototypeOf(this.#response) as object, name, this.#response);
  }

  /** A method that changes the head was called. */
  changeHead(name: HeadMethod, args: unknown[]): unknown {
    // Some middleware calls _implicitHeader where it finds no head; here there is one.
    if (this.#state === "held" && name === "_implicitHeader") return undefined;
    if (this.#state === "held") throw headersSent(name === "removeHeader" ? "remove" : "set");
    // An error of the handler may lead to a second error response, of code that does not expect to fail. After a failure
    // its head is not the one that is sent.
    if (this.#state === "failed" && name !== "_implicitHeader" && !this.#isErrorPath()) return this.#response;
    return this.#headMethods?.[name]?.apply(this.#response, args);
  }

  /** From now on changes of the head come here. */
  #guardHead(): void {
    this.#headMethods ??= guardHead(this.#response);
  }
}

// One for all responses, as in veil.ts.

const sender = (name: Sender): Method =>
  function (this: HeldResponse, ...args) {
    return this[slot]?.send(name, args);
  };
const senders: Senders = {
  writeHead: sender("writeHead"),
  write: sender("write"),
  end: sender("end"),
  flushHeaders: sender("flushHeaders"),
};

function putSenders(methods: Senders): void {
  methods.writeHead = senders.writeHead;
  methods.write = senders.write;
  methods.end = senders.end;
  methods.flushHeaders = senders.flushHeaders;
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
