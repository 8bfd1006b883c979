/** Sessions in Koa: `npx tsx --tsconfig tsconfig.json examples/koa/server.ts`. */

import { bodyParser } from "@koa/bodyparser";
import Koa from "koa";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/koa";

interface SessionData {
  user: string;
  visits: number;
}

const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });

// What is chained to loadAndSave has a typed ctx.session; elsewhere sessions.of(ctx) is as good.
const app = new Koa().use(loadAndSave(sessions)).use(bodyParser());

app.use((ctx) => {
  switch (`${ctx.method} ${ctx.path}`) {
    case "GET /": {
      const user = ctx.session.get("user");
      if (user === undefined) {
        ctx.body = "Please log in";
        return;
      }
      ctx.session.update("visits", (visits = 0) => visits + 1);
      ctx.body = `Hello, ${user}: visit ${ctx.session.getNumber("visits")}`;
      return;
    }
    case "POST /login": {
      const { user } = ctx.request.body as { user: string };
      ctx.session.renewToken(); // against session fixation
      ctx.session.put("user", user);
      ctx.redirect("/"); // leaves once it is stored
      return;
    }
    case "POST /logout":
      ctx.session.destroy();
      ctx.redirect("/");
  }
});

app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
