/** What workerd is to pass, as a worker: it runs the contracts, case by case, and it is a site with its sessions in D1. */

import { Hono } from "hono";
import { SessionManager, subscribe } from "scs-session";
import { loadAndSave as forFetch } from "scs-session/fetch";
import { loadAndSave as forHono } from "scs-session/hono";
import { MemoryStore } from "scs-session/memory";
import { SqliteStore, type D1Database } from "scs-session/sqlite";
import { adapterContract, storeContract } from "scs-session/testing";
import { fetchHandler, hono } from "../../adapters/harness/web.ts";

interface Env {
  readonly DB: D1Database;
}
interface Data {
  user: string;
  n: number;
  rich: typeof rich;
}
type Sessions = SessionManager<Data>;
type Handler = (request: Request) => Response | Promise<Response>;

const down = (): Promise<never> => Promise.reject(new Error("D1 is down"));

// In the global scope workers may neither do I/O nor start timers nor draw randomness: constructors do nothing of that.
new SessionManager({ idleTimeout: "1h", secrets: ["s".repeat(32)], store: new SqliteStore({ query: down }) });
/** What happened since it was last asked for. */
const events: string[] = [];
subscribe(({ type }) => events.push(type));

interface Case {
  readonly name: string;
  run(): Promise<void>;
}

/** The application of the case that runs. The case is one request, and its client comes back to this worker by others. */
let served: Handler = () => new Response("No case runs.", { status: 500 });

/**
 * Cases whose handler waits for something that the case does. In workerd promises and signals belong to the request that made
 * them, and a request that waits for nothing of its own is cancelled: these call the handler within their own request.
 */
const waiting =
  /^(nothing of the response leaves before|a redirect after login leaves once|a head that is flushed|a first piece that is sent early|an error after the first byte|a store that does not answer|of two managers of which one|current throws session-closed)/;
const fetchOut = globalThis.fetch;
const fetchIn = async (url: unknown, init?: RequestInit): Promise<Response> => served(new Request(String(url), init));

/** No handler learns here that its client has gone: `request.signal` stays silent, and the handler runs to its end. */
const lacking = ["aborts"] as const;

let tables = 0;

function casesAt(origin: string, { DB }: Env): Case[] {
  const ofAdapters = [fetchHandler, hono].flatMap(({ name, without, handler }) => {
    const cases = adapterContract(
      async (app) => {
        served = handler(app);
        return { url: origin, close: async () => undefined };
      },
      { without: [...without, ...lacking] },
    );
    return cases.map((each) => ({
      name: `contract of ${name}: ${each.name}`,
      run() {
        globalThis.fetch = waiting.test(each.name) ? fetchIn : fetchOut;
        return each.run().finally(() => (globalThis.fetch = fetchOut));
      },
    }));
  });
  const memory = storeContract(() => new MemoryStore());
  const d1 = storeContract(async () => {
    const store = new SqliteStore(DB, { table: `contract_${++tables}` });
    await store.migrate();
    return store;
  });
  // What takes thousands of calls is a matter of seconds in D1, and SqliteStore's statements are checked elsewhere.
  const short = d1.filter(({ name }) => !/counters|many|moves the expiry/.test(name));
  const named = (what: string, cases: readonly Case[]): Case[] =>
    cases.map((each) => ({ name: `${what}: ${each.name}`, run: () => each.run() }));
  return [...ofAdapters, ...named("MemoryStore", memory), ...named("D1", short)];
}

/** Answers the names of the contracts' cases, or runs one, and says what was wrong. */
async function contracts(request: Request, env: Env): Promise<Response> {
  const { origin, searchParams } = new URL(request.url);
  const cases = casesAt(origin, env);
  const which = searchParams.get("run");
  if (which === null) return Response.json(cases.map(({ name }) => name));
  try {
    await cases.find(({ name }) => name === which)?.run();
    return new Response("passed");
  } catch (error) {
    return new Response(String(error));
  }
}

/** The site: manager and store are built for each request, from its environment. */
function sessionsOf({ DB }: Env, path: string): Sessions {
  const client = path.includes("/down/") ? { query: down } : DB;
  // A machine that is busy with other tests is slow; 20 requests at once conflict with one another.
  const storeTimeout = "30s";
  return new SessionManager({ store: new SqliteStore(client), subject: ({ user }) => user, storeTimeout });
}

const rich = { date: new Date(5), map: new Map([["a", new Set([1n])]]), bytes: Uint8Array.of(0, 255), odd: NaN };

async function visit(sessions: Sessions, context: object, request: Request): Promise<string> {
  const session = sessions.of(context);
  const path = new URL(request.url).pathname;
  if (path.endsWith("/put")) {
    session.put("user", await request.text());
    session.put("rich", rich);
  } else if (path.endsWith("/add")) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    sessions.current().update("n", (n = 0) => n + 1);
  } else if (path.endsWith("/renew")) {
    session.renewToken();
  } else if (path.endsWith("/destroy")) {
    session.destroy();
  } else if (path.endsWith("/destroy-slowly")) {
    session.destroy();
    events.push("destroying");
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  } else if (path.endsWith("/revoke")) {
    await sessions.revoke({ subject: session.getString("user"), except: session });
  }
  await Promise.resolve();
  const isRich = session.get("rich")?.map.get("a")?.has(1n) === true;
  const isCurrent = sessions.current() === session;
  return `${session.getString("user")},${session.getNumber("n")},${isRich ? "rich" : ""},${isCurrent ? "current" : ""}`;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/worker/contracts") return contracts(request, env);
    if (pathname === "/worker/migrate") {
      await new SqliteStore(env.DB).migrate();
      return new Response(null, { status: 204 });
    }
    if (pathname === "/worker/events") return Response.json(events.splice(0));
    if (pathname.startsWith("/worker/fetch/")) {
      const sessions = sessionsOf(env, pathname);
      return forFetch(sessions, async () => new Response(await visit(sessions, request, request)))(request);
    }
    if (pathname.startsWith("/worker/hono/")) {
      const sessions = sessionsOf(env, pathname);
      const app = new Hono().use(forHono(sessions)).all("*", async (c) => c.text(await visit(sessions, c, c.req.raw)));
      return app.fetch(request);
    }
    return served(request);
  },
};
