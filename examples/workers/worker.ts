/** Sessions in a Cloudflare Worker, kept in D1: `npm ci && npm start` runs it in workerd, on this machine. */

import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { SqliteStore, type D1Database } from "scs-session/sqlite";

interface SessionData {
  user: string;
  visits: number;
}

interface Env {
  DB: D1Database; // `@cloudflare/workers-types` has the whole of it, which fits
}

/** Built for each request: what one request has opened, no other may use. Building costs no I/O. */
function sessionsOf(env: Env): SessionManager<SessionData> {
  return new SessionManager<SessionData>({
    store: new SqliteStore(env.DB),
    lifetime: "12h",
    subject: (data) => data.user,
    sweepInterval: false, // timers end with their request: the cron trigger below sweeps
  });
}

async function answer(request: Request, sessions: SessionManager<SessionData>): Promise<Response> {
  const session = sessions.of(request);
  const home = new Response(null, { status: 303, headers: { location: "/" } });
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case "GET /": {
      const user = session.get("user");
      if (user === undefined) return new Response("Please log in");
      session.update("visits", (visits = 0) => visits + 1);
      return new Response(`Hello, ${user}: visit ${session.getNumber("visits")}`);
    }
    case "POST /login": {
      const form = new URLSearchParams(await request.text());
      session.renewToken(); // against session fixation
      session.put("user", form.get("user") ?? "");
      return home; // leaves once it is stored
    }
    case "POST /logout":
      session.destroy();
      return home;
    default:
      return new Response("Not found", { status: 404 });
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const sessions = sessionsOf(env);
    return loadAndSave(sessions, (request) => answer(request, sessions))(request);
  },

  /** Deletes sessions that have expired. */
  async scheduled(_controller: unknown, env: Env): Promise<void> {
    await sessionsOf(env).prune();
  },
};
