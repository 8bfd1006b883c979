// What the compiler says where adapters meet their frameworks. Never run.
/* eslint @typescript-eslint/no-unsafe-class-instance-assignment: "off" -- what is expected to fail */
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { createServer as createHttps } from "node:https";
import type { NextFunction, Request as ExpressRequest, Response as ExpressResponse, RequestHandler } from "express";
import express from "express";
import type * as express4 from "express-4";
import Fastify, { type FastifyPluginAsync } from "fastify";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { createFactory, createMiddleware } from "hono/factory";
import { SessionManager, type Session } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave as forFastify } from "scs-session/fastify";
import { loadAndSave as forFetch } from "scs-session/fetch";
import { loadAndSave as forHono } from "scs-session/hono";
import { loadAndSave as forNode } from "scs-session/node";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

// Express 5
const app = express();
app.use(forExpress(sessions));
app.use("/admin", forExpress(sessions));
app.use(express.static("public"), forExpress(sessions), express.json());
app.get("/user/:id", forExpress(sessions), (req, res) => {
  const id: string = req.params.id;
  const userId: number | undefined = sessions.of(req).get("userId");
  res.send(`${id} ${userId}`);
});
app.use(forExpress(sessions, { property: "session", skip: (req) => req.url === "/health" }));
app.use(forExpress<Data, ExpressRequest>(sessions, { skip: (req) => req.path === "/health" }));
express.Router().use(forExpress(sessions));
export const handler: RequestHandler = forExpress(sessions);
interface Body {
  sku: string;
}
export const narrow: RequestHandler<{ id: string }, { ok: true }, Body, { q: string }, { user: 1 }> =
  forExpress(sessions);
export const called = (req: ExpressRequest, res: ExpressResponse, next: NextFunction): void => {
  forExpress(sessions)(req, res, next);
};
// @ts-expect-error 2345 no manager
app.use(forExpress({}));
// @ts-expect-error 2561 misspelt
app.use(forExpress(sessions, { Skip: () => true }));

// Express 4
declare const app4: express4.Express;
app4.use(forExpress(sessions));
app4.use("/admin", forExpress(sessions));
app4.get("/user/:id", forExpress(sessions), (req, res) => {
  const id: string = req.params.id;
  res.send(`${id} ${sessions.of(req).getNumber("userId")}`);
});
app4.use(forExpress<Data, express4.Request>(sessions, { skip: (req) => req.path === "/health" }));
export const handler4: express4.RequestHandler<{ id: string }, { ok: true }, Body, { q: string }, { user: 1 }> = forExpress(sessions); // prettier-ignore

// Fastify, of HTTP/1 and HTTP/2, with a logger or type provider of one's own
const fastify = Fastify();
void fastify.register(forFastify(sessions));
void fastify.register(
  forFastify(sessions, { property: "visit", skip: ({ url, routeOptions }) => url === routeOptions.url }),
);
void Fastify({ http2: true }).register(forFastify(new SessionManager()));
void Fastify({ https: {}, logger: true }).register(forFastify(sessions));
fastify.get<{ Params: { id: string } }>("/user/:id", async (request, reply) => {
  const id: string = request.params.id;
  const userId: number | undefined = sessions.of(request).get("userId");
  return reply.send(`${id} ${sessions.of(request.raw).getNumber("userId") + (userId ?? 0)}`);
});
export const plugin: FastifyPluginAsync = forFastify(sessions);
// @ts-expect-error 2345 no manager
void fastify.register(forFastify({}));
// @ts-expect-error 2561 misspelt
void fastify.register(forFastify(sessions, { Skip: () => true }));
// @ts-expect-error 2769 not called
void fastify.register(forFastify);
// @ts-expect-error 2769 another framework's
void fastify.register(forExpress(sessions));

// Connect and its kin
type Connect = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;
export const connect: Connect = forNode(sessions);
export const connectByExpress: Connect = forExpress(sessions);
export const withOptions: Connect = forNode(sessions, { skip: (req) => req.url === "/health", property: "session" });
app.use(forNode(sessions));

// node:http, node:https, node:http2
createHttp(forNode(sessions, (req, res) => res.end(String(sessions.of(req).get("userId")))));
createHttps(
  {},
  forNode(sessions, async (_req: IncomingMessage, res: ServerResponse) => void res.end()),
);
createHttp(
  forNode(sessions, (_req: IncomingMessage, res: ServerResponse) => res.end(), {
    skip: (req) => req.method === "OPTIONS",
    onError: (_error, _req, res) => res.writeHead(500).end(),
  }),
);
createHttp2(forNode(sessions, (req, res) => res.end(req.url)));
// @ts-expect-error 2769 no manager
createHttp(forNode({}, () => undefined));

// Bun, Deno, Workers
interface Env {
  DB: string;
}
interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void;
}
interface ExportedHandler<E> {
  fetch(request: Request, env: E, ctx: ExecutionContext): Response | Promise<Response>;
}
export const worker: ExportedHandler<Env> = {
  fetch: forFetch(sessions, async (request, env: Env, ctx: ExecutionContext) => {
    ctx.waitUntil(Promise.resolve(env.DB));
    return new Response(String(sessions.of(request).get("userId")));
  }),
};
declare const Bun: {
  serve(options: { fetch(request: Request, server: { upgrade(request: Request): boolean }): Response | Promise<Response> }): unknown; // prettier-ignore
};
Bun.serve({ fetch: forFetch(sessions, (request) => Response.json(sessions.of(request).get("userId"))) });
Bun.serve({ fetch: forFetch(sessions, (request, server: { upgrade(request: Request): boolean }) => Response.json(server.upgrade(request))) }); // prettier-ignore
declare const Deno: {
  serve(handler: (request: Request, info: { remoteAddr: object }) => Response | Promise<Response>): unknown;
};
Deno.serve(forFetch(sessions, () => new Response()));
export const plain: (request: Request) => Promise<Response> = forFetch(sessions, () => new Response());
forFetch(sessions, () => new Response(), { onError: () => new Response(null, { status: 503 }), skip: () => false });
// @ts-expect-error 2322 a handler answers with a Response
forFetch(sessions, () => "text");
// @ts-expect-error 2554 a handler is required
forFetch(sessions);
// @ts-expect-error 2322 the wrapped handler wants what the handler wants
void forFetch(sessions, (_request, _env: Env) => new Response())(new Request("http://a/"), { DB: 1 });

// Hono: c.var.session is typed in chains, and wherever the environment says so; sessions.of(c) is everywhere
const plainHono = new Hono();
plainHono.use(forHono(sessions));
plainHono.use("/admin/*", forHono(sessions));
plainHono.get("/", (c) => {
  // @ts-expect-error 2339 not chained
  const { session: _session } = c.var;
  const userId: number | undefined = sessions.of(c).get("userId");
  return c.json({ userId, again: sessions.of(c.req.raw).getNumber("userId") });
});
export const chained = new Hono<{ Bindings: Env }>()
  .use(forHono(sessions))
  .use(forHono(new SessionManager<{ theme: string }>({ cookie: { name: "b" } }), { property: "look" }))
  .get("/user/:id", (c) => {
    const userId: number | undefined = c.var.session.get("userId");
    const theme: string | undefined = c.get("look").get("theme");
    c.env.DB.toUpperCase();
    // @ts-expect-error 2345 not a key
    c.var.session.get("theme");
    return c.json({ userId, theme, id: c.req.param("id") });
  });
interface HonoEnv {
  Bindings: Env;
  Variables: { session: Session<Data>; requestId: string };
}
const factory = createFactory<HonoEnv>();
export const handlers = factory.createHandlers(forHono(sessions), (c) => c.json(c.var.session.get("userId")));
export const made = createFactory().createHandlers(forHono(sessions), (c) => c.json(c.var.session.get("userId")));
new Hono<HonoEnv>().use(forHono(sessions)).get("/", (c) => c.json(c.var.session.get("userId")));
const early = new Hono<HonoEnv>();
early.use(forHono(sessions, { skip: (c) => c.req.path === "/health" }));
early.use(forHono(sessions, { skip: (c: Context<HonoEnv>) => c.var.requestId === "" }));
early.get("/", forHono(sessions), (c) => c.json(c.var.session.get("userId")));
export const requireUser = createMiddleware<{ Variables: { session: Session<Data> } }>(async (c, next) => {
  if (c.var.session.exists("userId")) await next();
});
export const anyMiddleware: MiddlewareHandler = forHono(sessions);
// @ts-expect-error 2345 no manager
plainHono.use(forHono({}));
// @ts-expect-error 2561 misspelt
plainHono.use(forHono(sessions, { Skip: () => true }));
// @ts-expect-error 2769 Hono is not Express
app.use(forHono(sessions));
