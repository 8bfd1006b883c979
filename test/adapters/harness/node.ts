/** node:http, as a wrapper around a handler. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream";
import { loadAndSave } from "scs-session/node";
import { listen, nodeBody, propertyOf, type Harness } from "./tools.ts";

export const node: Harness = {
  name: "node:http",
  without: ["errors", "proxy", "responses"],
  async serve({ managers, skips, property, handle }) {
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const { method = "", url = "" } = request;
      const body = (): Promise<string> => text(request);
      const reply = await handle({
        context: request,
        raw: request,
        method,
        url,
        property: propertyOf(request, property),
        body,
      });
      if (reply.redirect !== undefined) {
        response.writeHead(302, { location: reply.redirect }).end();
        return;
      }
      response.writeHead(reply.status ?? 200, reply.headers);
      if (reply.flush === true) response.flushHeaders();
      const content = nodeBody(reply);
      if (typeof content === "object") pipeline(content, response, () => undefined);
      else response.end(content);
    };
    const options = { skip: ({ url = "" }: IncomingMessage) => skips(url), property };
    let handler: (request: IncomingMessage, response: ServerResponse) => unknown = answer;
    for (const manager of managers.toReversed()) handler = loadAndSave(manager, handler, options);
    return listen(createServer((request, response) => void handler(request, response)));
  },
};
