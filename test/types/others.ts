// The types of express-session, @fastify/session and koa-session in the same program: they merge declarations into those of
// their frameworks, with which ours must neither clash nor count. Never run.
import fastifySession from "@fastify/session";
import { bodyParser } from "@koa/bodyparser";
import express from "express";
import expressSession from "express-session";
import Fastify from "fastify";
import Koa from "koa";
import koaSession from "koa-session";
import { SessionManager } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave as forFastify } from "scs-session/fastify";
import { loadAndSave as forKoa } from "scs-session/koa";

declare module "express-session" {
  interface SessionData {
    views: number;
  }
}
declare module "fastify" {
  interface Session {
    views: number;
  }
}

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

const app = express();
app.use(expressSession({ secret: "s" }), forExpress(sessions), forExpress(sessions, { property: "visit" }));
app.get("/", (req, res) => {
  req.session.views = (req.session.views ?? 0) + 1;
  res.send(`${req.session.views} ${sessions.of(req).get("userId")} ${req.sessionID}`);
});

const fastify = Fastify();
void fastify.register(fastifySession, { secret: "s".repeat(32) });
void fastify.register(forFastify(sessions, { property: "visit" }));
fastify.get("/", async (request) => {
  request.session.views += 1;
  return `${request.session.sessionId} ${sessions.of(request).getNumber("userId")}`;
});

const koa = new Koa();
koa.use(koaSession({ key: "theirs" }, koa)).use(forKoa(sessions, { property: "visit" }));
koa.use(bodyParser()).use((ctx) => {
  const { views } = ctx["session"] as { views: number };
  ctx.body = `${views} ${sessions.of(ctx).get("userId")} ${ctx.request.rawBody}`;
});
