// Fastify 5, as the compiler is to take it: of HTTP/1 and HTTP/2, with a logger of one's own. Never run.
import Fastify, { type FastifyPluginAsync } from "fastify";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fastify";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

const fastify = Fastify();
void fastify.register(loadAndSave(sessions));
void fastify.register(
  loadAndSave(sessions, { property: "visit", skip: ({ url, routeOptions }) => url === routeOptions.url }),
);
void Fastify({ http2: true }).register(loadAndSave(new SessionManager()));
void Fastify({ https: {}, logger: true }).register(loadAndSave(sessions));
fastify.get<{ Params: { id: string } }>("/user/:id", async (request, reply) => {
  const id: string = request.params.id;
  const userId: number | undefined = sessions.of(request).get("userId");
  return reply.send(`${id} ${sessions.of(request.raw).getNumber("userId") + (userId ?? 0)}`);
});
export const plugin: FastifyPluginAsync = loadAndSave(sessions);
