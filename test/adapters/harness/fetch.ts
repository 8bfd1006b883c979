/** A handler of fetch, served by @hono/node-server, which knows no framework either. */

import { createAdaptorServer } from "@hono/node-server";
import { loadAndSave } from "scs-session/fetch";
import { listen, pathOf, webResponse, type Harness } from "./tools.ts";

export const fetchHandler: Harness = {
  name: "fetch",
  without: ["errors", "property", "proxy"],
  async serve({ managers, skips, handle }) {
    let handler = async (request: Request): Promise<Response> => {
      const visit = {
        context: request,
        raw: request,
        method: request.method,
        url: pathOf(request),
        body: () => request.text(),
      };
      return webResponse(await handle(visit));
    };
    const skip = (request: Request): boolean => skips(pathOf(request));
    for (const manager of managers.toReversed()) handler = loadAndSave(manager, handler, { skip });
    // h3, which is tested in this process, too, needs the global Response to be the one that fetch() answers with.
    return listen(createAdaptorServer({ fetch: handler, overrideGlobalObjects: false }) as never);
  },
};
