/** The cases of what is sent, and when. */

import { same } from "../check.ts";
import { codeOf, cookiesOf, gate, nextPiece, settle, soon, until, type Case, type Start } from "./tools.ts";

/** The cases about responses. */
export const responses: readonly Case[] = [
  {
    name: "nothing of the response leaves before the session is stored",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", "anna");
        return { body: session.getString("user") };
      });
      site.store.holds = (method) => method === "commit";
      const client = site.client();
      let isThere = false;
      const asked = client.ask("/put").finally(() => (isThere = true));
      await until("the session is on its way to the store", () => site.store.waiting.length === 1);
      await settle();
      same("the response, before the session is stored", isThere, false);
      await site.store.waiting[0]?.complete();
      same("the status", (await asked).status, 200);
      same("the value", await client.text("/"), "anna");
    },
  },
  {
    name: "a redirect after login leaves once the login is stored",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path !== "/login") return { body: session.getString("user") };
        session.renewToken();
        session.put("user", "anna");
        return { redirect: "/home" };
      });
      site.store.holds = (method) => method === "commit";
      const client = site.client();
      let isThere = false;
      const asked = client.ask("/login", { method: "POST" }).finally(() => (isThere = true));
      await until("the session is on its way to the store", () => site.store.waiting.length === 1);
      await settle();
      same("the redirect, before the session is stored", isThere, false);
      await site.store.waiting[0]?.complete();
      const response = await asked;
      same("the status", [301, 302, 303, 307].includes(response.status), true);
      same("Location", new URL(response.headers.get("location") ?? "", site.url).pathname, "/home");
      same("who is logged in", await client.text("/home"), "anna");
    },
  },
  {
    name: "a head that is flushed before there is a body has the cookie, and leaves once the session is stored",
    needs: ["flush"],
    check: (start) => leavesEarly(start, { flush: true }),
  },
  {
    name: "a first piece that is sent early has the cookie before it, and leaves once the session is stored",
    check: (start) => leavesEarly(start, { flush: false }),
  },
  {
    name: "server-sent events arrive one by one",
    async check(start) {
      const next = gate();
      const site = await start(({ session }) => {
        session.update("n", (n = 0) => n + 1);
        const events = async function* (): AsyncGenerator<string> {
          yield "data: 1\n\n";
          await next.opened;
          yield "data: 2\n\n";
        };
        return { headers: { "content-type": "text/event-stream" }, body: events() };
      });
      const response = await site.client().ask("/events", { headers: { accept: "text/event-stream" } });
      same("Content-Type", response.headers.get("content-type")?.split(";")[0], "text/event-stream");
      same("the number of cookies", cookiesOf(response).length, 1);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      same("the first event", await nextPiece(reader), "data: 1\n\n");
      next.open();
      same("the second event", await nextPiece(reader), "data: 2\n\n");
      await reader.cancel();
    },
  },
  {
    name: "a change while the body streams throws headers-sent",
    async check(start) {
      const site = await start(({ session }) => {
        session.put("n", 1);
        const pieces = async function* (): AsyncGenerator<string> {
          yield "first,";
          yield codeOf(() => {
            session.put("n", 2);
          });
        };
        return { body: pieces() };
      });
      const client = site.client();
      same("the body", await client.text("/"), "first,headers-sent");
    },
  },
  {
    name: "a large body arrives whole",
    async check(start) {
      const large = "0123456789abcdef".repeat(65_536);
      const site = await start(({ session }) => {
        session.put("n", 1);
        return { body: large };
      });
      same("the length", (await site.client().text("/")).length, large.length);
    },
  },
  {
    name: "responses to HEAD, and those without body, have the cookie, too",
    async check(start) {
      const site = await start(({ session, path }) => {
        session.put("n", 1);
        const status = Number(path.slice(1));
        return status === 200 ? { body: "text" } : { status, headers: { etag: '"1"' } };
      });
      for (const [path, method] of [
        ["/200", "HEAD"],
        ["/204", "GET"],
        ["/304", "GET"],
      ] as const) {
        const response = await site.client().ask(path, { method });
        same(`the status of ${method} ${path}`, response.status, Number(path.slice(1)));
        same(`the body of ${method} ${path}`, await response.text(), "");
        same(`the cookies of ${method} ${path}`, cookiesOf(response).length, 1);
      }
    },
  },
  {
    name: "an explicit commit tells the token, and one cookie is sent",
    async check(start) {
      const site = await start(async ({ session, path }, { sessions }) => {
        if (path === "/") return { body: session.getString("user") };
        session.put("user", "anna");
        const { token } = await sessions.commit(session);
        return { body: token };
      });
      const client = site.client();
      const response = await client.ask("/commit");
      same("the number of cookies", cookiesOf(response).length, 1);
      same("the token", await response.text(), client.cookies.get("session"));
      same("the calls of the store", site.store.calls, ["commit", "find"]); // is it still there?
      same("the value", await client.text("/"), "anna");
    },
  },
  {
    name: "responses whose headers are immutable, and those handed out twice, get their own cookie each",
    needs: ["responses"],
    async check(start) {
      let shared: Response | undefined;
      const site = await start(({ session, path, url }) => {
        session.put("user", url);
        if (path === "/redirect") return { response: Response.redirect("http://localhost/home", 302) };
        if (path === "/proxied") return fetch("data:text/plain,proxied").then((response) => ({ response }));
        shared ??= new Response(null, { status: 204 });
        return { response: shared };
      });
      const redirect = await site.client().ask("/redirect");
      same("the redirect", [redirect.status, cookiesOf(redirect).length], [302, 1]);
      const proxied = await site.client().ask("/proxied");
      same("what was proxied", [await proxied.text(), cookiesOf(proxied).length], ["proxied", 1]);
      const [anna, bob] = [site.client(), site.client()];
      same("cookies of the first", cookiesOf(await anna.ask("/shared?anna")).length, 1);
      same("cookies of the second", cookiesOf(await bob.ask("/shared?bob")).length, 1);
      same("two tokens", anna.cookies.get("session") === bob.cookies.get("session"), false);
    },
  },
  {
    name: "a destroy is carried out also when the client goes before there is a response",
    needs: ["aborts"],
    async check(start) {
      const answer = gate();
      let isAsked = false;
      const site = await start(async ({ session, path }) => {
        if (path === "/put") session.put("user", "anna");
        if (path === "/destroy") {
          session.destroy();
          isAsked = true;
          await answer.opened;
        }
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/put");
      const leaving = new AbortController();
      const asked = client.copy().ask("/destroy", { signal: leaving.signal });
      await until("the handler runs", () => isAsked);
      leaving.abort();
      await asked.catch(() => undefined);
      await until("the session is ended", () => site.store.calls.includes("replace"));
      same("the value", await client.text("/"), "");
      answer.open();
    },
  },
];

/** The handler sends something before it is done: the head, or that and a first piece. The rest it keeps until the end of the case. */
async function leavesEarly(start: Start, { flush }: { readonly flush: boolean }): Promise<void> {
  const rest = gate();
  const site = await start(({ session, path }) => {
    if (path === "/") return { body: session.getString("user") };
    session.put("user", "anna");
    const pieces = async function* (): AsyncGenerator<string> {
      if (!flush) yield "early,";
      await rest.opened;
      yield "late";
    };
    return { flush, headers: { "content-type": "text/plain" }, body: pieces() };
  });
  const { store } = site;
  store.holds = (method) => method === "commit";
  const client = site.client();
  let isThere = false;
  const asked = client.ask("/early").finally(() => (isThere = true));
  asked.catch(() => undefined); // where it is not awaited any more, another check has failed
  await until("the session is on its way to the store", () => store.waiting.length === 1 || isThere);
  await settle();
  same("the head, before the session is stored", isThere, false);
  await store.waiting[0]?.complete();
  const response = await soon("the head is there, while the handler keeps the rest", asked);
  same("the number of cookies", cookiesOf(response).length, 1);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = "";
  while (!flush && text.length < 6) text += await soon("the first piece is there", nextPiece(reader));
  same("the value, while the rest is still to come", await client.text("/"), "anna");
  rest.open();
  for (let piece = await nextPiece(reader); piece !== ""; piece = await nextPiece(reader)) text += piece;
  same("the body", text, flush ? "late" : "early,late");
}
