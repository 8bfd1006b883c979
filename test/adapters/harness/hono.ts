/** Hono 4, on @hono/node-server. */

import { createAdaptorServer } from "@hono/node-server";
import { listen, type Harness } from "./tools.ts";
import { hono as web } from "./web.ts";

export const hono: Harness = {
  name: web.name,
  without: web.without,
  // h3, which is tested in this process, too, needs the global Response to be the one that fetch() answers with.
  serve: (app) => listen(createAdaptorServer({ fetch: web.handler(app), overrideGlobalObjects: false }) as never),
};
