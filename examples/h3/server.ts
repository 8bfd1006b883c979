/** Sessions in h3: `npx tsx --tsconfig tsconfig.json examples/h3/server.ts`. */

import { H3, readBody, redirect, serve } from "h3";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/h3";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });
const app = new H3();

app.use(loadAndSave(sessions)); // before other middleware

app.get("/", (event) => {
  const session = sessions.of(event);
  const user = session.get("user");
  if (user === undefined) return "Please log in";
  session.update("visits", (visits = 0) => visits + 1);
  return `Hello, ${user}: visit ${session.getNumber("visits")}`;
});

app.post("/login", async (event) => {
  const form = await readBody<{ user: string }>(event);
  const session = sessions.of(event);
  session.renewToken(); // against session fixation
  session.put("user", form?.user ?? "somebody");
  return redirect("/", 303); // leaves once it is stored
});

app.post("/logout", (event) => {
  sessions.of(event).destroy();
  return redirect("/", 303);
});

serve(app, { port: Number(process.env["PORT"] ?? 3000), hostname: "127.0.0.1" });
