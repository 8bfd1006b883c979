/** Starts the demo: `npm run demo`. */

import type { AddressInfo } from "node:net";
import { SessionManager, subscribe } from "scs-session";
import { createApp, sessionOptions, type SessionData } from "./app.ts";

const sessions = new SessionManager<SessionData>(sessionOptions);

const server = createApp(sessions).listen(Number(process.env["PORT"] ?? 4000), "127.0.0.1", (error) => {
  if (error !== undefined) throw error;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(`The demo of scs-session listens on ${url}

  In a browser:  ${url}/
  With curl:     curl -i -c cookies.txt ${url}/put
                 curl -b cookies.txt ${url}/get

Ctrl-C ends it. What happens to sessions (ids are hashes, tokens are never shown):`);
});

subscribe((event) => {
  const about = "session" in event ? event.session.slice(0, 8) : "reason" in event ? event.reason : "";
  console.log(`  ${event.type} ${about}`);
});

function stop(): void {
  server.close(() => void sessions.close());
}
process.once("SIGINT", stop);
process.once("SIGTERM", stop);
