/** Fastify 5. */

import { pipeline, type Readable } from "node:stream";
import { text } from "node:stream/consumers";
import Fastify, { type FastifyRequest } from "fastify";
import { loadAndSave } from "scs-session/fastify";
import { answerTo, nodeBody, propertyOf, type Harness } from "./tools.ts";

export const fastify: Harness = {
  name: "Fastify 5",
  parsesFirst: true,
  async serve({ managers, skips, property, trustProxy, handle }) {
    const app = Fastify({ trustProxy, forceCloseConnections: true });
    for (const manager of managers) {
      app.register(loadAndSave(manager, { skip: ({ url }: FastifyRequest) => skips(url), property }));
    }
    app.addContentTypeParser("*", async (_request: FastifyRequest, payload: NodeJS.ReadableStream) => text(payload));
    app.setErrorHandler((error, _request, reply) => {
      const { status, headers, body } = answerTo(error);
      return reply.code(status).headers(headers).send(body);
    });
    app.all("/*", async (request, reply) => {
      const { raw, method, url } = request;
      const answer = await handle({
        context: request,
        raw,
        method,
        url,
        property: propertyOf(request, property),
        body: async () => String(request.body),
      });
      if (answer.redirect !== undefined) return reply.redirect(answer.redirect);
      if (answer.response !== undefined) return answer.response;
      if (answer.flush === true) {
        reply.hijack();
        reply.raw.writeHead(answer.status ?? 200, answer.headers).flushHeaders();
        pipeline(nodeBody(answer) as Readable, reply.raw, () => undefined);
        return reply;
      }
      return reply
        .code(answer.status ?? 200)
        .headers(answer.headers ?? {})
        .send(nodeBody(answer));
    });
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    return { url, close: async () => app.close() };
  },
};
