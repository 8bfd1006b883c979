/** The adapter of Next.js 16 (App Router): of its route handlers, server actions and server components. */
// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- declares a module, and cannot be imported
/// <reference path="./next-headers.d.ts" />

import type { CookieJar } from "next/headers.js";
import { parseSetCookie } from "../cookie.ts";
import { isSessionError, SessionError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { SessionManager } from "../manager.ts";
import type { ReadonlySession, Session } from "../session.ts";
import type { IncomingRequest } from "../transport.ts";
import { loadAndSave as onFetch, type FetchOptions } from "./fetch.ts";
import { answer } from "./respond.ts";
import { expectManager, expectOptions, wrongAdapter, type AnyManager } from "./serve.ts";

/** The options of this adapter. They are for route handlers; Next answers the errors of server actions itself. */
export type NextOptions = FetchOptions;

/**
 * Wraps a route handler, or a server action: its session is loaded before, and stored before the response leaves. Inside of it
 * `sessions.current()` is the session; route handlers may use `sessions.of(request)` as well. `redirect()`, `notFound()` and
 * their like are responses: the session is stored, and its cookie goes with them.
 *
 * Server actions are exported from a file with "use server". They set cookies, and no other headers; their session is also
 * stored when they throw. When it cannot be loaded or stored they throw a `SessionError`, for `error.tsx`. The function of
 * `proxy.ts` is wrapped as a route handler.
 *
 * ```ts
 * export const GET = loadAndSave(sessions, async () => Response.json(sessions.current().get("userId")));
 *
 * export const logout = loadAndSave(sessions, async () => sessions.current().destroy());
 * ```
 */
export function loadAndSave<Data extends object, Args extends unknown[], Result>(
  manager: SessionManager<Data>,
  fn: (...args: Args) => Result,
  options: NextOptions = {},
): (...args: Args) => Promise<Awaited<Result>> {
  expectShared(manager);
  if (typeof fn !== "function") throw wrongAdapter("next", fn);
  expectOptions("next", options, ["skip", "onError"]);
  const { skip, onError = answer } = options;
  const work = fn as unknown as (...args: unknown[]) => unknown;
  const handler = onFetch(
    manager,
    async (request, ...rest) => {
      try {
        return (await work(request, ...rest)) as Response;
      } catch (error) {
        return responseTo(error, request);
      }
    },
    {
      ...(skip && { skip }),
      onError(error, request) {
        // Reading a request at build time throws as well, to tell Next that the route is dynamic.
        if (!isSessionError(error)) throw error;
        return onError(error, request);
      },
    },
  );
  const wrapped = async (...args: unknown[]): Promise<unknown> => {
    const [request, response] = args as [unknown, { readonly writeHead?: unknown } | undefined];
    if (request instanceof Request) return handler(request, ...args.slice(1));
    if (typeof response?.writeHead === "function") throw wrongAdapter("next", request);
    return act(manager, () => work(...args));
  };
  return wrapped as (...args: Args) => Promise<Awaited<Result>>;
}

/**
 * The session of the request that a server component is rendered for: to be read, since pages can set no cookie. Does not count
 * as a visit for `idleTimeout`, and makes the page dynamic. Each call asks the store; where several components do, wrap it in
 * React's `cache`. Called inside of `loadAndSave`, it is the session there.
 *
 * ```ts
 * export const getSession = cache(() => readSession(sessions));
 * ```
 */
export async function readSession<Data extends object>(manager: SessionManager<Data>): Promise<ReadonlySession<Data>> {
  expectShared(manager);
  return currentOf(manager) ?? manager.read((await here()).incoming);
}

/** Runs a server action. */
async function act<Data extends object, T>(manager: SessionManager<Data>, work: () => T): Promise<Awaited<T>> {
  // One that is called by another one has its session.
  if (currentOf(manager) !== undefined) return await work();
  const { jar, incoming } = await here();
  const exchange = await manager.open(incoming);
  let isOver = false;
  exchange.driver = { isOver: () => isOver, onDestroy: () => undefined };
  const save = async (): Promise<void> => {
    isOver = true;
    exchange.seal();
    try {
      if (exchange.needsCommit) await exchange.commit();
    } finally {
      setCookies(jar, exchange);
    }
  };
  let result: Awaited<T>;
  try {
    result = await exchange.run(work);
  } catch (error) {
    if (isAnswer(error)) await save();
    else await save().catch(() => undefined); // of two errors the application's own tells more
    throw error;
  }
  await save();
  return result;
}

/** The session of the running code, where there is one. */
function currentOf<Data extends object>(manager: SessionManager<Data>): Session<Data> | undefined {
  try {
    return manager.current();
  } catch {
    return undefined;
  }
}

/** The request that the running code belongs to, and its cookies. */
async function here(): Promise<{ jar: CookieJar; incoming: IncomingRequest }> {
  // With the extension, Node finds it as well, where this package is left outside of the application's bundle.
  const { cookies, headers } = await import("next/headers.js");
  const [jar, sent] = await Promise.all([cookies(), headers()]);
  // What proxy.ts, or an action of this request, has set is only in the jar; several cookies of one name only in the header.
  const known = jar.getAll().filter(({ value }) => value !== "");
  const cookie = [...known.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`), sent.get("cookie") ?? ""];
  const incoming = {
    header: (name: string) => (name === "cookie" ? cookie.join("; ") : (sent.get(name) ?? undefined)),
    isSecure: () => sent.get("x-forwarded-proto")?.startsWith("https") === true, // Next sets it where no proxy does
    keys: [{}],
  };
  return { jar, incoming };
}

/** Hands out the token by `cookies()`. Next itself forbids to cache the responses of actions. */
function setCookies(jar: CookieJar, exchange: Exchange): void {
  const headers = new Headers();
  exchange.writeHeaders(headers);
  for (const line of headers.getSetCookie()) jar.set(parseSetCookie(line));
  for (const name of ["set-cookie", "cache-control", "vary"]) headers.delete(name);
  const [lost] = headers.keys();
  if (lost === undefined) return;
  const remedy = "Use the cookie, or do this in a route handler";
  throw new SessionError("unsupported", `A server action of Next.js cannot set the header "${lost}". ${remedy}.`);
}

/** What Next's functions that leave by throwing put on the error. */
function digestOf(error: unknown): string[] {
  const { digest } = (error ?? {}) as { readonly digest?: unknown };
  return typeof digest === "string" ? digest.split(";") : [];
}

function isAnswer(error: unknown): boolean {
  return ["NEXT_REDIRECT", "NEXT_HTTP_ERROR_FALLBACK"].includes(digestOf(error)[0] ?? "");
}

/** What Next answers to such an error of a route handler: done here, so that it can have headers. Throws all others. */
function responseTo(error: unknown, request: Request): Response {
  if (!isAnswer(error)) throw error;
  const [kind, ...rest] = digestOf(error);
  if (kind === "NEXT_HTTP_ERROR_FALLBACK") return new Response(null, { status: Number(rest[0]) });
  // type;location;status; with semicolons in the location, perhaps. After a form has been posted the browser is to GET.
  const form = /^(multipart\/form-data|application\/x-www-form-urlencoded)/;
  const isForm = request.method === "POST" && form.test(request.headers.get("content-type") ?? "");
  const status = isForm ? 303 : Number(rest.at(-2));
  return new Response(null, { status, headers: { location: rest.slice(1, -2).join(";") } });
}

/** Throws for a manager whose copies would keep a memory each. */
function expectShared(manager: AnyManager & Partial<Pick<SessionManager, "hasDefaultStore">>): void {
  expectManager("next", manager);
  if (manager.hasDefaultStore !== true) return;
  throw new SessionError(
    "invalid-option",
    "In Next.js a SessionManager needs a store: the module that makes it is loaded several times, and each copy would keep " +
      "its sessions in a memory of its own. Give it one that all share, such as that of scs-session/postgres; or, for one " +
      'process, store: MemoryStore.shared(), imported from "scs-session".',
  );
}
