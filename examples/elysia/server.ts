/** Sessions in Elysia, on Node: `npm ci && npm start`. */

import { Elysia, t } from "elysia";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { serve } from "srvx";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });

// Elysia's own redirect("/") wants an absolute address on Node.
const home = (): Response => new Response(null, { status: 303, headers: { location: "/" } });

const app = new Elysia()
  .get("/", ({ request }) => {
    const session = sessions.of(request);
    const user = session.get("user");
    if (user === undefined) return "Please log in";
    session.update("visits", (visits = 0) => visits + 1);
    return `Hello, ${user}: visit ${session.getNumber("visits")}`;
  })
  .post(
    "/login",
    ({ request, body }) => {
      const session = sessions.of(request);
      session.renewToken(); // against session fixation
      session.put("user", body.user);
      return home(); // leaves once it is stored
    },
    { body: t.Object({ user: t.String() }) },
  )
  .post("/logout", ({ request }) => {
    sessions.of(request).destroy();
    return home();
  });

// Around all of Elysia, its error handling included. On Bun: Bun.serve({ fetch }).
const fetch = loadAndSave(sessions, app.fetch);
serve({ fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "127.0.0.1" });
