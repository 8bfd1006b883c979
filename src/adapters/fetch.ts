/** The adapter of everything that answers a Request with a Response: Bun, Deno, Workers, and frameworks built on fetch. */

import { SessionError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { SessionManager } from "../manager.ts";
import type { IncomingRequest } from "../transport.ts";
import { expectManager, wrongAdapter, type AdapterOptions } from "./serve.ts";

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
  const answer = async (error: unknown, request: Request): Promise<Response> => {
    if (options.onError !== undefined) return options.onError(error, request);
    const status = error instanceof SessionError ? error.status : 500;
    const text = status === 503 ? "Service Unavailable\n" : "Internal Server Error\n";
    return new Response(text, { status, headers: { "cache-control": "no-store" } });
  };

  return async (request, ...rest) => {
    if (!((request.headers as unknown) instanceof Headers)) throw wrongAdapter("fetch", request);
    if (options.skip?.(request) === true) return handler(request, ...rest);
    const incoming = incomingRequest(request);
    let exchange: Exchange;
    try {
      exchange = await manager.open(incoming);
    } catch (error) {
      return answer(error, request);
    }
    if (exchange.request !== incoming) return handler(request, ...rest);
    let isOver = false;
    exchange.driver = {
      isOver: () => isOver,
      onDestroy() {
        const close = (): void => void exchange.close().catch(() => undefined);
        if (request.signal.aborted) queueMicrotask(close);
        else request.signal.addEventListener("abort", close, { once: true });
      },
    };
    let response: Response;
    try {
      response = await exchange.run(() => handler(request, ...rest));
    } catch (error) {
      isOver = true;
      await exchange.close().catch(() => undefined);
      throw error;
    }
    isOver = true;
    exchange.seal();
    if (!exchange.inUse) return response;
    const stored = storedFor(request);
    try {
      if (exchange.needsCommit) await exchange.commit();
    } catch (error) {
      // Nobody reads the handler's body any more.
      response.body?.cancel().catch(() => undefined);
      // The sessions of other managers inside of this one are stored; their headers were on the response that is not sent.
      return withHeaders(await answer(error, request), [...stored, exchange]);
    }
    stored.push(exchange);
    return withHeaders(response, [exchange]);
  };
}

/** The exchanges of a request that are stored: one for each manager. */
const storedExchanges = new WeakMap<Request, Exchange[]>();

function storedFor(request: Request): Exchange[] {
  let stored = storedExchanges.get(request);
  if (stored === undefined) storedExchanges.set(request, (stored = []));
  return stored;
}

function incomingRequest(request: Request): IncomingRequest {
  return {
    header: (name) => request.headers.get(name) ?? undefined,
    isSecure: () => request.url.startsWith("https:"),
    keys: [request],
  };
}

/** A copy with the headers of the sessions: the handler may hand out the same Response to others. */
function withHeaders(response: Response, exchanges: readonly Exchange[]): Response {
  const speaking = exchanges.filter(({ hasHeaders }) => hasHeaders);
  if (speaking.length === 0 || isUpgrade(response)) return response;
  const headers = new Headers(response.headers);
  for (const exchange of speaking) exchange.writeHeaders(headers);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** The answer to an upgrade cannot be copied: it is the runtime's own object, or nothing at all (Bun). */
function isUpgrade(response: Response | undefined): boolean {
  return response === undefined || response.status < 200;
}
