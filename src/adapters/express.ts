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
    if (givesShapes && "secure" in request) {
      keepInTable(request);
      keepInTable(response);
    }
    // Express knows the proxies that may be trusted.
    const isSecure = (): boolean => request.secure ?? isEncrypted(request);
    void serve(manager, request, response, { property: options.property, isSecure }, next, next);
  };
}

/**
 * Express changes the prototype of each request and response. Before its version 13 (Node 24) V8 then makes a new shape for
 * every property that is added to one, by Express, by us, or by what follows, and finds properties of the many shapes slowly.
 */
const givesShapes = Number.parseInt((process.versions as Partial<NodeJS.ProcessVersions>).v8 ?? "", 10) < 13;

/** Has V8 keep the properties of an object in a table, in which one more costs nothing, as it does once one was deleted. */
function keepInTable(object: object): void {
  for (const slot of slots) Reflect.set(object, slot, undefined);
  for (const slot of slots) Reflect.deleteProperty(object, slot);
}
const slots = [Symbol("first"), Symbol("last")]; // to delete what was added last would only undo that
