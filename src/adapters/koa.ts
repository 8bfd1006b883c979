/** The adapter of Koa 2 and 3. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session.ts";
import { headOf, restoreHead } from "./head.ts";
import { expectManager, expectOptions, serve, wrongAdapter, type AdapterOptions } from "./serve.ts";

/** What this adapter uses of a Koa context, and what `skip` usually looks at. */
export interface KoaContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly app?: { readonly context: object };
  readonly method: string;
  readonly path: string;
  readonly secure: boolean;
  respond?: boolean | undefined;
  body: unknown;
  status: number;
  onerror(error: Error): void;
}

/** The options of this adapter. */
export interface KoaOptions<Context, Property> extends AdapterOptions<Context> {
  /**
   * The name under which the context has the session as well. A second manager needs another one. False: nowhere.
   *
   * @default "session"
   */
  readonly property?: Property | undefined;
}

/** What the middleware adds to a context: `new Koa<Koa.DefaultState, SessionContext<Data>>()`. */
export type SessionContext<Data extends object, Property = "session"> = Property extends string
  ? string extends Property
    ? unknown // a name that only the running program knows
    : Readonly<Record<Property, Session<Data>>>
  : unknown;

/** Fits wherever Koa takes middleware; what is chained to `app.use(…)` knows what it adds to the context. */
export interface KoaMiddleware<Context, Added> {
  (context: Context, next: () => Promise<unknown>): Promise<unknown>;
  // The compiler infers from the last one; alone, it would not fit where a context has no session.
  (context: Context & Added, next: () => Promise<unknown>): Promise<unknown>;
}

/**
 * Koa middleware: loads the session before the middleware that follows, and stores it when that is done, before the first
 * byte of the response leaves. Errors go through the middleware mounted before and to `ctx.onerror`, with `status` 503 when
 * the store is down. The context has the session as `ctx.session`, too.
 *
 * ```ts
 * app.use(loadAndSave(sessions));
 * ```
 */
export function loadAndSave<
  Data extends object,
  Context extends KoaContext = KoaContext,
  const Property extends string | false = "session",
>(
  manager: SessionManager<Data>,
  options: KoaOptions<Context, Property> = {},
): KoaMiddleware<Context, SessionContext<Data, Property>> {
  expectManager("koa", manager);
  expectOptions("koa", options, ["skip", "property"]);
  const { skip } = options;
  const name: string | false = options.property ?? "session";
  const property = name === false ? undefined : name;
  return (context: Context, next: () => Promise<unknown>): Promise<unknown> => {
    if (!isKoa(context)) throw wrongAdapter("koa", context);
    if (skip?.(context) === true) return next();
    const { res } = context;
    const entry = headOf(res);
    let exchange: Exchange | undefined;
    const opened = (own: Exchange): void => void (exchange = own);
    // Koa knows the proxies that may be trusted.
    const view = { context, property, prototype: context.app?.context, isSecure: () => context.secure, entry, opened };

    const handle = async (): Promise<void> => {
      await next();
      // Otherwise the response waits by itself: it has begun, or the application sends it when it likes.
      if (exchange?.needsCommit !== true || res.headersSent || context.respond === false) return;
      try {
        await exchange.commit();
      } catch (error) {
        exchange.seal();
        // Whoever catches this and says nothing does not send what the handler had to say.
        restoreHead(res, entry);
        context.body = undefined;
        context.status = error instanceof SessionError ? error.status : 500;
        throw error;
      }
    };
    const fail = (error: unknown): void => {
      // Without a session no middleware has run yet; later, the chain may be over.
      if (exchange === undefined) throw error;
      context.onerror(error as Error);
    };
    return Promise.resolve(serve(manager, context.req, res, view, handle, fail));
  };
}

/** Express's request has a response, too. */
function isKoa(context: Partial<KoaContext> | undefined): boolean {
  return typeof context?.onerror === "function" && typeof context.res?.writeHead === "function";
}
