// What the compiler is to refuse where another session library has merged its declarations. Never run.
import fastifySession from "@fastify/session";
import express from "express";
import expressSession from "express-session";
import Fastify from "fastify";
import { SessionManager } from "scs-session";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

const app = express();
app.use(expressSession({ secret: "s" }));
// @ts-expect-error 2339 theirs are theirs
app.get("/", (req) => req.session.get("userId"));
// @ts-expect-error 2345 ours are ours
app.get("/", (req) => sessions.of(req).get("cookie"));

const fastify = Fastify();
void fastify.register(fastifySession, { secret: "s".repeat(32) });
// @ts-expect-error 2345 ours are ours
fastify.get("/", (request) => sessions.of(request).get("sessionId"));
