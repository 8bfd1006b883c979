/** Express 5 and 4. */

import { createServer } from "node:http";
import { pipeline } from "node:stream";
import { promisify } from "node:util";
import express, { type ErrorRequestHandler, type Request } from "express";
import express4 from "express-4";
import { loadAndSave } from "scs-session/express";
import { answerTo, listen, nodeBody, propertyOf, type Harness } from "./tools.ts";

function harness(name: string, make: () => express.Express): Harness {
  return {
    name,
    without: ["responses"],
    async serve({ managers, skips, property, trustProxy, handle }) {
      const app = make();
      if (trustProxy) app.set("trust proxy", true);
      for (const manager of managers) {
        app.use(loadAndSave(manager, { skip: ({ path }: Request) => skips(path), property }));
      }
      app.use((request, response, next) => {
        const { method, originalUrl } = request;
        const parse = promisify<typeof request, typeof response>(express.text({ type: () => true }));
        const body = async (): Promise<string> => {
          await parse(request, response);
          return String(request.body);
        };
        const send = async (): Promise<void> => {
          const reply = await handle({
            context: request,
            raw: request,
            method,
            url: originalUrl,
            property: propertyOf(request, property),
            body,
          });
          if (reply.redirect !== undefined) {
            response.redirect(reply.redirect);
            return;
          }
          response.status(reply.status ?? 200).set(reply.headers ?? {});
          if (reply.flush === true) response.flushHeaders();
          const content = nodeBody(reply);
          if (typeof content === "object") pipeline(content, response, () => undefined);
          else response.send(content);
        };
        send().catch(next);
      });
      const onError: ErrorRequestHandler = (error, _request, response, next) => {
        if (response.headersSent) {
          next(error);
          return;
        }
        const { status, headers, body } = answerTo(error);
        response.status(status).set(headers).send(body);
      };
      app.use(onError);
      return listen(createServer(app));
    },
  };
}

export const express5: Harness = harness("Express 5", express);
export const expressFour: Harness = harness("Express 4", express4 as unknown as () => express.Express);
