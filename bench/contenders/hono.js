// Contenders on Hono: without sessions, the limit, scs-session, hono-sessions, @hono/session.
import { createAdaptorServer } from "@hono/node-server";
import { useSession, useSessionStorage } from "@hono/session";
import { Hono } from "hono";
import { MemoryStore, sessionMiddleware } from "hono-sessions";
import { actions, noSession, redirects } from "./actions.js";
import { openRedis } from "./clients.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

function serve(session, ...middleware) {
  const app = new Hono();
  if (middleware.length > 0) app.use(...middleware);
  for (const [path, action] of Object.entries(actions)) {
    app.get(path, async (c) => {
      const text = await action(session, c, () => c.req.query());
      return redirects(path) ? c.redirect("/") : c.text(text);
    });
  }
  return createAdaptorServer({ fetch: app.fetch });
}

const day = { expiration: { type: "EX", value: 86_400 } };

/** A driver for Redis, as the wiki of hono-sessions tells to make one. */
function redisDriver(client) {
  const save = (id, data) => client.set(`hono:${id}`, JSON.stringify(data), day);
  return {
    async getSessionById(id) {
      const text = await client.get(`hono:${id}`);
      return text === null ? null : JSON.parse(text);
    },
    createSession: save,
    persistSessionData: save,
    deleteSession: (id) => client.del(`hono:${id}`),
  };
}

/** Storage in Redis for @hono/session. */
function redisStorage(client) {
  return {
    async get(id) {
      const text = await client.get(`hono:${id}`);
      return text === null ? null : JSON.parse(text);
    },
    set: (id, data) => client.set(`hono:${id}`, JSON.stringify(data), day),
    delete: (id) => client.del(`hono:${id}`),
  };
}

export const contenders = {
  bare: async () => serve(noSession),

  limit: async (setup) => serve(await limit(setup, (c) => c.req.header("cookie"))),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/hono");
    const sessions = await manager(setup);
    return serve(sessionOf(sessions), loadAndSave(sessions));
  },

  "hono-sessions": async ({ store, redis, variant }) => {
    const isIdle = variant === "idle";
    const options = {
      store: store === "redis" ? redisDriver(await openRedis(redis)) : new MemoryStore(),
      encryptionKey: "password_at_least_32_characters_long",
      expireAfterSeconds: isIdle ? 1_800 : 86_400,
      autoExtendExpiration: isIdle,
      cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true },
    };
    const session = {
      get: (c, key) => c.get("session").get(key) ?? undefined,
      put: (c, key, value) => c.get("session").set(key, value),
      keys: (c) => Object.keys(c.get("session").getCache()._data),
      destroy: (c) => c.get("session").deleteSession(),
    };
    return serve(session, sessionMiddleware(options));
  },

  "@hono/session": async ({ store, redis, variant }) => {
    const inactivity = variant === "idle" ? { inactivity: 1_800 } : {};
    const options = { secret: "a-secret-of-32-bytes-for-the-jwe", duration: { absolute: 86_400, ...inactivity } };
    const session = {
      get: async (c, key) => (await c.var.session.get((expired) => expired))?.[key],
      put: (c, key, value) => c.var.session.update((data) => ({ ...data, [key]: value })),
      keys: async (c) => Object.keys((await c.var.session.get()) ?? {}),
      destroy: async (c) => {
        await c.var.session.get();
        c.var.session.delete();
      },
    };
    if (store !== "redis") return serve(session, useSession(options));
    return serve(session, useSessionStorage(redisStorage(await openRedis(redis))), useSession(options));
  },
};
