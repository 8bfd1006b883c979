/** Koa 3 and 2. */

import { createServer, type RequestListener } from "node:http";
import { bodyParser } from "@koa/bodyparser";
import Koa from "koa";
import Koa2 from "koa-2";
import { loadAndSave } from "scs-session/koa";
import type { AdapterAbility } from "scs-session/testing";
import { answerTo, listen, nodeBody, propertyOf, type Harness } from "./tools.ts";

function harness(name: string, Application: typeof Koa, without: readonly AdapterAbility[]): Harness {
  return {
    name,
    without,
    async serve({ managers, skips, property, trustProxy, handle }) {
      const app = new Application({ proxy: trustProxy });
      app.silent = true;
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          const { status, headers, body } = answerTo(error);
          ctx.status = status;
          ctx.set(headers);
          ctx.body = body;
        }
      });
      for (const manager of managers) {
        app.use(loadAndSave(manager, { skip: ({ req: { url = "" } }) => skips(url), property }));
      }
      const parse = bodyParser({ enableTypes: ["form", "text"] });
      app.use(async (ctx) => {
        const reply = await handle({
          context: ctx,
          raw: ctx.req,
          method: ctx.method,
          url: ctx.url,
          property: propertyOf(ctx, property),
          async body() {
            await parse(ctx, async () => undefined);
            return ctx.request.rawBody;
          },
        });
        if (reply.redirect !== undefined) {
          ctx.redirect(reply.redirect);
          return;
        }
        if (reply.response !== undefined) {
          ctx.body = reply.response;
          return;
        }
        ctx.status = reply.status ?? 200;
        const content = nodeBody(reply);
        // When a stream breaks, Koa 2 leaves its response open.
        if (typeof content === "object") content.once("error", () => ctx.res.destroy());
        ctx.body = content ?? null;
        ctx.set(reply.headers ?? {});
        if (reply.flush === true) ctx.flushHeaders();
      });
      return listen(createServer(app.callback() as RequestListener));
    },
  };
}

export const koa3: Harness = harness("Koa 3", Koa, []);
export const koa2: Harness = harness("Koa 2", Koa2, ["responses"]);
