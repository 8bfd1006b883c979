// Contenders on Remix's router and server: without sessions, the limit, scs-session, @remix-run/session.
import { createServer } from "node:http";
import { createCookie } from "@remix-run/cookie";
import { createRouter } from "@remix-run/fetch-router";
import { createRequestListener } from "@remix-run/node-fetch-server";
import { Session } from "@remix-run/session";
import { createMemorySessionStorage } from "@remix-run/session/memory-storage";
import { session as sessionMiddleware } from "@remix-run/session-middleware";
import { createRedisSessionStorage } from "@remix-run/session-storage-redis";
import { actions, noSession, redirects } from "./actions.js";
import { openRedis } from "./clients.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

function serve(session, ...middleware) {
  const router = createRouter({ middleware });
  for (const [path, action] of Object.entries(actions)) {
    router.get(path, async (context) => {
      const text = await action(session, context, () => Object.fromEntries(context.url.searchParams));
      return redirects(path) ? new Response(null, { status: 302, headers: { location: "/" } }) : new Response(text);
    });
  }
  const onError = () => new Response("error\n", { status: 500 });
  return createServer(createRequestListener((request) => router.fetch(request), { onError }));
}

export const contenders = {
  bare: async () => serve(noSession),

  limit: async (setup) => serve(await limit(setup, ({ headers }) => headers.get("cookie"))),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/fetch");
    const sessions = await manager(setup);
    const of = sessionOf(sessions);
    const session = {
      get: ({ request }, key) => of.get(request, key),
      put: ({ request }, key, value) => of.put(request, key, value),
      keys: ({ request }) => of.keys(request),
      destroy: ({ request }) => of.destroy(request),
    };
    const handle = loadAndSave(sessions, (_request, next) => next());
    return serve(session, ({ request }, next) => handle(request, next));
  },

  "@remix-run/session": async ({ store, redis }) => {
    const cookie = createCookie("__session", {
      secrets: ["s3cr3t"],
      httpOnly: true,
      secure: false,
      sameSite: "Lax",
    });
    const storage =
      store === "redis"
        ? createRedisSessionStorage(await openRedis(redis), { ttl: 86_400 })
        : createMemorySessionStorage();
    const session = {
      get: (context, key) => context.get(Session).get(key),
      put: (context, key, value) => context.get(Session).set(key, value),
      keys: (context) => Object.keys(context.get(Session).data[0]),
      destroy: (context) => context.get(Session).destroy(),
    };
    return serve(session, sessionMiddleware(cookie, storage));
  },
};
