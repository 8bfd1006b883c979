/** What the adapters of fetch's Request and Response share: the response is handed on once the session is stored. */

import { isSessionError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { IncomingRequest, ResponseHeaders } from "../transport.ts";
import type { AnyManager } from "./serve.ts";

/** One request, as its adapter sees it. */
export interface Answering {
  readonly incoming: IncomingRequest;
  /** Tells that the client has gone. Asked for by those who need it only: some servers make it on demand. */
  signal(): AbortSignal;
  /** Runs the handler. */
  handle(): Response | Promise<Response>;
  /** Whether the adapter has made that response itself: nobody else has it then, and it need not be copied. */
  isFresh?(): boolean;
  /**
   * The response to a session that cannot be loaded or stored. May throw, to leave it to the framework; `addHeaders` is for
   * those who do, and adds what the sessions of other managers, which are stored, have to say in that response.
   */
  fail(error: unknown, addHeaders: (headers: ResponseHeaders) => void): Response | Promise<Response>;
}

/** Loads the session, runs the handler, stores the session, and then hands the response on. */
export async function respond(manager: AnyManager, answering: Answering): Promise<Response> {
  const { incoming } = answering;
  let exchange: Exchange;
  try {
    const opened = manager.open(incoming);
    exchange = opened instanceof Promise ? await opened : opened;
  } catch (error) {
    return answering.fail(error, () => undefined);
  }
  if (exchange.request !== incoming) return answering.handle();
  let isOver = false;
  exchange.driver = {
    isOver: () => isOver,
    onDestroy() {
      const signal = answering.signal();
      const close = (): void => void exchange.close().catch(() => undefined);
      if (signal.aborted) queueMicrotask(close);
      else signal.addEventListener("abort", close, { once: true });
    },
  };
  let response: Response;
  try {
    response = await exchange.run(() => answering.handle());
  } catch (error) {
    isOver = true;
    await exchange.close().catch(() => undefined);
    throw error;
  }
  isOver = true;
  exchange.seal();
  if (!exchange.needsCommit && !exchange.hasHeaders) return response;
  const request = incoming.keys[0] ?? incoming;
  try {
    if (exchange.needsCommit) await exchange.commit();
  } catch (error) {
    // Nobody reads the handler's body any more.
    if (!isUpgrade(response)) response.body?.cancel().catch(() => undefined);
    // The sessions of other managers inside of this one are stored; their headers were on the response that is not sent.
    const speaking = [...(storedInside.get(request) ?? []), exchange];
    const addHeaders = (headers: ResponseHeaders): void => {
      for (const each of speaking) each.writeHeaders(headers);
    };
    return withHeaders(await answering.fail(error, addHeaders), speaking);
  }
  if (exchange.outer !== undefined) storedInside.set(request, [...(storedInside.get(request) ?? []), exchange]);
  if (isUpgrade(response)) return response;
  const isNobodyElses = answering.isFresh?.() === true;
  const mayChange = (isNobodyElses || (exchange.onlyVaries && !isBodiless(response))) && keepsHeaders();
  return mayChange && changeHeaders(response, exchange) ? response : withHeaders(response, [exchange]);
}

/** Adds the headers to the response itself; false where that cannot be changed, as after a redirect or a fetch. */
function changeHeaders(response: Response, exchange: Exchange): boolean {
  try {
    exchange.writeHeaders(response.headers);
    return true;
  } catch (error) {
    if (!exchange.onlyVaries) throw error; // a transport's own
    return false;
  }
}

/** The class of responses that was looked at last, and whether it keeps headers. */
let looked: { readonly kind: typeof Response; readonly keeps: boolean } | undefined;

/**
 * Whether responses keep what is changed in their headers. Those of @hono/node-server 1, which stand in for the runtime's,
 * forget it once somebody looks at the body, as middleware does that compresses.
 */
function keepsHeaders(): boolean {
  if (looked?.kind === Response) return looked.keeps;
  const response = new Response("body");
  response.headers.set("vary", "Cookie");
  looked = { kind: Response, keeps: response.body !== null && response.headers.has("vary") };
  return looked.keeps;
}

/** The exchanges of a request that are stored, of managers inside of one that may still fail. */
const storedInside = new WeakMap<object, readonly Exchange[]>();

/** A body can be sent only once. Without one, a response may be a constant that routes without session hand out, too. */
function isBodiless({ status }: Response): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** A Request, as the core reads it. `context`: the framework's own, under which `sessions.of` finds the session as well. */
export function incomingRequest(request: Request, context?: object): IncomingRequest {
  return {
    header: (name) => request.headers.get(name) ?? undefined,
    isSecure: () => request.url.startsWith("https:"),
    keys: context === undefined ? [request] : [context, request],
  };
}

/** The response to an error where no framework has one. */
export function answer(error: unknown): Response {
  const status = isSessionError(error) ? error.status : 500;
  const text = { 409: "Conflict", 503: "Service Unavailable" }[status] ?? "Internal Server Error";
  return new Response(`${text}\n`, { status, headers: { "cache-control": "no-store" } });
}

/** A copy with the headers of the sessions: the handler may hand out the same Response to others, who must not get the token. */
function withHeaders(response: Response, exchanges: readonly Exchange[]): Response {
  const speaking = exchanges.filter(({ hasHeaders }) => hasHeaders);
  if (speaking.length === 0) return response;
  // The headers before the body, see keepsHeaders; and not by way of the copy's, which some share with what was given.
  const headers = new Headers(response.headers);
  for (const exchange of speaking) exchange.writeHeaders(headers);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** The answer to an upgrade cannot be copied: it is the runtime's own object, carries hooks (crossws), or is nothing (Bun). */
function isUpgrade(response: Response | undefined): boolean {
  return response === undefined || response.status < 200 || "crossws" in response;
}
