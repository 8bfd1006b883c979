/** Section 4 of the design: what a session does to the headers of a response, and how its token travels. */

import { cookie, header, SessionManager, type Session, type SessionOptions, type Transport } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { FaultyStore, TestClock } from "scs-session/testing";
import { MemoryStore } from "scs-session";
import { parseSetCookie } from "set-cookie-parser";
import { Cookie, CookieJar } from "tough-cookie";
import { describe, expect, test } from "vitest";
import { cookieOf, cookieWith, setup, tokenOf, uniqueName, visit, type Visit } from "./helpers.ts";

const put = (session: Session): void => session.put("a", 1);
const read = (session: Session): unknown => session.get("a");

/** The one Set-Cookie of a response, as set-cookie-parser and tough-cookie read it. */
function parsed(response: Response) {
  const [line, ...rest] = response.headers.getSetCookie();
  expect(rest).toEqual([]);
  const [seen] = parseSetCookie(line!);
  const tough = Cookie.parse(line!);
  if (seen === undefined || tough === undefined) throw new Error("not a cookie");
  return { seen, tough, line: line! };
}

describe("Set-Cookie is sent", () => {
  const whenever: [string, (session: Session) => unknown][] = [
    ["put", put],
    ["put of an equal value", (session) => session.put("stored", true)],
    ["update", (session) => session.update("n", () => 1)],
    ["pop of what is there", (session) => session.pop("stored")],
    ["remove of what is there", (session) => session.remove("stored")],
    ["clear", (session) => session.clear()],
    ["rememberMe", (session) => session.rememberMe(true)],
    ["setDeadline", (session) => session.setDeadline(new Date(Date.now() + 9_000_000))],
    ["renewToken", (session) => session.renewToken()],
    ["destroy", (session) => session.destroy()],
  ];
  test.each(whenever)("after %s", async (_, use) => {
    const { sessions } = setup();
    const sent = await cookieWith(sessions, (session) => session.put("stored", true));
    expect((await visit(sessions, use, { cookie: sent })).headers.getSetCookie()).toHaveLength(1);
  });

  test("when the idle timeout of a persistent session has moved, also where the handler did not look at the session", async () => {
    const { sessions, clock } = setup({ idleTimeout: "20m" });
    const sent = await cookieWith(sessions, put);
    clock.advance("10m");
    const response = await visit(sessions, () => undefined, { cookie: sent });
    expect(cookieOf(response)).toBe(sent);
    expect(parsed(response).seen.maxAge).toBe(1200);
    expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    expect(response.headers.get("vary")).toBe("Cookie");
  });
});

describe("Set-Cookie is not sent", () => {
  const never: [string, (session: Session) => unknown][] = [
    ["of()", () => undefined],
    ["get", read],
    ["exists, keys and every property", (s) => [s.exists("a"), s.keys(), s.token, s.id, s.status, s.deadline, s.isNew]],
    ["pop of a missing key", (session) => session.pop("missing")],
    ["remove of a missing key", (session) => session.remove("missing")],
  ];
  test.each(never)("after %s, with a session or without", async (_, use) => {
    const { sessions } = setup();
    const sent = await cookieWith(sessions, (session) => session.put("stored", true));
    expect((await visit(sessions, use, { cookie: sent })).headers.getSetCookie()).toEqual([]);
    expect((await visit(sessions, use)).headers.getSetCookie()).toEqual([]);
  });

  test("when the idle timeout of a session that ends with the browser has moved", async () => {
    const { sessions, clock, store } = setup({ idleTimeout: "20m", cookie: { persist: false } });
    const sent = await cookieWith(sessions, put);
    clock.advance("10m");
    const response = await visit(sessions, read, { cookie: sent });
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(store.calls).toContain("touch");
  });

  test("when the idle timeout could not be moved", async () => {
    const { sessions, clock, store } = setup({ idleTimeout: "20m" });
    const sent = await cookieWith(sessions, put);
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const reading = visit(sessions, read, { cookie: sent });
    await expect.poll(() => store.waiting.length).toBe(1);
    await store.waiting[0]!.fail();
    const response = await reading;
    expect([response.status, response.headers.getSetCookie()]).toEqual([200, []]);
  });

  test("by the second commit of one response: the result of the last one is", async () => {
    const { sessions } = setup();
    const response = await visit(sessions, async (session) => {
      session.put("a", 1);
      const first = await sessions.commit(session);
      session.renewToken();
      expect((await sessions.commit(session)).token).not.toBe(first.token);
    });
    const again = await sessions.load(tokenOf(cookieOf(response)));
    expect(again.get("a")).toBe(1);
  });
});

describe("Expires and Max-Age", () => {
  test.each([
    ["2030-01-01T00:00:00.000Z", "Tue, 01 Jan 2030 00:01:30 GMT"],
    ["2030-01-01T00:00:00.001Z", "Tue, 01 Jan 2030 00:01:31 GMT"],
    ["2030-01-01T00:00:00.999Z", "Tue, 01 Jan 2030 00:01:31 GMT"],
  ])("of a session of 90 s begun at %s are rounded up", async (start, expires) => {
    const clock = new TestClock(new Date(start));
    const sessions = new SessionManager({ clock, lifetime: "90s", cookie: { name: uniqueName() } });
    const { seen } = parsed(await visit(sessions, put));
    expect([seen.expires?.toUTCString(), seen.maxAge]).toEqual([expires, 90]);
  });

  test.each([
    ["1ms", 90],
    ["999ms", 90],
    ["1000ms", 89],
    ["89999ms", 1],
  ] as const)("Max-Age counts from the response: %s after the beginning it is %i", async (later, maxAge) => {
    const { sessions, clock } = setup({ lifetime: "90s" });
    const sent = await cookieWith(sessions, put);
    clock.advance(later);
    expect(parsed(await visit(sessions, put, { cookie: sent })).seen.maxAge).toBe(maxAge);
  });

  test("are those of the idle timeout where it ends first", async () => {
    const { sessions, clock } = setup({ lifetime: "1h", idleTimeout: "10m" });
    const { seen } = parsed(await visit(sessions, put));
    expect([seen.maxAge, seen.expires?.getTime()]).toEqual([600, clock.now() + 600_000]);
  });

  test("follow setDeadline, up to the 400 days that browsers allow", async () => {
    const { sessions, clock } = setup();
    const at = async (ms: number): Promise<number | undefined> =>
      parsed(await visit(sessions, (session) => session.setDeadline(new Date(clock.now() + ms)))).seen.maxAge;
    const day = 86_400_000;
    expect(await at(10 * day)).toBe((10 * day) / 1000);
    expect(await at(1000 * day)).toBe((400 * day) / 1000);
  });

  test("are missing with persist false, and there after rememberMe(true)", async () => {
    const { sessions } = setup({ lifetime: "90s", cookie: { persist: false } });
    const without = parsed(await visit(sessions, put)).seen;
    expect(without).not.toHaveProperty("expires");
    expect(without).not.toHaveProperty("maxAge");
    const remembered = await visit(sessions, (session) => {
      session.put("a", 1);
      session.rememberMe(true);
    });
    expect(parsed(remembered).seen).toMatchObject({ maxAge: 90, expires: expect.any(Date) as Date });
    const forgotten = parsed(
      await visit(sessions, (session) => session.rememberMe(false), { cookie: cookieOf(remembered) }),
    );
    expect(forgotten.seen).not.toHaveProperty("maxAge");
  });
});

describe("the cookie", () => {
  const all: SessionOptions["cookie"][] = [
    {},
    { domain: "example.com", path: "/app", sameSite: "strict" },
    { secure: true, sameSite: "none", partitioned: true },
    { httpOnly: false, persist: false },
  ];
  test.each(all)("with %o reads back as it was meant, and destroy repeats every attribute", async (options) => {
    const { sessions, name } = setup({ cookie: { ...options } });
    const url = `https://example.com${options?.path ?? "/"}`;
    const set = parsed(await visit(sessions, put, { url }));
    expect(set.seen).toMatchObject({ name, path: options?.path ?? "/", secure: true });
    expect(set.seen.value).toMatch(/^[\w-]{43}$/);
    expect(set.seen.sameSite?.toLowerCase()).toBe(options?.sameSite ?? "lax");
    expect(set.seen.domain).toBe(options?.domain);
    expect(set.seen.httpOnly ?? false).toBe(options?.httpOnly ?? true);
    expect(set.seen.partitioned ?? false).toBe(options?.partitioned ?? false);
    expect(set.tough).toMatchObject({ key: name, value: set.seen.value, path: set.seen.path, secure: true });

    const cleared = parsed(
      await visit(sessions, (session) => session.destroy(), { url, cookie: `${name}=${set.seen.value}` }),
    );
    expect(cleared.seen).toMatchObject({ name, value: "", maxAge: 0, expires: new Date(1000) });
    const { expires: _e1, maxAge: _m1, value: _v1, ...attributes } = set.seen;
    const { expires: _e2, maxAge: _m2, value: _v2, ...repeated } = cleared.seen;
    expect(repeated).toEqual(attributes);
  });

  test("is kept by a cookie jar, sent again, and removed from it by destroy", async () => {
    const { sessions, name } = setup({ cookie: { path: "/app", domain: "example.com" } });
    const url = "https://www.example.com/app/page";
    const jar = new CookieJar();
    const browse = async (use: (session: Session) => unknown): Promise<void> => {
      const response = await visit(sessions, use, { url, cookie: await jar.getCookieString(url) });
      for (const line of response.headers.getSetCookie()) await jar.setCookie(line, url);
    };
    await browse(put);
    expect(await jar.getCookieString(url)).toMatch(new RegExp(`^${name}=[\\w-]{43}$`));
    await browse((session) => {
      expect(session.get("a")).toBe(1);
      session.renewToken();
    });
    await browse((session) => {
      expect(session.get("a")).toBe(1);
      session.destroy();
    });
    expect(await jar.getCookieString(url)).toBe("");
  });

  test("with __Host- and __Secure- names is accepted by a cookie jar that checks prefixes", async () => {
    for (const prefix of ["__Host-", "__Secure-"]) {
      const { sessions } = setup({ cookie: { name: prefix + uniqueName(), secure: true } });
      const response = await visit(sessions, put, { url: "https://example.com/" });
      const jar = new CookieJar(undefined, { prefixSecurity: "strict" });
      await jar.setCookie(parsed(response).line, "https://example.com/");
      expect(await jar.getCookieString("https://example.com/")).toBe(cookieOf(response));
    }
  });

  test("is read whatever surrounds it, and only by its exact name", async () => {
    const { sessions, name } = setup();
    const sent = await cookieWith(sessions, put);
    const token = tokenOf(sent);
    const found = async (header: string): Promise<boolean> => {
      let value: unknown;
      await visit(sessions, (session) => (value = session.get("a")), { cookie: header });
      return value === 1;
    };
    for (const header of [
      sent,
      `a=1; ${sent}; b=2`,
      `a=1;${sent}`,
      `;;; ${sent} ;`,
      `${name}="${token}"`,
      `=x; y; ${sent}`,
    ]) {
      expect([header, await found(header)]).toEqual([header, true]);
    }
    for (const header of [
      `x${sent}`,
      `${name}x=${token}`,
      `${name} =${token}`,
      `a=${sent}`,
      `${name.toUpperCase()}=${token}`,
    ]) {
      expect([header, await found(header)]).toEqual([header, false]);
    }
  });
});

describe("secure", () => {
  const attribute = async (
    secure: NonNullable<SessionOptions["cookie"]>["secure"] & {},
    sent: Visit,
  ): Promise<boolean> => {
    const { sessions } = setup({ cookie: { secure } });
    return parsed(await visit(sessions, put, sent)).seen.secure ?? false;
  };
  const http = { url: "http://localhost/" };
  const https = { url: "https://localhost/" };
  const forwarded = (proto: string, url: string): Visit => ({ url, headers: { "x-forwarded-proto": proto } });

  test("true sets the attribute on HTTP too, false never does", async () => {
    expect([await attribute(true, https), await attribute(true, http)]).toEqual([true, true]);
    expect([await attribute(false, https), await attribute(false, http)]).toEqual([false, false]);
  });

  test('"auto" follows the scheme of the request', async () => {
    expect([await attribute("auto", https), await attribute("auto", http)]).toEqual([true, false]);
  });

  test('under "auto" a forwarded scheme raises the protection and never lowers it', async () => {
    expect(await attribute("auto", forwarded("https", http.url))).toBe(true);
    expect(await attribute("auto", forwarded("HTTPS, http", http.url))).toBe(true);
    expect(await attribute("auto", forwarded("http", https.url))).toBe(true);
    expect(await attribute("auto", forwarded("http, https", http.url))).toBe(false);
  });

  test("a function decides by the request, and its word counts more than a forwarded scheme", async () => {
    const byHeader = (request: { header(name: string): string | undefined }): boolean =>
      request.header("x-tls") === "on";
    expect(await attribute(byHeader, { ...http, headers: { "x-tls": "on" } })).toBe(true);
    expect(await attribute(byHeader, forwarded("https", https.url))).toBe(false);
    expect(await attribute((request) => request.isSecure(), https)).toBe(true);
  });

  test("the cookie that destroy clears follows it as well", async () => {
    const { sessions } = setup();
    const response = await visit(sessions, (session) => session.destroy(), https);
    expect(parsed(response).seen.secure).toBe(true);
  });
});

describe("Vary and Cache-Control", () => {
  const caching = ({ headers }: Response): [string | null, string | null] => [
    headers.get("vary"),
    headers.get("cache-control"),
  ];

  test("stay away where the session was not observed: of() alone is not", async () => {
    const { sessions } = setup();
    const sent = await cookieWith(sessions, put);
    expect(caching(await visit(sessions, () => undefined))).toEqual([null, null]);
    expect(caching(await visit(sessions, () => undefined, { cookie: sent }))).toEqual([null, null]);
    const untouched = loadAndSave(sessions, () => new Response("static"));
    expect(caching(await untouched(new Request("http://localhost/", { headers: { cookie: sent } })))).toEqual([
      null,
      null,
    ]);
  });

  const looks: [string, (session: Session) => unknown][] = [
    ["get", read],
    ["exists", (session) => session.exists("a")],
    ["keys", (session) => session.keys()],
    ["getString", (session) => session.getString("a")],
    ["token", (session) => session.token],
    ["id", (session) => session.id],
    ["deadline", (session) => session.deadline],
    ["createdAt", (session) => session.createdAt],
    ["isNew", (session) => session.isNew],
    ["available", (session) => session.available],
    ["pop of a missing key", (session) => session.pop("missing")],
  ];
  test.each(looks)("are Cookie and private after %s, with a session or without", async (_, look) => {
    const { sessions } = setup();
    const sent = await cookieWith(sessions, put);
    expect(caching(await visit(sessions, look, { cookie: sent }))).toEqual(["Cookie", "private"]);
    expect(caching(await visit(sessions, look))).toEqual(["Cookie", "private"]);
  });

  test("leave the application's Cache-Control and Vary in place where the session was only read", async () => {
    const { sessions } = setup();
    const response = await visit(sessions, (session) => {
      read(session);
      return new Response("ok", { headers: { "cache-control": "public, max-age=60", vary: "Accept-Encoding" } });
    });
    expect(caching(response)).toEqual(["Accept-Encoding, Cookie", "public, max-age=60"]);
  });

  test("forbid caching with Set-Cookie, whatever the application said, and the headers of CDNs go", async () => {
    const { sessions } = setup();
    const cdn = ["cdn-cache-control", "surrogate-control", "cloudflare-cdn-cache-control", "vercel-cdn-cache-control"];
    const response = await visit(sessions, (session) => {
      put(session);
      const headers = new Headers({ "cache-control": "public, max-age=60" });
      for (const name of cdn) headers.set(name, "max-age=60");
      return new Response("ok", { headers });
    });
    expect(caching(response)).toEqual(["Cookie", 'no-store, no-cache="Set-Cookie"']);
    expect(cdn.filter((name) => response.headers.has(name))).toEqual([]);
  });

  test("forbid caching where destroy clears the cookie", async () => {
    const { sessions } = setup();
    const sent = await cookieWith(sessions, put);
    const response = await visit(sessions, (session) => session.destroy(), { cookie: sent });
    expect(caching(response)).toEqual(["Cookie", 'no-store, no-cache="Set-Cookie"']);
  });

  test("do not write into a Response that the handler may hand out again", async () => {
    const { sessions } = setup();
    const shared = new Response(null, { status: 204 });
    const response = await visit(sessions, (session) => {
      put(session);
      return shared;
    });
    expect([response.status, response.headers.getSetCookie().length]).toEqual([204, 1]);
    expect([...shared.headers]).toEqual([]);
  });
});

describe("the header transport", () => {
  test("reads and writes its header, with Vary by its name, and no cookie", async () => {
    const { sessions } = setup({ transport: header("X-Session") });
    const first = await visit(sessions, put);
    const token = first.headers.get("x-session")!;
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(first.headers.getSetCookie()).toEqual([]);
    expect(first.headers.get("vary")).toBe("X-Session");
    expect(first.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    let value: unknown;
    const second = await visit(sessions, (session) => (value = read(session)), { headers: { "x-session": token } });
    expect(value).toBe(1);
    expect([second.headers.get("x-session"), second.headers.get("vary")]).toEqual([null, "X-Session"]);
  });

  test("sends an empty value when the session is destroyed", async () => {
    const { sessions } = setup({ transport: header("X-Session") });
    const token = (await visit(sessions, put)).headers.get("x-session")!;
    const response = await visit(sessions, (session) => session.destroy(), { headers: { "x-session": token } });
    expect(response.headers.get("x-session")).toBe("");
    expect((await sessions.load(token)).isNew).toBe(true);
  });

  test.each(["", "X Session", "X-Session:", "X\r\nSet-Cookie"])("refuses the name %j", (name) => {
    expect(() => header(name)).toThrow(expect.objectContaining({ code: "invalid-option" }) as Error);
  });
});

describe("a transport of two functions of one's own", () => {
  const bearer = (): Transport => ({
    name: uniqueName(),
    vary: "Authorization",
    read: (request) => [request.header("authorization")?.replace("Bearer ", "") ?? ""],
    write: (headers, credential) =>
      headers.set("x-token", credential === undefined ? "gone" : JSON.stringify(credential)),
  });

  test("is given what it needs to write, and what it reads is checked like any token", async () => {
    const { sessions, clock, store } = setup({ transport: bearer(), lifetime: "1h" });
    const first = await visit(sessions, put);
    const credential = JSON.parse(first.headers.get("x-token")!) as { token: string };
    expect(credential).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/) as string,
      expiry: clock.now() + 3_600_000,
      now: clock.now(),
      persistent: true,
    });
    const headers = { authorization: `Bearer ${credential.token}` };
    const second = await visit(sessions, (session) => session.destroy(), { headers });
    expect(second.headers.get("x-token")).toBe("gone");
    store.calls.length = 0;
    await visit(sessions, read, { headers: { authorization: "Bearer forged" } });
    expect(store.calls).toEqual([]);
  });

  test("gets signed tokens where there are secrets", async () => {
    const { sessions } = setup({ transport: bearer(), secrets: ["s".repeat(32)] });
    const { token } = JSON.parse((await visit(sessions, put)).headers.get("x-token")!) as { token: string };
    expect(token).toMatch(/^[\w-]{43}\.[\w-]{43}$/);
    let value: unknown;
    await visit(sessions, (session) => (value = read(session)), { headers: { authorization: `Bearer ${token}` } });
    expect(value).toBe(1);
  });

  test("persist false makes credentials persistent only after rememberMe", async () => {
    const { sessions } = setup({ transport: { ...bearer(), persist: false } });
    const persistent = async (use: (session: Session) => void): Promise<unknown> =>
      (JSON.parse((await visit(sessions, use)).headers.get("x-token")!) as { persistent: boolean }).persistent;
    expect([await persistent(put), await persistent((session) => session.rememberMe(true))]).toEqual([false, true]);
  });

  test("cookie() is such a transport", async () => {
    const clock = new TestClock();
    const store = new FaultyStore(new MemoryStore({ clock }));
    const sessions = new SessionManager({ clock, store, transport: cookie({ name: "by-hand", path: "/x" }) });
    expect(parsed(await visit(sessions, put)).seen).toMatchObject({ name: "by-hand", path: "/x" });
  });
});

describe("commit without a middleware", () => {
  test("answers the headers to append, and none when there is nothing to tell", async () => {
    const { sessions, name, clock } = setup({ lifetime: "90s" });
    const session = await sessions.load();
    expect((await sessions.commit(session)).headers).toEqual([]);
    session.put("a", 1);
    const { token, expiry, headers } = await sessions.commit(session);
    expect(expiry?.getTime()).toBe(clock.now() + 90_000);
    expect(headers.map(([field]) => field.toLowerCase())).toEqual(["set-cookie", "cache-control"]);
    expect(headers[0]![1]).toContain(`${name}=${token}; `);
  });

  // Nothing can be told to a client whose token is not known: commit({ token: "" }) answers a Set-Cookie with an empty value that lives on.
  test("of a session found by iterate, with hashed tokens, has nothing to tell", async () => {
    const { sessions } = setup();
    await cookieWith(sessions, put);
    for await (const session of sessions.iterate()) {
      session.put("b", 2);
      expect(await sessions.commit(session)).toMatchObject({ token: "", headers: [] });
    }
  });
});
