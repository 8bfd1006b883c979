/** Sessions in Hono, on its server for Node: `npx tsx --tsconfig tsconfig.json examples/hono/server.ts`. */

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/hono";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });

const app = new Hono()
  .use(loadAndSave(sessions)) // in the chain, so that c.var.session is typed; sessions.of(c) is everywhere
  .get("/", (c) => {
    const { session } = c.var;
    const user = session.get("user");
    if (user === undefined) return c.text("Please log in");
    session.update("visits", (visits = 0) => visits + 1);
    return c.text(`Hello, ${user}: visit ${session.getNumber("visits")}`);
  })
  .post("/login", async (c) => {
    const { user } = await c.req.parseBody<{ user: string }>();
    c.var.session.renewToken(); // against session fixation
    c.var.session.put("user", user);
    return c.redirect("/", 303); // leaves once it is stored
  })
  .post("/logout", (c) => {
    c.var.session.destroy();
    return c.redirect("/", 303);
  });

serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "127.0.0.1" });
