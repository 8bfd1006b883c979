/** The adapter of Express 4 and 5. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { SessionManager } from "../manager.ts";
import { expectManager, expectNode, expectOptions, isEncrypted, serve, type PropertyOptions } from "./serve.ts";

/** What this adapter uses of an Express request. */
type ExpressRequest = IncomingMessage & { readonly secure?: boolean };

/**
 * Express middleware: loads the session before the handlers that follow, and stores it before the first byte of the
 * response leaves. Errors go to Express's error handlers, with `status` 503 when the store is down.
 *
 * ```ts
 * app.use(express.static("public"), loadAndSave(sessions));
 * ```
 */
export function loadAndSave<Data extends object, Request extends ExpressRequest>(
  manager: SessionManager<Data>,
  options: PropertyOptions<Request> = {},
): (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void {
  expectManager("express", manager);
  expectOptions("express", options, ["skip", "property"]);
  return (request, response, next) => {
    expectNode("express", request, response);
    if (options.skip?.(request) === true) {
      next();
      return;
    }
    // Express knows the proxies that may be trusted.
    const isSecure = (): boolean => request.secure ?? isEncrypted(request);
    void serve(manager, request, response, { property: options.property, isSecure }, next, next);
  };
}
