/** A small shop: a cart, a login, and a page on which users see and end their own sessions. */

import express, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
import { SessionError, type ListedSession, type SessionManager, type SessionOptions } from "scs-session";
import { loadAndSave } from "scs-session/express";
import { errorPage, loginPage, page, sessionsPage, shopPage, type Html } from "./pages.ts";
import { checkPassword, findUser, type User } from "./users.ts";

/** What a session may hold. */
export interface SessionData {
  userId: string;
  /** The browser that logged in, for the page of sessions. */
  userAgent: string;
  /** How many of each product. */
  cart: Record<string, number>;
  /** A message for the next page. */
  flash: string;
  /** Of `/put` and `/get`. */
  message: string;
}

const products = ["Apples", "Bread", "Cheese"];

export const sessionOptions: SessionOptions<SessionData> = {
  lifetime: "12h",
  idleTimeout: "1h",
  // Whose session it is: for the page of sessions, and for logging out elsewhere.
  subject: (data) => data.userId,
  // The cookie ends with the browser, unless "remember me" was ticked.
  // Over HTTPS add: name: "__Host-session", secure: true.
  cookie: { persist: false },
};

export function createApp(sessions: SessionManager<SessionData>): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use(refuseOtherOrigins, loadAndSave(sessions), express.urlencoded());

  // The example of SCS's README.
  app.get("/put", (req, res) => {
    sessions.of(req).put("message", "Hello from a session!");
    res.type("text").send("Stored. Now ask for /get.\n");
  });
  app.get("/get", (req, res) => {
    res.type("text").send(`${sessions.of(req).getString("message")}\n`);
  });

  app.get("/", (req, res) => {
    render(req, res, "Shop", shopPage(products, sessions.of(req).get("cart") ?? {}));
  });
  app.post("/cart", (req, res) => {
    const product = field(req, "product");
    if (!products.includes(product)) {
      res.status(400);
      render(req, res, "Not in stock", errorPage("There is no such product."));
      return;
    }
    // The function gets the newest cart, so that two tabs do not overwrite each other's.
    sessions.of(req).update("cart", (cart = {}) => ({ ...cart, [product]: (cart[product] ?? 0) + 1 }));
    res.redirect(303, "/");
  });
  app.post("/cart/empty", (req, res) => {
    sessions.of(req).remove("cart");
    res.redirect(303, "/");
  });

  app.get("/login", (req, res) => {
    render(req, res, "Log in", loginPage());
  });
  app.post("/login", async (req, res) => {
    const session = sessions.of(req);
    const userId = await checkPassword(field(req, "name"), field(req, "password"));
    if (userId === undefined) {
      res.status(401);
      render(req, res, "Log in", loginPage("Name and password do not match.", field(req, "name")));
      return;
    }
    // Another user's session is not taken over; an anonymous one is, with its cart.
    if (session.exists("userId")) session.destroy();
    session.renewToken(); // whoever knew the token before the login does not know the new one
    session.put("userId", userId);
    session.put("userAgent", (req.get("user-agent") ?? "unknown").slice(0, 200));
    session.rememberMe(field(req, "remember") === "on");
    session.put("flash", "You are logged in.");
    res.redirect(303, "/");
  });
  app.post("/logout", (req, res) => {
    sessions.of(req).destroy();
    res.redirect(303, "/login");
  });

  app.get("/sessions", async (req, res) => {
    const session = sessions.of(req);
    const user = userOf(req);
    if (user === undefined) {
      res.redirect(303, "/login");
      return;
    }
    const listed: ListedSession<SessionData>[] = [];
    for await (const found of sessions.list({ subject: user.id })) listed.push(found);
    render(req, res, "Your sessions", sessionsPage(listed, session.id));
  });
  app.post("/sessions/end", async (req, res) => {
    const session = sessions.of(req);
    const user = userOf(req);
    if (user !== undefined) {
      // Only among this user's own: the id comes from the client.
      await sessions.revoke({ subject: user.id, id: field(req, "id") });
      session.put("flash", "That session is logged out.");
    }
    res.redirect(303, "/sessions");
  });
  app.post("/sessions/end-others", async (req, res) => {
    const session = sessions.of(req);
    const user = userOf(req);
    if (user !== undefined) {
      await sessions.revoke({ subject: user.id, except: session });
      session.put("flash", "You are logged out everywhere else.");
    }
    res.redirect(303, "/sessions");
  });

  app.use((req, res) => {
    res.status(404);
    render(req, res, "Not found", errorPage("There is no such page."));
  });
  app.use(showError);

  function userOf(req: Request): User | undefined {
    return findUser(sessions.of(req).getString("userId"));
  }

  /** Sends a page, with the message that was left for it. */
  function render(req: Request, res: Response, title: string, body: Html): void {
    // After a logout, "back" asks again instead of showing what is private; see also the script in the page.
    res.set("cache-control", "no-store");
    res.send(page({ title, body, user: userOf(req)?.name, flash: sessions.of(req).pop("flash") }));
  }

  return app;
}

/** Against forged requests (CSRF), besides SameSite=Lax: browsers name the origin of every form that is posted. */
function refuseOtherOrigins(req: Request, res: Response, next: () => void): void {
  const origin = req.get("origin");
  if (req.method === "GET" || req.method === "HEAD" || origin === undefined) {
    next();
    return;
  }
  if (origin === `${req.protocol}://${req.host}`) {
    next();
    return;
  }
  res.status(403).send(page({ title: "Refused", body: errorPage("This form was sent by another site.") }));
}

/** Also reached when a session cannot be loaded or stored: then nothing of the handler's response has left. */
const showError: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) {
    next(error);
    return;
  }
  const isOutage = error instanceof SessionError && error.code === "store-unavailable";
  const { status = 500 } = error as { status?: number };
  if (status >= 500) console.error(error instanceof SessionError ? `${error.code}: ${error.message}` : error);
  const title = isOutage ? "We will be back soon" : "Something went wrong";
  const advice = isOutage ? "Nothing was changed. Please try again in a minute." : "Please go back and try again.";
  res.status(status).send(page({ title, body: errorPage(advice) }));
};

/** A field of a posted form; "" when it is missing. */
function field(req: Request, name: string): string {
  const value = (req.body as Record<string, unknown> | undefined)?.[name];
  return typeof value === "string" ? value : "";
}
