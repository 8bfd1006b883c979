/** Sessions in a Cloudflare Worker, kept in D1: `npm ci && npm start` runs it in workerd, on this machine. */

import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { SqliteStore } from "scs-session/sqlite";

interface SessionData {
  user: string;
  visits: number;
}

/** As much of D1 as is used here; `@cloudflare/workers-types` has all of it. */
interface D1Database {
  prepare(text: string): {
    bind(...parameters: unknown[]): {
      all(): Promise<{ results: Record<string, unknown>[]; meta: { changes: number } }>;
    };
  };
}

interface Env {
  DB: D1Database;
}

/** D1 is SQLite: this is all that the store has to know of it. */
function storeOf({ DB }: Env): SqliteStore {
  return new SqliteStore({
    async query(text, parameters) {
      const { results, meta } = await DB.prepare(text)
        .bind(...parameters)
        .all();
      // D1 answers bytes as an array of numbers.
      const rows = results.map((row) =>
        Array.isArray(row["data"]) ? { ...row, data: Uint8Array.from(row["data"]) } : row,
      );
      return { rows, affected: meta.changes };
    },
  });
}

/** Built for each request: what one request has opened, no other may use. Building costs no I/O. */
function sessionsOf(env: Env): SessionManager<SessionData> {
  return new SessionManager<SessionData>({
    store: storeOf(env),
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
