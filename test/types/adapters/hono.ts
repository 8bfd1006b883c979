// Hono 4, as the compiler is to take it: c.var.session is typed in chains, and wherever the environment says so. Never run.
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { createFactory, createMiddleware } from "hono/factory";
import { SessionManager, type Session } from "scs-session";
import { loadAndSave } from "scs-session/hono";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
interface Env {
  DB: string;
}

const plain = new Hono();
plain.use(loadAndSave(sessions));
plain.use("/admin/*", loadAndSave(sessions));
plain.get("/", (c) => {
  const userId: number | undefined = sessions.of(c).get("userId");
  return c.json({ userId, again: sessions.of(c.req.raw).getNumber("userId") });
});
export const chained = new Hono<{ Bindings: Env }>()
  .use(loadAndSave(sessions))
  .use(loadAndSave(new SessionManager<{ theme: string }>({ cookie: { name: "b" } }), { property: "look" }))
  .get("/user/:id", (c) => {
    const userId: number | undefined = c.var.session.get("userId");
    const theme: string | undefined = c.get("look").get("theme");
    c.env.DB.toUpperCase();
    return c.json({ userId, theme, id: c.req.param("id") });
  });
interface HonoEnv {
  Bindings: Env;
  Variables: { session: Session<Data>; requestId: string };
}
const factory = createFactory<HonoEnv>();
export const handlers = factory.createHandlers(loadAndSave(sessions), (c) => c.json(c.var.session.get("userId")));
export const made = createFactory().createHandlers(loadAndSave(sessions), (c) => c.json(c.var.session.get("userId")));
new Hono<HonoEnv>().use(loadAndSave(sessions)).get("/", (c) => c.json(c.var.session.get("userId")));
const early = new Hono<HonoEnv>();
early.use(loadAndSave(sessions, { skip: (c) => c.req.path === "/health" }));
early.use(loadAndSave(sessions, { skip: (c: Context<HonoEnv>) => c.var.requestId === "" }));
early.get("/", loadAndSave(sessions), (c) => c.json(c.var.session.get("userId")));
export const requireUser = createMiddleware<{ Variables: { session: Session<Data> } }>(async (c, next) => {
  if (c.var.session.exists("userId")) await next();
});
export const anyMiddleware: MiddlewareHandler = loadAndSave(sessions);
