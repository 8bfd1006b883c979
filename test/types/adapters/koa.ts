// Koa 3 and 2, as the compiler is to take them. Never run.
import Koa, { type Context, type DefaultContext, type DefaultState, type Middleware } from "koa";
import { SessionManager } from "scs-session";
import { loadAndSave, type SessionContext } from "scs-session/koa";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

// What is chained to it knows what it has put on the context, and all that Koa has.
new Koa()
  .use(loadAndSave(sessions))
  .use(async (ctx, next) => {
    const userId: number | undefined = ctx.session.get("userId");
    ctx.session.put("userId", (userId ?? 0) + sessions.of(ctx).getNumber("userId"));
    ctx.body = `${ctx.path} ${ctx.cookies.get("own")} ${ctx.request.ip} ${sessions.of(ctx.req).id}`;
    ctx.status = 201;
    await next();
  })
  .use(loadAndSave(new SessionManager<{ cart: string[] }>(), { property: "shop" }))
  .use((ctx) => {
    const cart: readonly string[] | undefined = ctx.shop.get("cart");
    ctx.body = `${cart?.join()} ${ctx.session.getNumber("userId")}`;
  });

// So does an application that says so.
const typed = new Koa<DefaultState, SessionContext<Data>>();
typed.use(loadAndSave(sessions));
typed.use((ctx) => {
  ctx.body = ctx.session.getNumber("userId");
});
const under = new Koa<DefaultState, SessionContext<Data, "visit">>();
under.use(loadAndSave(sessions, { property: "visit" }));
under.use((ctx) => ctx.visit.destroy());

// Nothing is added under no name, nor under one that is known only when it runs.
const app = new Koa();
app.use(loadAndSave(sessions, { property: false }));
app.use(loadAndSave(sessions, { property: undefined }));
app.use(loadAndSave(sessions, { property: String(process.env["PROPERTY"]) }));

app.use(loadAndSave(sessions, { skip: ({ method, path }) => method === "OPTIONS" || path === "/health" }));
app.use(loadAndSave(sessions, { skip: (ctx: Context) => ctx.host === "static.localhost" }));
app.use(loadAndSave(sessions, { skip: (ctx: Context) => ctx.secure, property: "visit" })).use((ctx) => ctx.visit.id);

// It stands where middleware of any state and context is wanted.
export const middleware: Middleware = loadAndSave(sessions);
export const list: Middleware[] = [loadAndSave(sessions), loadAndSave(sessions, { property: "visit" })];
export const narrow: Middleware<{ user: string }, { db: string }> = loadAndSave(sessions);
export const wide: Middleware<DefaultState, DefaultContext, { ok: true }> = loadAndSave(sessions);
new Koa<{ user: string }, { db: string }>().use(loadAndSave(sessions)).use((ctx) => {
  ctx.body = ctx.state.user + ctx.db + String(ctx.session.get("userId"));
});
export const called = (ctx: Context): Promise<unknown> => loadAndSave(sessions)(ctx, () => Promise.resolve());
