/** The adapter of everything that answers a Request with a Response: Bun, Deno, Workers, and frameworks built on fetch. */

import type { SessionManager } from "../manager.ts";
import { answer, incomingRequest, respond } from "./respond.ts";
import { expectManager, expectOptions, wrongAdapter, type AdapterOptions } from "./serve.ts";

/** The options of this adapter. */
export interface FetchOptions extends AdapterOptions<Request> {
  /** Answers when a session cannot be loaded or stored. Undefined: status 503 (or what the error says) and a line of text. */
  readonly onError?: ((error: unknown, request: Request) => Response | Promise<Response>) | undefined;
}

/**
 * Wraps a handler: its session is loaded before, and stored before the response is handed on. `sessions.current()` is for the
 * handler; code that runs while the body streams has to keep the session it was given.
 *
 * ```ts
 * export default { fetch: loadAndSave(sessions, (request) => new Response("…")) };
 * ```
 */
export function loadAndSave<Data extends object, Rest extends unknown[]>(
  manager: SessionManager<Data>,
  handler: (request: Request, ...rest: Rest) => Response | Promise<Response>,
  options: FetchOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  expectManager("fetch", manager);
  expectOptions("fetch", options, ["skip", "onError"]);
  const { skip, onError = answer } = options;
  // No async function: on the way of every request each promise counts.
  return (request, ...rest) => {
    try {
      if (!((request.headers as unknown) instanceof Headers) || "req" in request) throw wrongAdapter("fetch", request);
      if (skip?.(request) === true) return Promise.resolve(handler(request, ...rest));
    } catch (error) {
      return Promise.reject(error);
    }
    return respond(manager, {
      incoming: incomingRequest(request),
      signal: () => request.signal,
      handle: () => handler(request, ...rest),
      fail: (error) => onError(error, request),
    });
  };
}
