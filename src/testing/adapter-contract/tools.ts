/** What the cases of the adapter contract share: an application, its server, and a client with a cookie jar. */

import { SessionManager } from "../../manager.ts";
import type { SessionOptions } from "../../options.ts";
import type { Session } from "../../session.ts";
import { MemoryStore } from "../../stores/memory.ts";
import { TestClock } from "../clock.ts";
import { FaultyStore } from "../faulty-store.ts";

/** The session data of the contract's application. */
export interface ContractData {
  user: string;
  n: number;
  attempts: number;
}

/** A request, as the framework's side of the contract hands it to the application. */
export interface ContractRequest {
  /** What applications of this framework give to `sessions.of`: its context, or its request. */
  readonly context: object;
  /** The raw request: Node's, or that of fetch. */
  readonly raw: object;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** What stands under the name `property` where the framework's applications would look for it. */
  readonly property?: unknown;
  /** The body as text, read by the framework's own parser. */
  readonly body: () => Promise<string>;
}

/** What the application answers; to be sent by the framework's own means. */
export interface ContractReply {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Text; or pieces that are sent as they come. Undefined: none. */
  readonly body?: string | AsyncIterable<string>;
  /**
   * Sends the head at once, before the first piece of the body is made: by `flushHeaders`, or what the framework has for it.
   * Only with the ability `flush`.
   */
  readonly flush?: boolean;
  /** Where to redirect to, by the framework's own function. */
  readonly redirect?: string;
  /** A response of fetch, to be handed on as it is. Only with the ability `responses`. */
  readonly response?: Response;
}

/** An application that a framework is to serve. */
export interface ContractApp {
  /** `loadAndSave` of each is mounted, the first outermost. The same one may come twice. */
  readonly managers: readonly SessionManager<ContractData>[];
  /** To be asked with the path of a request by the adapter's option `skip`. */
  readonly skips: (path: string) => boolean;
  /** The adapter's option of this name. Undefined: not given. */
  readonly property: string | undefined;
  /** Whether the framework is to believe `X-Forwarded-Proto`. Only with the ability `proxy`. */
  readonly trustProxy: boolean;
  /**
   * Answers, throws, or rejects. Errors go to the framework's own error handler, which answers with the `status` of the error
   * (else 500), the header `x-error-handler: yes`, and the error's `code`, or else its message.
   */
  handle(request: ContractRequest): ContractReply | Promise<ContractReply>;
}

/** Starts a server with an application. */
export type Serve = (app: ContractApp) => Promise<ContractServer>;

/** A server that was started. */
export interface ContractServer {
  /** Its address, without a path. */
  readonly url: string;
  /** Ends it, open connections included. */
  close(): Promise<void>;
}

/**
 * What not every framework has:
 * - `errors`: errors of the handler become responses before the adapter's work is done;
 * - `property`: the adapter has this option;
 * - `proxy`: the framework can be told to trust a proxy;
 * - `responses`: handlers answer with responses of fetch;
 * - `flush`: the head of a response can leave before there is anything of its body;
 * - `aborts`: the server notices that a client has gone before the response began.
 */
export type AdapterAbility = "errors" | "property" | "proxy" | "responses" | "flush" | "aborts";

/** One statement of the contract. */
export interface Case {
  readonly name: string;
  readonly needs?: readonly AdapterAbility[];
  check(start: Start): Promise<void>;
}

/** How a case wants its application. */
export interface AppOptions {
  readonly sessions?: SessionOptions<ContractData>;
  /** The names of the cookies: a manager for each; the first is `sessions`. */
  readonly cookies?: readonly string[];
  /** Mounts the same manager twice. */
  readonly twice?: boolean;
  readonly skips?: (path: string) => boolean;
  readonly property?: string;
  readonly trustProxy?: boolean;
}

/** What the handler of a case is given. */
export interface Visit extends ContractRequest {
  readonly session: Session<ContractData>;
  readonly path: string;
}

type Manager = SessionManager<ContractData>;

/** A running application. */
export interface Site {
  readonly url: string;
  readonly sessions: SessionManager<ContractData>;
  readonly managers: readonly SessionManager<ContractData>[];
  /** The store of `sessions`, and those of the other managers. */
  readonly store: FaultyStore;
  readonly stores: readonly FaultyStore[];
  readonly clock: TestClock;
  /** A browser that has not been here yet. */
  client(): Client;
}

/** Serves a handler. */
export type Start = (
  handle: (visit: Visit, site: Site) => ContractReply | Promise<ContractReply>,
  options?: AppOptions,
) => Promise<Site>;

/** Makes the managers of an application, has it served, and ends it when `work` is done. */
export async function withServers(serve: Serve, work: (start: Start) => Promise<void>): Promise<void> {
  const ends: (() => Promise<void>)[] = [];
  const start: Start = async (handle, options = {}) => {
    const clock = new TestClock();
    const make = (more: SessionOptions<ContractData>): { store: FaultyStore; manager: Manager } => {
      const store = new FaultyStore(new MemoryStore({ clock }));
      return {
        store,
        manager: new SessionManager({ store, clock, sweepInterval: false, ...options.sessions, ...more }),
      };
    };
    const [name, ...others] = options.cookies ?? [];
    const first = make(name === undefined ? {} : { cookie: { name } });
    const all = [first, ...others.map((other) => make({ cookie: { name: other } }))];
    const managers = all.map(({ manager }) => manager);
    const sessions = first.manager;
    const site: Site & { url: string } = {
      url: "",
      sessions,
      managers,
      store: first.store,
      stores: all.map(({ store }) => store),
      clock,
      client: () => new Client(site.url),
    };
    const server = await serve({
      managers: options.twice === true ? [sessions, sessions] : managers,
      skips: options.skips ?? (() => false),
      property: options.property,
      trustProxy: options.trustProxy ?? false,
      handle(request) {
        const visit = {
          ...request,
          path: request.url.split("?", 1)[0] ?? "",
          get session() {
            return sessions.of(request.context);
          },
        };
        return handle(visit, site);
      },
    });
    site.url = server.url;
    ends.push(async () => {
      // A case that has failed may have left calls waiting: nobody is to wait for them for ever.
      for (const { store } of all) {
        store.holds = false;
        for (const call of store.waiting.slice()) await call.complete();
      }
      await server.close();
      for (const manager of managers) await manager.close();
    });
    return site;
  };
  try {
    await work(start);
  } finally {
    for (const end of ends) await end();
  }
}

/** A request, but for its cookies. */
type Init = Omit<RequestInit, "headers"> & { readonly headers?: Readonly<Record<string, string>> };

/** A browser, as far as cookies go. */
export class Client {
  readonly #url: string;
  readonly cookies: Map<string, string> = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Sends a request with the cookies it has, and keeps those of the answer. Redirects are not followed. */
  async ask(path: string, init: Init = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers: Init["headers"] = { ...(cookie === "" ? {} : { cookie }), ...init.headers };
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
      if (value === "") this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  /** The body of the answer. */
  async text(path: string, init: Init = {}): Promise<string> {
    return (await this.ask(path, init)).text();
  }

  /** Another one with the same cookies. */
  copy(): Client {
    const copy = new Client(this.#url);
    for (const [name, value] of this.cookies) copy.cookies.set(name, value);
    return copy;
  }
}

/** The Set-Cookie lines of one cookie. */
export function cookiesOf(response: Response, name = "session"): string[] {
  return response.headers.getSetCookie().filter((line) => line.startsWith(`${name}=`));
}

/** The members of a header, in lower case. */
export function membersOf(response: Response, name: string): string[] {
  const value = response.headers.get(name) ?? "";
  return value.split(",").map((member) => member.trim().toLowerCase());
}

/** Throws unless it holds. */
export function holds(what: string, condition: boolean): void {
  if (!condition) throw new Error(what);
}

/** A promise that is settled from outside. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Lets I/O happen until a condition holds; fails after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, turn < 1_000 ? 0 : 10));
  }
  throw new Error(`In vain it was waited until ${what}.`);
}

/** What a promise comes to; fails when it comes to nothing within ten seconds. */
export async function soon<T>(what: string, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = (): void => void (isSettled = true);
  work.then(settled, settled);
  await until(what, () => isSettled);
  return work;
}

/** Lets the I/O happen that is under way: what has not come by then is held back. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Reads the next piece of a body as text; "" at its end. */
export async function nextPiece(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const piece = await reader.read();
  return piece.done ? "" : new TextDecoder().decode(piece.value);
}

/** The code of what a function throws; "" when it throws nothing. */
export function codeOf(work: () => unknown): string {
  try {
    work();
    return "";
  } catch (error) {
    return String((error as { readonly code?: unknown }).code);
  }
}
