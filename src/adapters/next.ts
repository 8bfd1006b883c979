/** The adapter of Next.js 16 (App Router): of its route handlers, server actions and server components. */

import { isSessionError, SessionError } from "../errors.ts";
import type { SessionManager } from "../manager.ts";
import type { ReadonlySession, Session } from "../session.ts";
import { loadAndSave as onFetch, type FetchOptions } from "./fetch.ts";
import { act, requestHere } from "./next-action.ts";
import { responseTo } from "./next-digest.ts";
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
    // An action that is called by another one has its session.
    return currentOf(manager) === undefined ? act(manager, () => work(...args)) : work(...args);
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
  return currentOf(manager) ?? manager.read(await requestHere());
}

/** The session of the running code, where there is one. */
function currentOf<Data extends object>(manager: SessionManager<Data>): Session<Data> | undefined {
  try {
    return manager.current();
  } catch {
    return undefined;
  }
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
