// node:http, node:https, node:http2, and Connect and its kin, as the compiler is to take them. Never run.
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { createServer as createHttps } from "node:https";
import express from "express";
import { SessionManager } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave } from "scs-session/node";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

createHttp(loadAndSave(sessions, (req, res) => res.end(String(sessions.of(req).get("userId")))));
createHttps(
  {},
  loadAndSave(sessions, async (_req: IncomingMessage, res: ServerResponse) => void res.end()),
);
createHttp(
  loadAndSave(sessions, (_req: IncomingMessage, res: ServerResponse) => res.end(), {
    skip: (req) => req.method === "OPTIONS",
    onError: (_error, _req, res) => res.writeHead(500).end(),
  }),
);
createHttp2(loadAndSave(sessions, (req, res) => res.end(req.url)));

// Connect
type Connect = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;
export const connect: Connect = loadAndSave(sessions);
export const connectByExpress: Connect = forExpress(sessions);
export const withOptions: Connect = loadAndSave(sessions, {
  skip: (req) => req.url === "/health",
  property: "session",
});
express().use(loadAndSave(sessions));
