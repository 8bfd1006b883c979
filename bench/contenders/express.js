// Contenders on Express: without sessions, the limit, scs-session, express-session.
import { createServer } from "node:http";
import connectPgSimple from "connect-pg-simple";
import { RedisStore } from "connect-redis";
import express from "express";
import expressSession from "express-session";
import { actions, noSession, redirects } from "./actions.js";
import { openPostgres, openRedis } from "./clients.js";
import { fillExpressStore } from "./fill.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

function serve(session, ...middleware) {
  const app = express();
  if (middleware.length > 0) app.use(...middleware);
  for (const [path, action] of Object.entries(actions)) {
    app.get(path, async (request, response) => {
      const text = await action(session, request, () => request.query);
      if (redirects(path)) response.redirect("/");
      else response.send(text);
    });
  }
  return createServer(app);
}

/** Without an idle expiry nothing need be touched; two stores touch by default. The one in memory has `stored` sessions. */
async function storeOf({ store, redis, postgres, variant, stored = 0 }) {
  const disableTouch = variant !== "idle";
  if (store === "redis") return new RedisStore({ client: await openRedis(redis), disableTouch });
  if (store === "postgres") {
    const PgStore = connectPgSimple(expressSession);
    return new PgStore({ pool: openPostgres(postgres), createTableIfMissing: true, disableTouch });
  }
  const inMemory = new expressSession.MemoryStore();
  await fillExpressStore(inMemory, stored);
  return inMemory;
}

export const contenders = {
  bare: async () => serve(noSession),

  limit: async (setup) => serve(await limit(setup, (request) => request.headers.cookie)),

  "limit, untimed": async (setup) => serve(await limit(setup, (request) => request.headers.cookie, { isTimed: false })),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/express");
    const sessions = await manager(setup);
    return serve(sessionOf(sessions), loadAndSave(sessions));
  },

  "express-session": async (setup) => {
    const isIdle = setup.variant === "idle";
    const middleware = expressSession({
      store: await storeOf(setup),
      secret: "a secret of thirty-two characters",
      resave: false,
      saveUninitialized: false,
      rolling: isIdle,
      cookie: { maxAge: isIdle ? 1_800_000 : 86_400_000 },
    });
    const session = {
      get: ({ session }, key) => session[key],
      put: ({ session }, key, value) => void (session[key] = value),
      keys: ({ session }) => Object.keys(session),
      destroy: ({ session }) =>
        new Promise((resolve, reject) => session.destroy((error) => (error ? reject(error) : resolve()))),
    };
    return serve(session, middleware);
  },
};
