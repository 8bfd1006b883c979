/** The cases of which session a request gets, and of requests beside one another. */

import { same } from "../check.ts";
import { codeOf, cookiesOf, gate, holds, until, type Case } from "./tools.ts";

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** The cases about requests. */
export const requests: readonly Case[] = [
  {
    name: "the session is found by the framework's context and by the raw request",
    async check(start) {
      const site = await start(({ context, raw }, { sessions }) => {
        const session = sessions.of(context);
        return { body: String(sessions.of(raw) === session && sessions.lookup(context) === session) };
      });
      same("found by both", await site.client().text("/"), "true");
    },
  },
  {
    name: "current is the session of the request, also after awaits and once the body is read",
    async check(start) {
      const site = await start(async ({ session, body }, { sessions }) => {
        const seen = [sessions.current() === session];
        await turn();
        seen.push(sessions.current() === session);
        const text = await body();
        seen.push(sessions.current() === session);
        await turn();
        seen.push(sessions.current() === session);
        return { body: `${text} ${seen.join()}` };
      });
      const init = {
        method: "POST",
        body: "name=anna",
        headers: { "content-type": "application/x-www-form-urlencoded" },
      };
      const text = await site.client().text("/", init);
      holds(`The body was ${text}.`, text.includes("anna"));
      holds(`current() was lost: ${text}.`, text.endsWith("true,true,true,true"));
    },
  },
  {
    name: "current throws session-closed in work that outlives its request",
    async check(start) {
      const over = gate();
      let code: string | undefined;
      const site = await start(({ session }, { sessions }) => {
        session.put("n", 1);
        void over.opened.then(() => (code = codeOf(() => sessions.current())));
        return { body: "done" };
      });
      await site.client().text("/");
      await turn();
      over.open();
      await until("the work is done", () => code !== undefined);
      same("the code", code, "session-closed");
    },
  },
  {
    name: "100 users at once see their own sessions only",
    async check(start) {
      const site = await start(async ({ session, path, url }, { sessions }) => {
        const user = url.split("?")[1] ?? "";
        if (path === "/login") session.put("user", user);
        await turn();
        const own = sessions.current();
        await turn();
        return { body: `${own.getString("user")}=${session.getString("user")}=${user}` };
      });
      const users = Array.from({ length: 100 }, (_, i) => `user${String(i)}`);
      const clients = users.map(() => site.client());
      for (const path of ["/login", "/read"]) {
        const texts = await Promise.all(clients.map((client, i) => client.text(`${path}?${users[i] ?? ""}`)));
        same(path, texts, users.map((user) => `${user}=${user}=${user}`)); // prettier-ignore
      }
    },
  },
  {
    name: "20 parallel requests of one session lose nothing",
    async check(start) {
      const site = await start(async ({ session, path }) => {
        if (path === "/read") return { body: String(session.getNumber("n")) };
        await turn();
        session.update("n", (n = 0) => n + 1);
        return { body: "" };
      });
      const client = site.client();
      await client.ask("/add");
      await Promise.all(Array.from({ length: 20 }, () => client.copy().text("/add")));
      same("the sum", await client.text("/read"), "21");
    },
  },
  {
    name: "requests that are skipped have no session, and cost nothing",
    async check(start) {
      const site = await start(
        (visit, { sessions }) => {
          const { context, path } = visit;
          if (path === "/put") visit.session.put("n", 1);
          const code = codeOf(() => sessions.of(context));
          return { body: `${code},${String(sessions.lookup(context) === undefined)}` };
        },
        { skips: (path) => path.startsWith("/skipped") },
      );
      const client = site.client();
      same("with a session", await client.text("/put"), ",false");
      const calls = site.store.calls.length;
      same("without", await client.text("/skipped"), "no-session,true");
      same("further calls of the store", site.store.calls.length - calls, 0);
    },
  },
  {
    name: "the session can be had under a property",
    needs: ["property"],
    async check(start) {
      const site = await start(
        ({ session, property }) => ({ body: String(property === session) }),
        { property: "visit" }, // prettier-ignore
      );
      same("the same session", await site.client().text("/"), "true");
    },
  },
  {
    name: "two managers keep two sessions, with a cookie each",
    async check(start) {
      const site = await start(
        ({ context, path }, { managers }) => {
          const own = managers.map((manager) => manager.of(context));
          if (path === "/put") for (const [i, session] of own.entries()) session.put("n", i + 1);
          if (path === "/end") own[0]?.destroy();
          return { body: own.map((session) => session.getNumber("n")).join() };
        },
        { cookies: ["first", "second"] },
      );
      const client = site.client();
      const response = await client.ask("/put");
      same("cookies", [cookiesOf(response, "first").length, cookiesOf(response, "second").length], [1, 1]);
      same("the values", await client.text("/"), "1,2");
      await client.ask("/end");
      same("the values after the first has ended", await client.text("/"), "0,2");
    },
  },
  {
    name: "mounted twice it works once",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          if (path === "/put") session.put("user", "anna");
          return { body: session.getString("user") };
        },
        { twice: true },
      );
      const client = site.client();
      same("cookies", cookiesOf(await client.ask("/put")).length, 1);
      same("the value", await client.text("/"), "anna");
      same("the calls of the store", site.store.calls, ["commit", "find"]);
    },
  },
  {
    name: "a late answer to a session that was logged out meanwhile neither brings it back nor sends its cookie",
    async check(start) {
      const late = gate();
      let isAsked = false;
      const site = await start(async ({ session, path }) => {
        if (path === "/login") session.put("user", "anna");
        if (path === "/logout") session.destroy();
        if (path === "/slow") {
          isAsked = true;
          await late.opened;
          session.put("n", 1);
        }
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/login");
      const old = client.copy();
      const slow = client.copy().ask("/slow");
      await until("the slow request runs", () => isAsked);
      await client.ask("/logout");
      late.open();
      same("cookies of the late answer", cookiesOf(await slow), []);
      same("who is logged in with the old cookie", await old.text("/"), "");
    },
  },
];
