/** The adapter of Hono 4. */

import type { Context, MiddlewareHandler } from "hono";
import { SessionError } from "../errors.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session.ts";
import { answer, incomingRequest, respond } from "./respond.ts";
import { expectManager, expectOptions, wrongAdapter, type AdapterOptions } from "./serve.ts";

/** The options of this adapter. */
export interface HonoOptions<Property extends string = "session"> extends AdapterOptions<Context> {
  /**
   * The name under which `c.var` and `c.get` have the session as well; a second manager needs one of its own.
   *
   * @default "session"
   */
  readonly property?: Property | undefined;
}

/**
 * Hono middleware: loads the session before the handlers that follow, and stores it before the response is handed on. Errors
 * go to `app.onError`; without one, the status is 503 when the store is down. Mount it before `etag()` and `timeout()`: the
 * first drops cookies from a 304, and after the second one has answered, nobody gets the session's.
 *
 * ```ts
 * app.use(loadAndSave(sessions));
 * ```
 */
export function loadAndSave<Data extends object, Property extends string = "session">(
  manager: SessionManager<Data>,
  options: HonoOptions<Property> = {},
): MiddlewareHandler<{ Variables: Record<Property, Session<Data>> }> {
  expectManager("hono", manager);
  expectOptions("hono", options, ["skip", "property"]);
  const { skip, property = "session" as Property } = options;
  return async (c, next) => {
    if (typeof (c as { newResponse?: unknown }).newResponse !== "function") throw wrongAdapter("hono", c);
    if (skip?.(c) === true) return next();
    const request = c.req.raw;
    const entry = entryOf(c);
    const response = await respond(manager, {
      incoming: incomingRequest(request, c),
      signal: () => request.signal,
      async handle() {
        c.set(property, manager.of(c));
        await next();
        // Else reading c.res would make a response, and hide that there is none.
        if (!c.finalized) throw new Error("There is no response: return one from the handler, and await next().");
        return c.res;
      },
      fail(error, addHeaders) {
        if (c.finalized) addHeaders(restart(c, entry));
        throw answerable(error);
      },
    });
    if (response !== c.res && !isSent(c.res)) replace(c, response);
  };
}

/** What earlier middleware has prepared for the response, which is not made yet. */
interface Entry {
  readonly status: number;
  readonly headers: Headers;
}

function entryOf(c: Context): Entry {
  const { status, headers } = c.newResponse(null);
  return { status, headers: new Headers(headers) };
}

/** Takes back the response of the handler, and all that it prepared: the error handler begins as at entry. */
function restart(c: Context, { status, headers }: Entry): Headers {
  c.res = undefined;
  c.finalized = false;
  for (const name of [...c.newResponse(null).headers.keys()]) c.header(name, undefined);
  c.status(status as 200);
  // From here on Hono adds these headers to whatever the error handler answers.
  const begun = c.res.headers;
  for (const [name, value] of headers) begun.append(name, value);
  return begun;
}

/** Hono would add the headers of the old response to those of the new one, and lose cookies that way. */
function replace(c: Context, response: Response): void {
  c.res = undefined;
  c.res = response;
}

/** Whether the handler has answered past Hono, on Node's own response: Hono's server knows that by this header. */
function isSent(response: Response): boolean {
  return response.headers.has("x-hono-already-sent");
}

/** Hono's own error handler logs errors and answers 500, unless they bring their response with them. */
function answerable(error: unknown): unknown {
  if (!(error instanceof SessionError) || error.status === 500) return error;
  return Object.defineProperty(error, "getResponse", { value: () => answer(error), configurable: true });
}
