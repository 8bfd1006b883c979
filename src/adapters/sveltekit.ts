/** The adapter of SvelteKit 2: a `handle` hook. */

import { parseSetCookie } from "../cookie.ts";
import type { SessionManager } from "../manager.ts";
import { answer, incomingRequest, respond } from "./respond.ts";
import { expectManager, expectOptions, offerSession, wrongAdapter, type AdapterOptions } from "./serve.ts";

/** What this adapter uses of an event. */
interface RequestEvent {
  readonly request: Request;
  readonly url: URL;
  readonly locals: object;
  readonly cookies: { set(name: string, value: string, options: object & { readonly path: string }): void };
  readonly isSubRequest: boolean;
}

/** What SvelteKit calls the hook with. */
interface Input<Event> {
  readonly event: Event;
  readonly resolve: (event: Event) => Response | Promise<Response>;
}

/** The options of this adapter. */
export interface SvelteKitOptions<Event> extends AdapterOptions<Event> {
  /**
   * The name under which `event.locals` has the session as well; a second manager needs one of its own.
   *
   * @default "session"
   */
  readonly property?: string | undefined;
  /**
   * Answers when a session cannot be loaded or stored. May throw, as in `onError: () => error(503, "Please try again.")`, which
   * shows src/error.html. Undefined: status 503 (or what the error says) and a line of text.
   */
  readonly onError?: ((error: unknown, event: Event) => Response | Promise<Response>) | undefined;
}

/**
 * A `handle` hook: loads the session before the hooks that follow in `sequence`, load functions, actions and endpoints, and
 * stores it before the response is handed on. What `event.fetch` asks of the application itself shares the session of its
 * page. Pages that are prerendered see an empty one; with `skip: () => building` they cannot use any.
 *
 * ```ts
 * export const handle = loadAndSave(sessions);
 * ```
 */
export function loadAndSave<Data extends object, Event extends RequestEvent = RequestEvent>(
  manager: SessionManager<Data>,
  options: SvelteKitOptions<Event> = {},
): <Actual extends Event>(input: Input<Actual>) => Promise<Response> {
  expectManager("sveltekit", manager);
  expectOptions("sveltekit", options, ["skip", "property", "onError"]);
  const { skip, property = "session", onError = answer } = options;
  return async (input) => {
    const { event, resolve } = input as Partial<typeof input>;
    if (event === undefined || resolve === undefined) throw wrongAdapter("sveltekit", input);
    if (skip?.(event) === true) return resolve(event);
    let redirect: Error | undefined;
    const response = await respond(manager, {
      incoming: {
        ...incomingRequest(event.request, event),
        isSecure: () => event.url.protocol === "https:",
        isInner: event.isSubRequest,
      },
      signal: () => event.request.signal,
      async handle() {
        offerSession(event.locals, property, () => manager.of(event));
        try {
          return await resolve(event);
        } catch (error) {
          // SvelteKit answers what hooks throw after this one is done. Of redirects it says cookies, but no other headers.
          if (!isRedirect(error)) throw error;
          redirect = error;
          return new Response();
        }
      },
      fail(error) {
        redirect = undefined;
        return onError(error, event);
      },
    });
    if (redirect === undefined) return response;
    for (const line of response.headers.getSetCookie()) {
      const { name, value = "", ...options } = parseSetCookie(line);
      event.cookies.set(name, value, { path: "/", httpOnly: false, secure: false, ...options });
    }
    throw redirect;
  };
}

/** Whether it is what `redirect()` throws. */
function isRedirect(error: unknown): error is Error {
  const { status, location } = (error ?? {}) as Record<string, unknown>;
  return typeof status === "number" && status >= 300 && status < 400 && typeof location === "string";
}
