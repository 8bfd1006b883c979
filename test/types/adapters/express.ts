// Express 5 and 4, as the compiler is to take them. Never run.
import type { NextFunction, Request, RequestHandler, Response } from "express";
import express from "express";
import type * as express4 from "express-4";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/express";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

// Express 5
const app = express();
app.use(loadAndSave(sessions));
app.use("/admin", loadAndSave(sessions));
app.use(express.static("public"), loadAndSave(sessions), express.json());
app.get("/user/:id", loadAndSave(sessions), (req, res) => {
  const id: string = req.params.id;
  const userId: number | undefined = sessions.of(req).get("userId");
  res.send(`${id} ${userId}`);
});
app.use(loadAndSave(sessions, { property: "session", skip: (req) => req.url === "/health" }));
app.use(loadAndSave<Data, Request>(sessions, { skip: (req) => req.path === "/health" }));
express.Router().use(loadAndSave(sessions));
export const handler: RequestHandler = loadAndSave(sessions);
interface Body {
  sku: string;
}
export const narrow: RequestHandler<{ id: string }, { ok: true }, Body, { q: string }, { user: 1 }> =
  loadAndSave(sessions);
export const called = (req: Request, res: Response, next: NextFunction): void => {
  loadAndSave(sessions)(req, res, next);
};

// Express 4
declare const app4: express4.Express;
app4.use(loadAndSave(sessions));
app4.use("/admin", loadAndSave(sessions));
app4.get("/user/:id", loadAndSave(sessions), (req, res) => {
  const id: string = req.params.id;
  res.send(`${id} ${sessions.of(req).getNumber("userId")}`);
});
app4.use(loadAndSave<Data, express4.Request>(sessions, { skip: (req) => req.path === "/health" }));
export const handler4: express4.RequestHandler<{ id: string }, { ok: true }, Body, { q: string }, { user: 1 }> = loadAndSave(sessions); // prettier-ignore
