/** The adapter of node:http, node:https and node:http2, and of Connect. */

import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { SessionError } from "../errors.ts";
import type { SessionManager } from "../manager.ts";
import {
  expectManager,
  expectNode,
  expectOptions,
  isEncrypted,
  serve,
  type AnyManager,
  type PropertyOptions,
} from "./serve.ts";

/** The options of this adapter. */
export interface NodeOptions<Request, Response> extends PropertyOptions<Request> {
  /** Answers when a session cannot be loaded or stored. Undefined: status 503 (or what the error says) and a line of text. */
  readonly onError?: ((error: unknown, request: Request, response: Response) => void) | undefined;
}

/** What both forms come to; the overloads say what they really take. */
type Handler = (request: never, response: never, next: never) => unknown;
type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/**
 * Wraps a request handler: its session is loaded before, and stored before the first byte of the response leaves.
 *
 * ```ts
 * createServer(loadAndSave(sessions, (req, res) => { … }));
 * ```
 */
export function loadAndSave<Data extends object, Request extends AnyRequest, Response extends AnyResponse>(
  manager: SessionManager<Data>,
  handler: (request: Request, response: Response) => unknown,
  options?: NodeOptions<Request, Response>,
): (request: Request, response: Response) => unknown;
/** Middleware for Connect and its kin. */
export function loadAndSave<Data extends object>(
  manager: SessionManager<Data>,
  options?: NodeOptions<IncomingMessage, ServerResponse>,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => unknown;
export function loadAndSave(
  manager: AnyManager,
  handlerOrOptions: Handler | NodeOptions<never, never> = {},
  given: NodeOptions<never, never> = {},
): Handler {
  expectManager("node", manager);
  const handler = typeof handlerOrOptions === "function" ? handlerOrOptions : undefined;
  const options = typeof handlerOrOptions === "function" ? given : handlerOrOptions;
  expectOptions("node", options, ["skip", "property", "onError"]);
  return (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => {
    expectNode("node", request, response);
    const handle = (): unknown =>
      handler === undefined ? next?.() : handler(request as never, response as never, undefined as never);
    if (options.skip?.(request as never) === true) return handle();
    const fail = (error: unknown): void => {
      if (options.onError !== undefined) options.onError(error, request as never, response as never);
      else if (handler === undefined && next !== undefined) next(error);
      else answer(error, response);
    };
    const secure = { property: options.property, isSecure: () => isEncrypted(request) };
    return serve(manager, request, response, secure, handle, fail);
  };
}

function answer(error: unknown, response: ServerResponse): void {
  const status = error instanceof SessionError ? error.status : 500;
  response.statusCode = status;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.setHeader("cache-control", "no-store");
  response.end(`${STATUS_CODES[status] ?? "Error"}\n`);
}
