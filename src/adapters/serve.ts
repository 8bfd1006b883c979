/** What the adapters of Node's request and response share. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { storage } from "../context.ts";
import { SessionError } from "../errors.ts";
import type { Driver, Exchange } from "../exchange.ts";
import type { SessionManager } from "../manager.ts";
import type { IncomingRequest } from "../transport.ts";
import { headOf, type Head } from "./head.ts";
import { hold, type Fail } from "./hold.ts";

/** A manager of any data, as far as an adapter needs it. */
export type AnyManager = Pick<SessionManager, "open">;

/** The options of every adapter. */
export interface AdapterOptions<Request> {
  /** Requests that need no session: nothing is loaded for them, and `sessions.of` throws `no-session`. */
  readonly skip?: (request: Request) => boolean;
}

/** The options of the adapters that have a request to put a session on. */
export interface PropertyOptions<Request> extends AdapterOptions<Request> {
  /** Puts the session on the request under this name as well, for templates and old code. Undefined: nowhere. */
  readonly property?: string | undefined;
}

/** How a framework sees a request. */
export interface View {
  /** Its own context, under which `sessions.of` finds the session as well. Undefined: it has none but Node's request. */
  readonly context?: object;
  readonly property?: string | undefined;
  /** What the contexts of one application inherit from. */
  readonly prototype?: object | undefined;
  readonly isSecure: () => boolean;
  /** The head of the response before the handler runs. Undefined: as it is when the session is loaded. */
  readonly entry?: Head;
  /** Called before the handler with the exchange that this adapter is to drive; not when it is mounted twice. */
  readonly opened?: (exchange: Exchange) => void;
}

/** Serves one request: loads its session, runs the handler, holds the response. */
export function serve<T>(
  manager: AnyManager,
  request: IncomingMessage,
  response: ServerResponse,
  { context, property, prototype, isSecure, entry, opened: onOpened }: View,
  handle: () => T,
  fail: Fail,
): T | Promise<T | undefined> {
  const incoming = new NodeRequest(request, context, isSecure);
  const start = (exchange: Exchange): T => {
    if (exchange.request !== incoming) return handle();
    const driver = new NodeDriver(exchange, response, entry ?? headOf(response), fail);
    exchange.driver = driver;
    onOpened?.(exchange);
    if (exchange.inUse) driver.onFirstUse();
    if (property !== undefined) {
      offerSession(context ?? request, property, () => exchange.session, prototype);
    }
    if (request.method !== "GET" && request.method !== "HEAD") bindEvents(request, exchange);
    return exchange.run(handle);
  };
  const opened = manager.open(incoming);
  if (!(opened instanceof Promise)) return start(opened);
  return opened.then(start, (error: unknown) => {
    fail(error);
    return undefined;
  });
}

/** Puts the session where templates and old code look for it. `prototype`: what the holders of one application inherit from. */
export function offerSession(holder: object, property: string, find: () => unknown, prototype?: object): void {
  let offer = offers.get(property);
  if (offer === undefined) offers.set(property, (offer = offerAs(property)));
  // Neither is copied with the holder: SvelteKit, for one, refuses data with symbols.
  Object.defineProperty(holder, offer.slot, { value: find, configurable: true, writable: true });
  if (prototype === undefined) Object.defineProperty(holder, property, offer.descriptor);
  else if (!offer.prototypes.has(prototype)) {
    const isFree = !(property in prototype);
    Object.defineProperty(isFree ? prototype : holder, property, offer.descriptor);
    if (isFree) offer.prototypes.add(prototype);
  }
}

/**
 * By name. The getter of a name is one for all holders, which find their session in a slot: with a getter of its own each
 * would have another shape, and all code that touches it would be slow.
 */
const offers = new Map<string, Offer>();

interface Offer {
  readonly slot: symbol;
  readonly descriptor: PropertyDescriptor;
  /** Those that have the getter. */
  readonly prototypes: WeakSet<object>;
}

type Offering = Record<symbol, (() => unknown) | undefined>;

function offerAs(property: string): Offer {
  const slot = Symbol(`scs-session ${property}`);
  const get = function (this: Offering): unknown {
    return this[slot]?.();
  };
  const set = function (this: Offering, value: unknown): void {
    if (this[slot] !== undefined) refuseSession();
    // Without a session, as on a request that is skipped, the name is free.
    Object.defineProperty(this, property, { value, writable: true, enumerable: true, configurable: true });
  };
  return { slot, descriptor: { get, set, configurable: true }, prototypes: new WeakSet() };
}

/** What old code does to end a session: `req.session = null`. */
function refuseSession(): never {
  throw new SessionError("invalid-value", "The session cannot be replaced; to end it, call its method destroy().");
}

class NodeRequest implements IncomingRequest {
  readonly #request: IncomingMessage;
  readonly isSecure: () => boolean;
  readonly keys: readonly object[];

  constructor(request: IncomingMessage, context: object | undefined, isSecure: () => boolean) {
    this.#request = request;
    this.isSecure = isSecure;
    this.keys = context === undefined ? [request] : [context, request];
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }
}

class NodeDriver implements Driver {
  readonly #exchange: Exchange;
  readonly #response: ServerResponse;
  readonly #entry: Head;
  readonly #fail: Fail;

  constructor(exchange: Exchange, response: ServerResponse, entry: Head, fail: Fail) {
    this.#exchange = exchange;
    this.#response = response;
    this.#entry = entry;
    this.#fail = fail;
  }

  onFirstUse(): void {
    hold(this.#response, this.#entry, this.#exchange, this.#fail);
  }

  onDestroy(): void {
    // Usually the response carries it out before it closes, and this finds nothing left to do.
    const close = (): void => void this.#exchange.close().catch(() => undefined);
    if (isGone(this.#response)) queueMicrotask(close);
    else this.#response.once("close", close);
  }

  isOver(): boolean {
    return this.#response.writableFinished || isGone(this.#response);
  }
}

/** Whether the connection is encrypted, as Node itself sees it. */
export function isEncrypted(request: IncomingMessage): boolean {
  return (request.socket as Partial<TLSSocket>).encrypted === true;
}

/** HTTP/2 tells only by its stream. */
function isGone(response: ServerResponse & { readonly stream?: { readonly destroyed: boolean } }): boolean {
  return response.destroyed || (response.closed as boolean | undefined) === true || response.stream?.destroyed === true;
}

/** Events of a body come from the socket, outside of the handler's context: parsers would lose `sessions.current()`. */
function bindEvents(request: IncomingMessage, exchange: Exchange): void {
  const emit = request.emit.bind(request) as (...args: unknown[]) => boolean;
  request.emit = (...args: unknown[]): boolean => {
    for (let around = storage.getStore(); around !== undefined; around = around.outer) {
      if (around === exchange) return emit(...args);
    }
    return exchange.run(() => emit(...args));
  };
}

/** Throws `wrong-adapter` when `loadAndSave` is called with another framework's arguments. */
export function expectNode(name: string, request: unknown, response: unknown): void {
  if (typeof (response as Partial<ServerResponse> | undefined)?.writeHead === "function") return;
  throw wrongAdapter(name, request);
}

/** Throws `wrong-adapter` when `loadAndSave` is not given a manager. */
export function expectManager(name: string, manager: Partial<AnyManager> | undefined): void {
  if (typeof manager?.open !== "function") throw wrongAdapter(name, manager);
}

/** Throws `invalid-option` for an option that an adapter does not have. */
export function expectOptions(name: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((option) => !known.includes(option));
  if (unknown === undefined) return;
  const message = `${unknown} is no option of loadAndSave of scs-session/${name}, which has ${known.join(", ")}. Is it misspelt?`;
  throw new SessionError("invalid-option", message);
}

/** The error of a call with another framework's arguments; `first` is the first of them. */
export function wrongAdapter(name: string, first: unknown): SessionError {
  const { socket, onerror, ctx, req, context, headers, addHook, resolve } = (first ?? {}) as Record<string, unknown>;
  const isHono = typeof req === "object" && req !== null && "raw" in req;
  const hints: readonly (readonly [is: boolean, what: string])[] = [
    [onerror !== undefined && req !== undefined, 'the context of Koa: import loadAndSave from "scs-session/koa"'],
    [
      socket !== undefined,
      'a request of Node or Express: import loadAndSave from "scs-session/node" or "scs-session/express"',
    ],
    [isHono, 'the context of Hono: import loadAndSave from "scs-session/hono"'],
    [req !== undefined && context !== undefined, 'an event of h3: import loadAndSave from "scs-session/h3"'],
    [
      ctx !== undefined || req !== undefined,
      "the context of a framework such as Koa or Hono: this adapter does not serve it",
    ],
    [headers instanceof Headers, 'a Request of fetch: import loadAndSave from "scs-session/fetch"'],
    [
      addHook !== undefined,
      'a Fastify instance: app.register(loadAndSave(sessions)), imported from "scs-session/fastify"',
    ],
    [resolve !== undefined, 'the input of a hook of SvelteKit: import loadAndSave from "scs-session/sveltekit"'],
  ];
  const [, right] = hints.find(([is]) => is) ?? [true, "none of the arguments it takes"];
  return new SessionError("wrong-adapter", `loadAndSave of scs-session/${name} was called with ${right}.`);
}
