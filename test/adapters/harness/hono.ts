/** Hono 4, on @hono/node-server. */

import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { stream } from "hono/streaming";
import { loadAndSave } from "scs-session/hono";
import { answerTo, listen, pathOf, type Harness } from "./tools.ts";

export const hono: Harness = {
  name: "Hono 4",
  // Hono's own c.req.url follows no X-Forwarded-Proto.
  without: ["proxy"],
  async serve({ managers, skips, property, handle }) {
    const app = new Hono<{ Variables: Record<string, unknown> }>();
    for (const manager of managers) {
      app.use(loadAndSave(manager, { skip: (c) => skips(c.req.path), property }));
    }
    app.all("*", async (c) => {
      const reply = await handle({
        context: c,
        raw: c.req.raw,
        method: c.req.method,
        url: pathOf(c.req),
        property: c.get(property ?? "session"),
        body: () => c.req.text(),
      });
      const { status = 200, headers = {}, body, redirect, response } = reply;
      if (response !== undefined) return response;
      if (redirect !== undefined) return c.redirect(redirect);
      c.status(status as 200);
      for (const [name, values] of Object.entries(headers)) {
        for (const value of [values].flat()) c.header(name, value, { append: true });
      }
      if (body === undefined) return c.body(null);
      if (typeof body === "string") return c.text(body);
      return stream(
        c,
        async (out) => {
          for await (const piece of body) await out.write(piece);
        },
        async () => undefined,
      );
    });
    app.onError((error) => {
      const { status, headers, body } = answerTo(error);
      return new Response(body, { status, headers });
    });
    return listen(createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as never);
  },
};
