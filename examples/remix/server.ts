/** Sessions in Remix 3, by its router and its server for Node: `npm ci && npm start`. */

import { createServer } from "node:http";
import { createRouter } from "@remix-run/fetch-router";
import { createRequestListener } from "@remix-run/node-fetch-server";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });

const router = createRouter();

router.get("/", ({ request }) => {
  const session = sessions.of(request);
  const user = session.get("user");
  if (user === undefined) return new Response("Please log in");
  session.update("visits", (visits = 0) => visits + 1);
  return new Response(`Hello, ${user}: visit ${session.getNumber("visits")}`);
});

router.post("/login", async ({ request }) => {
  const form = await request.formData();
  const session = sessions.of(request);
  session.renewToken(); // against session fixation
  session.put("user", String(form.get("user")));
  return home(); // leaves once it is stored
});

router.post("/logout", ({ request }) => {
  sessions.of(request).destroy();
  return home();
});

const home = (): Response => new Response(null, { status: 303, headers: { location: "/" } });

const handler = loadAndSave(sessions, (request) => router.fetch(request));
createServer(createRequestListener(handler)).listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
