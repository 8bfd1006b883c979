/** The cases of the session cookie, and of what else a session does to the head of a response. */

import { header } from "../../transport.ts";
import { same } from "../check.ts";
import { cookiesOf, membersOf, type Case } from "./tools.ts";

const put = { user: "anna" };

/** The cases about the head of responses. */
export const headers: readonly Case[] = [
  {
    name: "a request without cookie whose session is not used costs nothing and changes nothing",
    async check(start) {
      const site = await start(() => ({ body: "static" }));
      const response = await site.client().ask("/");
      same("the body", await response.text(), "static");
      same("the calls of the store", site.store.calls, []);
      same("cookies", response.headers.getSetCookie(), []);
      same("Cache-Control", response.headers.get("cache-control"), null);
      same("Vary on the cookie", membersOf(response, "vary").includes("cookie"), false);
    },
  },
  {
    name: "an empty session that is read gets no cookie, but its response is private and varies",
    async check(start) {
      const site = await start(({ session }) => ({ body: String(session.get("user")) }));
      const response = await site.client().ask("/");
      same("the body", await response.text(), "undefined");
      same("the calls of the store", site.store.calls, []);
      same("cookies", response.headers.getSetCookie(), []);
      same("Cache-Control", response.headers.get("cache-control"), "private");
      same("Vary on the cookie", membersOf(response, "vary").includes("cookie"), true);
    },
  },
  {
    name: "what is put comes back with the cookie that was set, which is not set again by reading",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", put.user);
        return { body: session.getString("user") };
      });
      const client = site.client();
      const first = await client.ask("/put");
      const [line = "", ...more] = cookiesOf(first);
      same("further cookies", more, []);
      for (const attribute of ["Max-Age=86400", "Path=/", "HttpOnly", "SameSite=Lax"])
        same(`${attribute} in ${line}`, line.includes(`; ${attribute}`), true);
      same("Cache-Control", first.headers.get("cache-control"), 'no-store, no-cache="Set-Cookie"');
      const second = await client.ask("/");
      same("the value", await second.text(), put.user);
      same("cookies of a read", second.headers.getSetCookie(), []);
      same("the calls of the store", site.store.calls, ["commit", "find"]);
    },
  },
  {
    name: "destroy sends an empty cookie with the same attributes, and the old one is worth nothing",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          if (path === "/put") session.put("user", put.user);
          if (path === "/destroy") session.destroy();
          return { body: session.getString("user") };
        },
        { sessions: { cookie: { name: "sid", domain: "localhost", sameSite: "strict" } } },
      );
      const client = site.client();
      const attributes = (line = ""): string[] =>
        line.split("; ").filter((part) => !/^(sid|Max-Age|Expires)=/.test(part));
      const [set] = cookiesOf(await client.ask("/put"), "sid");
      const old = client.copy();
      const [cleared = "", ...more] = cookiesOf(await client.ask("/destroy"), "sid");
      same("further cookies", more, []);
      same("the attributes", attributes(cleared), attributes(set));
      same("the start of the cookie", cleared.startsWith("sid=; Max-Age=0; Expires=Thu, 01 Jan 1970"), true);
      same("the value under the old cookie", await old.text("/"), "");
    },
  },
  {
    name: "what is put after destroy makes a new session, with one cookie",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/again") session.destroy();
        if (path !== "/") session.put("user", path);
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/first");
      const old = client.copy();
      const response = await client.ask("/again");
      same("the number of cookies", cookiesOf(response).length, 1);
      same("the new session", await client.text("/"), "/again");
      same("the old session", await old.text("/"), "");
    },
  },
  {
    name: "renewToken changes the cookie, and the old one is worth nothing",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", put.user);
        if (path === "/renew") session.renewToken();
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/put");
      const old = client.copy();
      same("the number of cookies", cookiesOf(await client.ask("/renew")).length, 1);
      same("the value under the new cookie", await client.text("/"), put.user);
      same("the value under the old cookie", await old.text("/"), "");
    },
  },
  {
    name: "cookies, Vary and Cache-Control of the application are kept",
    async check(start) {
      const own = {
        "set-cookie": ["a=1; Path=/", "b=2; Path=/"],
        vary: "X-Own",
        "cache-control": "public, max-age=60",
      };
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", put.user);
        return { headers: own, body: session.getString("user") };
      });
      const client = site.client();
      const changed = await client.ask("/put");
      const others = changed.headers.getSetCookie().filter((line) => !line.startsWith("session="));
      same("the application's cookies", others, own["set-cookie"]);
      same("the session's cookies", cookiesOf(changed).length, 1);
      same("no-store", membersOf(changed, "cache-control").includes("no-store"), true);
      const vary = ["x-own", "cookie"].map((field) => membersOf(changed, "vary").includes(field));
      same("Vary", vary, [true, true]);
      const read = await client.ask("/");
      same("Cache-Control of a read", read.headers.get("cache-control"), own["cache-control"]);
    },
  },
  {
    name: "of several cookies of one name the live one is found",
    async check(start) {
      const site = await start(({ session, path }) => {
        if (path === "/put") session.put("user", put.user);
        return { body: session.getString("user") };
      });
      const client = site.client();
      await client.ask("/put");
      const live = client.cookies.get("session") ?? "";
      const cookie = `session=garbage; session=${"A".repeat(43)}; other=1; session=${live}`;
      same("the value", await site.client().text("/", { headers: { cookie } }), put.user);
    },
  },
  {
    name: "a persistent cookie is sent again when the idle timeout has moved",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          if (path === "/put") session.put("user", put.user);
          return { body: session.getString("user") };
        },
        { sessions: { idleTimeout: "20m" } },
      );
      const client = site.client();
      await client.ask("/put");
      same("cookies of a read at once", cookiesOf(await client.ask("/")).length, 0);
      site.clock.advance("15m");
      const moved = await client.ask("/");
      same("cookies after 15 minutes", cookiesOf(moved).length, 1);
      same("Max-Age", cookiesOf(moved)[0]?.includes("Max-Age=1200"), true);
      site.clock.advance("15m");
      same("the value after 30 minutes", await client.text("/"), put.user);
    },
  },
  {
    name: "a cookie that does not persist has no lifetime, unless it is to be remembered",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          session.put("user", put.user);
          if (path === "/remember") session.rememberMe(true);
          return { body: "" };
        },
        { sessions: { cookie: { persist: false } } },
      );
      const lives = async (path: string): Promise<boolean | undefined> =>
        cookiesOf(await site.client().ask(path))[0]?.includes("Max-Age");
      same("with a lifetime", [await lives("/"), await lives("/remember")], [false, true]);
    },
  },
  {
    name: "the token can travel in a header of one's own",
    async check(start) {
      const site = await start(
        ({ session, path }) => {
          if (path === "/put") session.put("user", put.user);
          return { body: session.getString("user") };
        },
        { sessions: { transport: header("X-Session") } },
      );
      const first = await site.client().ask("/put");
      const token = first.headers.get("x-session") ?? "";
      same("cookies", first.headers.getSetCookie(), []);
      const second = await site.client().ask("/", { headers: { "X-Session": token } });
      same("the value", await second.text(), put.user);
      same("Vary on the header", membersOf(second, "vary").includes("x-session"), true);
    },
  },
  {
    name: "a visitor gets a token at once where that is asked for",
    async check(start) {
      const site = await start(() => ({ body: "" }), { sessions: { alwaysIssueToken: true } });
      const client = site.client();
      same("cookies of the first visit", cookiesOf(await client.ask("/")).length, 1);
      same("cookies of the second", cookiesOf(await client.ask("/")).length, 0);
      same("the calls of the store", site.store.calls, ["commit", "find"]);
    },
  },
  {
    name: "a proxy that is not trusted may make the cookie Secure, too, but not take that away",
    async check(start) {
      const site = await start(({ session }) => {
        session.put("user", put.user);
        return { body: "" };
      });
      const isSecure = async (headers: Record<string, string>): Promise<boolean | undefined> =>
        cookiesOf(await site.client().ask("/", { headers }))[0]?.includes("; Secure");
      same("Secure on plain HTTP", await isSecure({}), false);
      same("Secure as the proxy says", await isSecure({ "X-Forwarded-Proto": "https" }), true);
    },
  },
  {
    name: "whether a request came over HTTPS is what the framework says: a proxy's word where that is trusted",
    needs: ["proxy"],
    async check(start) {
      for (const trustProxy of [true, false]) {
        const site = await start(
          ({ session }) => {
            session.put("user", put.user);
            return { body: "" };
          },
          // "auto" would believe any proxy that says "https".
          { trustProxy, sessions: { cookie: { secure: (request) => request.isSecure() } } },
        );
        const isSecure = async (proto: string): Promise<boolean | undefined> =>
          cookiesOf(await site.client().ask("/", { headers: { "X-Forwarded-Proto": proto } }))[0]?.includes("; Secure");
        const what = `Secure, where proxies are ${trustProxy ? "" : "not "}trusted`;
        same(what, [await isSecure("https"), await isSecure("http")], [trustProxy, false]);
      }
    },
  },
];
