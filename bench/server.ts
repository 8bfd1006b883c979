/** A server to be measured: `bare`, or with sessions in memory. Started by overhead.ts, to which it tells its CPU time. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/node";

const handlers: Record<string, () => (request: IncomingMessage, response: ServerResponse) => unknown> = {
  bare: () => (_, response) => response.end("ok\n"),

  sessions: () => {
    const sessions = new SessionManager<{ user: number; visits: number }>();
    return loadAndSave(sessions, (request, response) => {
      if (request.url === "/read") sessions.of(request).get("user");
      if (request.url === "/write") sessions.of(request).put("visits", Date.now());
      if (request.url === "/start") sessions.of(request).put("user", 1);
      response.end("ok\n");
    });
  },
};

const handler = handlers[process.argv[2] ?? ""];
if (handler === undefined) throw new Error(`usage: server.ts ${Object.keys(handlers).join("|")}`);
const server = createServer(handler()).listen(0, "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system });
});
process.on("disconnect", () => process.exit());
