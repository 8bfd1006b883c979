// What the compiler is to refuse in Hono. Never run.
import express from "express";
import { Hono } from "hono";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/hono";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
const app = new Hono();
app.use(loadAndSave(sessions));
app.get("/", (c) => {
  // @ts-expect-error 2339 not chained
  const { session: _session } = c.var;
  return c.text("");
});
new Hono().use(loadAndSave(sessions)).get("/", (c) => {
  // @ts-expect-error 2345 not a key
  c.var.session.get("theme");
  return c.text("");
});
// @ts-expect-error 2345 no manager
app.use(loadAndSave({}));
// @ts-expect-error 2561 misspelt
app.use(loadAndSave(sessions, { Skip: () => true }));
// @ts-expect-error 2769 Hono is not Express
express().use(loadAndSave(sessions));
