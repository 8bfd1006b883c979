// What the compiler is to refuse in Express. Never run.
import express from "express";
import type * as express4 from "express-4";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/express";
import { loadAndSave as forKoa } from "scs-session/koa";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
const app = express();
declare const app4: express4.Express;
// @ts-expect-error 2345 no manager
app.use(loadAndSave({}));
// @ts-expect-error 2561 misspelt
app.use(loadAndSave(sessions, { Skip: () => true }));
// @ts-expect-error 2769 not called
app.use(loadAndSave);
// @ts-expect-error 2769 another framework's
app.use(forKoa(sessions));
// @ts-expect-error 2769 another framework's
app4.use(forKoa(sessions));
app.get("/", (req) => {
  // @ts-expect-error 2345 an unknown key
  sessions.of(req).get("nothing");
  // @ts-expect-error 2345 not a request
  sessions.of(req.url);
});
