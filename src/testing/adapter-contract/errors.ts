/** The cases of handlers and stores that fail. */

import { same } from "../check.ts";
import { codeOf, cookiesOf, gate, membersOf, nextPiece, soon, until, type Case } from "./tools.ts";

/** The cases about failures. */
export const errors: readonly Case[] = [
  {
    name: "an error of the handler is answered by the framework's error handler, and what was put before is stored",
    needs: ["errors"],
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/") return { body: String(session.getNumber("attempts")) };
        session.update("attempts", (attempts = 0) => attempts + 1);
        if (path === "/throw") throw new Error("wrong password");
        return Promise.reject(new Error("wrong password"));
      });
      const client = site.client();
      for (const path of ["/throw", "/reject"]) {
        const response = await client.ask(path);
        same(`the status of ${path}`, response.status, 500);
        same(`the error handler of ${path}`, response.headers.get("x-error-handler"), "yes");
        same(`the body of ${path}`, await response.text(), "wrong password");
      }
      same("the attempts", await client.text("/"), "2");
    },
  },
  {
    name: "an error after the first byte breaks the response off; the session is stored and the server lives on",
    async check(start) {
      let begun = gate();
      const site = await start(
        (visit) => {
          const { path } = visit;
          if (path === "/") return { body: visit.session.getString("user") };
          if (path === "/stream") visit.session.put("user", "anna");
          const { opened } = begun;
          const pieces = async function* (): AsyncGenerator<string> {
            yield "begun";
            await opened;
            throw new Error("broken off");
          };
          return { body: pieces() };
        },
        { skips: (path) => path === "/skipped" },
      );
      const client = site.client();
      // Without a session it is what the framework does by itself: nothing that looks complete.
      for (const path of ["/skipped", "/stream"]) {
        begun = gate();
        const response = await soon(`${path} begins`, client.ask(path));
        same(`the status of ${path}`, response.status, 200);
        const reader = (response.body as ReadableStream<Uint8Array>).getReader();
        same(`the begin of ${path}`, await nextPiece(reader), "begun");
        begun.open();
        const ending = nextPiece(reader).then(
          (piece) => (piece === "" ? "as if it were complete" : `with "${piece}"`),
          () => "broken off",
        );
        same(`how ${path} ends`, await soon(`${path} ends`, ending), "broken off");
      }
      same("the value", await client.text("/"), "anna");
    },
  },
  {
    name: "a session that cannot be loaded is a 503 without cookie, and the handler does not run",
    async check(start) {
      let runs = 0;
      const site = await start(({ session, path }) => {
        runs++;
        if (path === "/put") session.put("user", "anna");
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/put");
      site.store.failure = new Error("the store is down");
      const response = await client.ask("/");
      same("the status", response.status, 503);
      same("cookies", response.headers.getSetCookie(), []);
      same("what it tells of the store", (await response.text()).includes("the store is down"), false);
      same("how often the handler ran", runs, 1);
      site.store.failure = undefined;
      same("the value, afterwards", await client.text("/"), "anna");
    },
  },
  {
    name: "a session that cannot be stored is a 503 without cookie, and without anything of the handler's",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path !== "/") session.put("user", "anna");
        if (path === "/redirect") return { redirect: "/home" };
        return { headers: { "x-own": "yes" }, body: "done" };
      });
      site.store.failure = new Error("the store is down");
      for (const path of ["/put", "/redirect"]) {
        const response = await site.client().ask(path);
        same(`the status of ${path}`, response.status, 503);
        same(`cookies of ${path}`, response.headers.getSetCookie(), []);
        same(`Location of ${path}`, response.headers.get("location"), null);
        same(`the handler's text in the body of ${path}`, (await response.text()).includes("done"), false);
        same(`no-store in ${path}`, membersOf(response, "cache-control").includes("no-store"), true);
      }
    },
  },
  {
    name: "errors of the store go to the framework's error handler",
    needs: ["errors"],
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", "anna");
        return { body: "done" };
      });
      const client = site.client();
      await client.ask("/put");
      site.store.failure = new Error("the store is down");
      for (const [what, asking] of [
        ["load", client.ask("/")],
        ["commit", site.client().ask("/put")],
      ] as const) {
        const response = await asking;
        same(`the error handler of a ${what}`, response.headers.get("x-error-handler"), "yes");
        same(`the body of a ${what}`, await response.text(), "store-unavailable");
      }
    },
  },
  {
    name: "a store that does not answer costs storeTimeout, once for the load and once for the commit",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", "anna");
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/put");
      site.store.holds = true;
      for (const [path, browser] of [
        ["/", client],
        ["/put", site.client()],
      ] as const) {
        const before = site.store.waiting.length;
        const asked = browser.ask(path);
        await until("the store is asked", () => site.store.waiting.length > before);
        site.clock.advance("5s");
        same(`the status of ${path}`, (await asked).status, 503);
      }
      site.store.holds = false;
      same("the value, afterwards", await client.text("/"), "anna");
    },
  },
  {
    name: "with outage: anonymous, a page is shown without its session, which cannot be changed",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          if (path === "/put") session.put("user", "anna");
          const code = codeOf(() => {
            if (path === "/change") session.put("n", 1);
          });
          return { body: `${String(session.available)},${session.getString("user")},${code}` };
        },
        { sessions: { outage: "anonymous" } },
      );
      const client = site.client();
      await client.ask("/put");
      site.store.failure = new Error("the store is down");
      const response = await client.ask("/change");
      same("the status", response.status, 200);
      same("the body", await response.text(), "false,,store-unavailable");
      same("cookies", response.headers.getSetCookie(), []);
      same("no-store", membersOf(response, "cache-control").includes("no-store"), true);
      site.store.failure = undefined;
      same("afterwards", await client.text("/"), "true,anna,");
    },
  },
  {
    name: "of two managers of which one cannot store, the other one's session is stored, and the response is a 503",
    async check(start) {
      for (const failing of [0, 1]) {
        const site = await start(
          ({ context, path }, { managers }) => {
            const own = managers.map((manager) => manager.of(context));
            if (path === "/put") for (const session of own) session.put("n", session.getNumber("n") + 1);
            return { body: own.map((session) => session.getNumber("n")).join() };
          },
          { cookies: ["first", "second"] },
        );
        const client = site.client();
        same("the values at first", await client.text("/put"), "1,1");
        const store = site.stores[failing];
        if (store === undefined) throw new Error("There is no such store.");
        store.holds = (method) => method === "replace";
        const asked = client.ask("/put");
        await until("it is to be stored", () => store.waiting.length === 1);
        await store.waiting[0]?.fail();
        const response = await asked;
        same("the status", response.status, 503);
        same("cookies of the one that failed", cookiesOf(response, ["first", "second"][failing]), []);
        store.holds = false;
        same("the values", await client.text("/"), failing === 0 ? "1,2" : "2,1");
      }
    },
  },
];
