// Contenders on Koa: without sessions, the limit, scs-session, koa-session.
import { createServer } from "node:http";
import Koa from "koa";
import koaSession from "koa-session";
import { actions, noSession, redirects } from "./actions.js";
import { openRedis } from "./clients.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

function serve(session, use = () => undefined) {
  const app = new Koa();
  app.silent = true;
  use(app);
  app.use(async (ctx) => {
    const text = await actions[ctx.path](session, ctx, () => ctx.query);
    if (redirects(ctx.path)) ctx.redirect("/");
    else ctx.body = text;
  });
  return createServer(app.callback());
}

export const contenders = {
  bare: async () => serve(noSession),

  limit: async (setup) => serve(await limit(setup, (ctx) => ctx.headers.cookie)),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/koa");
    const sessions = await manager(setup);
    return serve(sessionOf(sessions), (app) => app.use(loadAndSave(sessions)));
  },

  /** `renew` saves when half of the time is over; `rolling` would in every request. */
  "koa-session": async ({ redis, variant }) => {
    const client = await openRedis(redis);
    const isIdle = variant === "idle";
    const store = {
      async get(key) {
        const text = await client.get(`koa:${key}`);
        return text === null ? undefined : JSON.parse(text);
      },
      set: (key, data, maxAge) =>
        client.set(`koa:${key}`, JSON.stringify(data), { expiration: { type: "PX", value: maxAge } }),
      destroy: (key) => client.del(`koa:${key}`),
    };
    const session = {
      get: (ctx, key) => ctx.session[key],
      put: (ctx, key, value) => void (ctx.session[key] = value),
      keys: (ctx) => Object.keys(ctx.session),
      destroy: (ctx) => void (ctx.session = null),
    };
    return serve(session, (app) => {
      app.keys = ["some secret hurr"];
      const maxAge = isIdle ? 1_800_000 : 86_400_000;
      app.use(koaSession({ store, maxAge, renew: isIdle, secure: false }, app));
    });
  },
};
