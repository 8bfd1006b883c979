/** The adapter of h3 2, which Nitro stands on. */

import type { SessionManager } from "../manager.ts";
import { incomingRequest, respond } from "./respond.ts";
import { expectManager, expectOptions, offerSession, wrongAdapter, type AdapterOptions } from "./serve.ts";

/** What this adapter uses of an event. */
interface H3Event {
  readonly req: object;
  readonly url: URL;
  readonly context: object;
  readonly res: { status?: number; readonly headers: Headers; readonly errHeaders: Headers };
  readonly app?: { readonly config: { readonly onError?: ErrorHook } };
}

type ErrorHook = (error: never, event: never) => unknown;

/** What it uses of the framework. */
interface H3 {
  readonly toResponse: (value: unknown, event: object, config: object) => Response | Promise<Response>;
}

/** The options of this adapter. */
export interface H3Options<Event> extends AdapterOptions<Event> {
  /**
   * The name under which `event.context` has the session as well; a second manager needs one of its own.
   *
   * @default "session"
   */
  readonly property?: string | undefined;
}

/**
 * h3 middleware: loads the session before the handlers that follow, and stores it before the response is handed on. Errors
 * go to the application's `onError`; without one, the status is 503 when the store is down. Mount it before other
 * middleware: what comes earlier sees finished responses, and no errors.
 *
 * ```ts
 * app.use(loadAndSave(sessions));
 * ```
 */
export function loadAndSave<Data extends object, Event extends H3Event>(
  manager: SessionManager<Data>,
  options: H3Options<Event> = {},
): (event: Event, next: () => unknown) => Promise<unknown> {
  expectManager("h3", manager);
  expectOptions("h3", options, ["skip", "property"]);
  const { skip, property = "session" } = options;
  return async (event, next) => {
    const request = requestOf(event);
    if (request === undefined || typeof next !== "function") throw wrongAdapter("h3", event);
    if (skip?.(event) === true) return next();
    const { toResponse } = await (h3 ??= import("h3") as Promise<unknown> as Promise<H3>);
    const prepared = preparedFor(event);
    let isFinished = false;
    let isFresh = false;
    const { onError, ...config } = event.app?.config ?? {};
    // What h3 makes of values and errors. The hook onResponse it calls later, with the response that we hand on.
    const finish = (value: Promise<unknown>): Response | Promise<Response> =>
      toResponse(value, event, {
        ...config,
        onResponse: undefined,
        onError: onError && ((error: never, event: never) => ((isFresh = false), onError(error, event))),
      });
    return respond(manager, {
      incoming: { ...incomingRequest(request, event), isSecure: () => event.url.protocol === "https:" },
      signal: () => request.signal,
      isFresh: () => isFresh,
      async handle() {
        offerSession(event.context, property, () => manager.of(event));
        const value = new Promise((resolve) => resolve(next()));
        const response = await finish(value.then((each) => ((isFresh = !(each instanceof Response)), each)));
        isFinished = true;
        return response;
      },
      fail(error) {
        if (isFinished) prepare(event, prepared);
        return finish(Promise.reject(error));
      },
    });
  };
}

/** The framework, once it is needed: this file can be imported without it. */
let h3: Promise<H3> | undefined;

/** The request of an event; undefined where that is another framework's. */
function requestOf(event: { readonly req?: unknown } | undefined): Request | undefined {
  const request = event?.req as Request | undefined;
  return (request?.headers as unknown) instanceof Headers ? request : undefined;
}

/** What earlier middleware has prepared for the response. */
interface Prepared {
  readonly status: number | undefined;
  readonly headers: Headers;
  readonly errHeaders: Headers;
}

function preparedFor({ res }: H3Event): Prepared {
  return { status: res.status, headers: new Headers(res.headers), errHeaders: new Headers(res.errHeaders) };
}

/** Has the response, which h3 has begun anew, prepared as it was before the handler ran. */
function prepare({ res }: H3Event, { status, headers, errHeaders }: Prepared): void {
  if (status !== undefined) res.status = status;
  for (const [name, value] of headers) res.headers.append(name, value);
  for (const [name, value] of errHeaders) res.errHeaders.append(name, value);
}
