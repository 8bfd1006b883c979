// A server to be measured: `bare`, or with sessions in memory. Started by overhead.ts, to which it tells its CPU time. Plain
// JavaScript on the built package: a loader of TypeScript would be measured as well.
import { createServer } from "node:http";
import process from "node:process";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/node";

const handlers = {
  bare: () => (_, response) => response.end("ok\n"),

  sessions: () => {
    const sessions = new SessionManager();
    return loadAndSave(sessions, (request, response) => {
      if (request.url === "/read") sessions.of(request).get("user");
      if (request.url === "/write") sessions.of(request).put("visits", Date.now());
      if (request.url === "/start") sessions.of(request).put("user", 1);
      response.end("ok\n");
    });
  },
};

const handler = handlers[process.argv[2]];
if (handler === undefined) throw new Error(`usage: server.js ${Object.keys(handlers).join("|")}`);
const server = createServer(handler()).listen(0, "127.0.0.1", () => {
  process.send?.({ port: server.address().port });
});
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system });
});
process.on("disconnect", () => process.exit());
