// What the compiler is to refuse in Fastify. Never run.
import Fastify from "fastify";
import { SessionManager } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave } from "scs-session/fastify";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
const fastify = Fastify();
// @ts-expect-error 2345 no manager
void fastify.register(loadAndSave({}));
// @ts-expect-error 2561 misspelt
void fastify.register(loadAndSave(sessions, { Skip: () => true }));
// @ts-expect-error 2769 not called
void fastify.register(loadAndSave);
// @ts-expect-error 2769 another framework's
void fastify.register(forExpress(sessions));
fastify.get("/", async (request) => {
  // @ts-expect-error 2345 an unknown key
  sessions.of(request).get("nothing");
});
