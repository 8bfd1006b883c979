// One process with many live sessions in memory: `node --expose-gc memory.js contender count` prints the bytes of each. They are
// made by the library's own means where these are quick enough, and otherwise as its middleware hands them to its store.
import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { createMemorySessionStorage } from "@remix-run/session/memory-storage";
import expressSession from "express-session";
import fastify from "fastify";
import { MemoryStore as HonoStore } from "hono-sessions";
import { fillExpressStore, fillManager, valuesOf } from "./fill.js";
import { scs } from "./scs.js";

/** Answers what holds the sessions, and how many there are. */
const fill = {
  "scs-session": async (count) => {
    const { SessionManager } = await scs();
    const sessions = new SessionManager();
    await fillManager(sessions, count);
    return [sessions, count];
  },

  "express-session": async (count) => {
    const store = new expressSession.MemoryStore();
    await fillExpressStore(store, count);
    return [store, count];
  },

  /** Its store keeps the request, too: so there have to be real ones, and fewer. */
  "@fastify/session": async (count) => {
    const app = fastify();
    const cookie = { secure: false, maxAge: 86_400_000 };
    app.register(fastifyCookie);
    app.register(fastifySession, { secret: "a secret of thirty-two characters", cookie, saveUninitialized: false });
    app.get("/:n", async (request) => {
      for (const [key, value] of Object.entries(valuesOf(Number(request.params.n)))) request.session.set(key, value);
      return "ok\n";
    });
    const address = await app.listen({ host: "127.0.0.1", port: 0 });
    const fewer = Math.ceil(count / 50);
    for (let n = 0; n < fewer; n++) await (await fetch(`${address}/${n}`)).text();
    return [app, fewer];
  },

  "hono-sessions": async (count) => {
    const store = new HonoStore();
    for (let n = 0; n < count; n++) {
      const entries = Object.entries(valuesOf(n)).map(([key, value]) => [key, { value, flash: false }]);
      const [id, now] = [randomUUID(), new Date().toISOString()];
      const data = { _data: Object.fromEntries(entries), _expire: now, _delete: false, _accessed: now, _id: id };
      store.createSession(id, data);
    }
    return [store, count];
  },

  "@remix-run/session": async (count) => {
    const storage = createMemorySessionStorage();
    for (let n = 0; n < count; n++) {
      const session = await storage.read(null);
      for (const [key, value] of Object.entries(valuesOf(n))) session.set(key, value);
      await storage.save(session);
    }
    return [storage, count];
  },
};

const inUse = () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [name, count] = process.argv.slice(2);
  await fill[name](100); // what is made once
  const before = inUse();
  const [holder, sessions] = await fill[name](Number(count));
  const bytes = (inUse() - before) / sessions;
  console.log(JSON.stringify({ name, sessions, bytes, resident: process.memoryUsage().rss }));
  process.exit(holder === undefined ? 1 : 0); // it is still there
}
