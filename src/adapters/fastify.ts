/** The adapter of Fastify 5. */

import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { SessionError } from "../errors.ts";
import type { SessionManager } from "../manager.ts";
import { expectManager, expectOptions, serve, wrongAdapter, type PropertyOptions } from "./serve.ts";

/**
 * A Fastify plugin: loads the session before the handlers of all routes of the instance it is registered on, and stores it
 * before the first byte of the response leaves. Errors go to Fastify's error handler, with `statusCode` 503 when the store
 * is down. With `property`, the request is decorated with a getter of that name.
 *
 * ```ts
 * app.register(loadAndSave(sessions));
 * ```
 */
export function loadAndSave<Data extends object>(
  manager: SessionManager<Data>,
  options: PropertyOptions<FastifyRequest> = {},
): FastifyPluginAsync {
  expectManager("fastify", manager);
  expectOptions("fastify", options, ["skip", "property"]);
  const { skip, property } = options;
  const plugin: FastifyPluginAsync = async (fastify) => {
    if (typeof (fastify as Partial<typeof fastify>).addHook !== "function") throw wrongAdapter("fastify", fastify);
    if (property !== undefined) {
      fastify.decorateRequest(property, {
        getter() {
          return manager.lookup(this);
        },
      });
    }
    fastify.addHook("onRequest", (request, reply, next) => {
      if (skip?.(request) === true) {
        next();
        return;
      }
      // Fastify knows the proxies that may be trusted.
      const view = { context: request, isSecure: () => request.protocol === "https" };
      void serve(manager, request.raw, reply.raw, view, next, failing(reply));
    });
  };
  return Object.assign(plugin, {
    // The hook is the parent's, not of a context of its own.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "scs-session",
    [Symbol.for("plugin-meta")]: { name: "scs-session", fastify: "5.x" },
  });
}

/**
 * Answers an error through Fastify. When a commit fails, its hooks have run and the payload is held back: only the handler's
 * headers have to be taken away, as for a stream that breaks before its first byte.
 */
function failing(reply: FastifyReply): (error: unknown) => void {
  // Fastify appends to the list of Set-Cookie in place.
  const entry = Object.entries(reply.getHeaders()).map(
    ([name, value]) => [name, Array.isArray(value) ? [...value] : value] as const,
  );
  return (error) => {
    const status = error instanceof SessionError ? error.status : 500;
    if (reply.sent || reply.raw.headersSent) {
      // The reply was hijacked, or Fastify has given the request up meanwhile: it sends nothing more.
      reply.log.error({ err: error }, "A session could not be loaded or stored.");
      if (!reply.raw.headersSent) reply.raw.writeHead(status, { "content-type": "text/plain" }).end("Error\n");
      return;
    }
    for (const name of (reply.getHeader("trailer") ?? "").toString().split(" ")) reply.removeTrailer(name);
    for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name);
    reply.headers(Object.fromEntries(entry)).code(status).send(error);
  };
}
