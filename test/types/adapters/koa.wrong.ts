// What the compiler is to refuse in Koa. Never run.
import Koa, { type DefaultState } from "koa";
import { SessionManager } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave, type SessionContext } from "scs-session/koa";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
const app = new Koa();
// @ts-expect-error 2345 no manager
app.use(loadAndSave({}));
// @ts-expect-error 2561 misspelt
app.use(loadAndSave(sessions, { Skip: () => true }));
// @ts-expect-error 2322 a name, or false
app.use(loadAndSave(sessions, { property: true }));
// @ts-expect-error 2345 not called
app.use(loadAndSave);
// @ts-expect-error 2345 another framework's
app.use(forExpress(sessions));

new Koa().use(loadAndSave(sessions)).use((ctx) => {
  // @ts-expect-error 2345 an unknown key
  ctx.session.get("nothing");
  // @ts-expect-error 2540 a session is not a bag of properties
  ctx.session = { userId: 1 };
  // @ts-expect-error 2339 a session is not a bag of properties
  ctx.session.userId = 1;
});
const typed = new Koa<DefaultState, SessionContext<Data>>();
typed.use((ctx) => {
  // @ts-expect-error 2540 it cannot be replaced, nor ended so
  ctx.session = null;
});
// @ts-expect-error 2339 under no name
new Koa<DefaultState, { db: string }>().use(loadAndSave(sessions, { property: false })).use((ctx) => ctx.session);
