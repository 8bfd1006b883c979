// Contenders on Fastify: without sessions, the limit, scs-session, @fastify/session.
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { actions, noSession, redirects } from "./actions.js";
import { openRedis } from "./clients.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

async function serve(session, ...plugins) {
  const app = fastify();
  for (const plugin of plugins) app.register(...plugin);
  for (const [path, action] of Object.entries(actions)) {
    app.get(path, async (request, reply) => {
      const text = await action(session, request, () => request.query);
      return redirects(path) ? reply.redirect("/") : reply.send(text);
    });
  }
  await app.ready();
  return app.server;
}

export const contenders = {
  bare: async () => serve(noSession),

  limit: async (setup) => serve(await limit(setup, (request) => request.headers.cookie)),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/fastify");
    const sessions = await manager(setup);
    return serve(sessionOf(sessions), [loadAndSave(sessions)]);
  },

  /** With `rolling` every request saves. */
  "@fastify/session": async ({ store, redis, variant }) => {
    const isIdle = variant === "idle";
    const options = {
      secret: "a secret of thirty-two characters",
      cookie: { secure: false, maxAge: isIdle ? 1_800_000 : 86_400_000 },
      saveUninitialized: false,
      rolling: isIdle,
      ...(store === "redis" ? { store: new RedisStore({ client: await openRedis(redis) }) } : {}),
    };
    const session = {
      get: ({ session }, key) => session.get(key),
      put: ({ session }, key, value) => session.set(key, value),
      keys: ({ session }) => Object.keys(session),
      destroy: ({ session }) => session.destroy(),
    };
    return serve(session, [fastifyCookie], [fastifySession, options]);
  },
};
