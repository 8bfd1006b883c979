/** Sessions in Fastify: `npx tsx --tsconfig tsconfig.json examples/fastify/server.ts`. */

import Fastify from "fastify";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fastify";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });
const app = Fastify({ logger: true });

app.register(loadAndSave(sessions));

// As @fastify/formbody does it.
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(String(body))));
});

app.get("/", async (request) => {
  const session = sessions.of(request);
  const user = session.get("user");
  if (user === undefined) return "Please log in";
  session.update("visits", (visits = 0) => visits + 1);
  return `Hello, ${user}: visit ${session.getNumber("visits")}`;
});

app.post<{ Body: { user: string } }>("/login", async (request, reply) => {
  const session = sessions.of(request);
  session.renewToken(); // against session fixation
  session.put("user", request.body.user);
  return reply.redirect("/", 303); // leaves once it is stored
});

app.post("/logout", async (request, reply) => {
  sessions.of(request).destroy();
  return reply.redirect("/", 303);
});

await app.listen({ port: Number(process.env["PORT"] ?? 3000), host: "127.0.0.1" });
