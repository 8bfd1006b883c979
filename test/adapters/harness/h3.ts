/** h3 2, on its own server for Node (srvx). */

import { H3, iterable, redirect, serve } from "h3";
import { loadAndSave } from "scs-session/h3";
import { answerTo, pathOf, propertyOf, type Harness } from "./tools.ts";

export const h3: Harness = {
  name: "h3 2",
  // Its server writes the head, and with the first piece of the body Node sends it.
  without: ["flush"],
  async serve({ managers, skips, property, trustProxy, handle }) {
    const app = new H3({
      silent: true,
      onError(error) {
        const { status, headers, body } = answerTo(error.cause ?? error);
        return new Response(body, { status, headers });
      },
    });
    for (const manager of managers) {
      app.use(loadAndSave(manager, { skip: ({ url }) => skips(url.pathname), property }));
    }
    app.all("/**", async (event) => {
      const reply = await handle({
        context: event,
        raw: event.req,
        method: event.req.method,
        url: pathOf(event.req),
        property: propertyOf(event.context, property ?? "session"),
        body: () => event.req.text(),
      });
      const { status, headers = {}, body, redirect: location, response } = reply;
      if (response !== undefined) return response;
      if (location !== undefined) return redirect(location);
      if (status !== undefined) event.res.status = status;
      for (const [name, values] of Object.entries(headers)) {
        for (const value of [values].flat()) event.res.headers.append(name, value);
      }
      return typeof body === "object" ? iterable(body) : body;
    });
    const server = serve(app, { port: 0, hostname: "127.0.0.1", silent: true, trustProxy });
    await server.ready();
    return { url: server.url!.replace(/\/$/, ""), close: () => server.close(true) };
  },
};
