/**
 * What SCS does, statement by statement: sections 2.2 to 2.4 of the study of alexedwards/scs v2 and of its Echo fork, whose
 * numbers begin the names of the tests, and its defects (2.6), which are not copied. "(changed)" marks what is done otherwise on purpose:
 *
 *  1. `cookie.secure` is "auto" and `hashTokenInStore` is true; durations are strings.
 *  3. Requests, not contexts, find their session; managers are still independent.
 *  6. Bytes that are no session are a fresh session and an event, not an error; a store fault is status 503, not 500.
 *  7. Misuse throws a SessionError `no-session`, which names the remedy.
 *  8. Reading neither modifies the session nor rewrites it: the idle timeout moves by a throttled `touch`.
 *  9. When the store fails, `commit` rejects instead of answering with an empty token.
 * 11. `put` of undefined is refused; null is a value.
 * 12. `rememberMe` is not among the keys.
 * 13. `destroy` is carried out by the commit; without a session it makes no store call, but still clears the cookie.
 * 15. `renewToken` is carried out by the commit, and `token` is that of the stored session until then.
 * 16. The other session of `merge` ends with the commit.
 * 17. `rememberMe` is part of the record, not of the values.
 * 18. A store that cannot list throws a SessionError `unsupported`.
 * 19. JavaScript needs no mutex: methods are synchronous and commits of one session queue.
 * 20. `Vary` is sent only where the session was observed; up to three cookies of the name are tried.
 * 21. A response that has read the session is `Cache-Control: private`.
 * 22. `Cache-Control` is `no-store, no-cache="Set-Cookie"` and replaces the application's.
 * 23. The order of the attributes is not promised, and a whole second is not rounded up to the next one.
 * 26. A change after the first byte throws; what was changed is stored with an error response; 103 commits nothing.
 * 27. The response is held, not wrapped; the answer to a store fault is 503.
 * F2. A session call where the middleware was skipped throws `no-session`.
 * F4. `Vary` goes by observation, not by the cookie.
 * F6. There is no registry: a manager is a value; one store under two cookie names is refused instead.
 * F8. Values come back without registering types.
 */

import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionManager, MemoryStore, type Session, type Store } from "scs-session";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { loadAndSave as onNode } from "scs-session/node";
import { TestClock } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import {
  cookieOf,
  cookieWith,
  failure,
  listen,
  settle,
  setup,
  tokenOf,
  uniqueName,
  visit,
  type Visit,
} from "./helpers.ts";

const hour = 3_600_000;
const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");

/** What a request with this cookie finds in its session. */
async function valuesOf(sessions: SessionManager, sent: Visit): Promise<Record<string, unknown>> {
  let values: Record<string, unknown> = {};
  await visit(
    sessions,
    (session) => {
      values = Object.fromEntries(session.keys().map((key) => [key, session.get(key)]));
    },
    sent,
  );
  return values;
}

describe("2.2 defaults", () => {
  test("1. Without options: memory store, lifetime 24 h, cookie `session` with HttpOnly, Path=/, SameSite=Lax, persistent", async () => {
    const clock = new TestClock();
    const sessions = new SessionManager({ clock });
    const response = await visit(sessions, (session) => session.put("a", 1));
    const [first, ...attributes] = response.headers.getSetCookie()[0]!.split("; ");
    expect(first).toMatch(/^session=[\w-]{43}$/);
    const expires = `Expires=${new Date(clock.now() + 24 * hour).toUTCString()}`;
    expect(attributes.sort()).toEqual([expires, "HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax"]);
    expect(await valuesOf(sessions, { cookie: first })).toEqual({ a: 1 });
  });

  test("1. There is no idle timeout: a session that nobody used for 23 hours is still there", async () => {
    const { sessions, clock, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    clock.advance("23h");
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 1 });
    clock.advance("1h");
    expect(await valuesOf(sessions, { cookie })).toEqual({});
    expect(store.calls).not.toContain("touch");
  });

  test("1. (changed) The cookie is Secure exactly where the request came over HTTPS", async () => {
    const { sessions } = setup();
    const put = (session: Session): void => session.put("a", 1);
    const overHttps = await visit(sessions, put, { url: "https://localhost/" });
    const overHttp = await visit(sessions, put);
    expect(overHttps.headers.getSetCookie()[0]).toMatch(/; Secure/);
    expect(overHttp.headers.getSetCookie()[0]).not.toMatch(/secure/i);
  });

  test("2. A token is 32 random bytes in base64url without padding", async () => {
    const { sessions } = setup();
    const tokens = new Set<string>();
    const ones = new Array<number>(256).fill(0);
    for (let i = 0; i < 200; i++) {
      const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
      expect(token).toMatch(/^[\w-]{43}$/);
      tokens.add(token);
      const bytes = Buffer.from(token, "base64url");
      expect(bytes).toHaveLength(32);
      for (let bit = 0; bit < 256; bit++) ones[bit]! += (bytes[bit >> 3]! >> (bit & 7)) & 1;
    }
    expect(tokens.size).toBe(200);
    // Every bit is drawn: 200 throws of a coin give 50 to 150 heads (ten million million to one).
    expect(ones.filter((count) => count < 50 || count > 150)).toEqual([]);
  });

  test("2. The store sees the SHA-256 of the token in find, commit, replace and delete; the cookie has the token", async () => {
    const { sessions, store, memory } = setup();
    const seen: string[] = [];
    store.holds = (_, token) => {
      seen.push(token);
      return false;
    };
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    const key = sha256(tokenOf(cookie));
    expect(await memory.find(key)).toBeDefined();
    await visit(sessions, (session) => session.put("a", 2), { cookie });
    await visit(sessions, (session) => session.destroy(), { cookie });
    expect(store.calls).toEqual(["commit", "find", "replace", "find", "replace"]);
    expect(new Set(seen)).toEqual(new Set([key]));
    expect(await memory.find(key)).toBeUndefined();
  });

  test("3. (changed) Several managers work on one request, each with its own session and cookie", async () => {
    const a = setup();
    const b = setup();
    const both = onFetch(
      a.sessions,
      onFetch(b.sessions, (request) => {
        a.sessions.of(request).put("who", "a");
        b.sessions.of(request).put("who", "b");
        expect(a.sessions.current()).toBe(a.sessions.of(request));
        expect(b.sessions.current()).toBe(b.sessions.of(request));
        return new Response("ok");
      }),
    );
    const response = await both(new Request("http://localhost/"));
    const cookies = response.headers.getSetCookie().map((line) => line.split(";", 1)[0]!);
    expect(cookies.map((cookie) => cookie.split("=")[0]).sort()).toEqual([a.name, b.name].sort());
    const cookie = cookies.join("; ");
    expect(await valuesOf(a.sessions, { cookie })).toEqual({ who: "a" });
    expect(await valuesOf(b.sessions, { cookie })).toEqual({ who: "b" });
  });
});

describe("2.3 load", () => {
  const nobody = "A".repeat(43);

  test.each([
    ["no token", undefined],
    ["an empty token", ""],
    ["an unknown token", nobody],
  ])("4. With %s the session is new, empty and unmodified, and nothing is stored", async (_, token) => {
    const { sessions, store } = setup();
    const session = await sessions.load(token);
    expect(session.keys()).toEqual([]);
    expect(session).toMatchObject({ token: "", id: undefined, status: "unmodified", isNew: true });
    expect(await sessions.commit(session)).toEqual({ token: "", expiry: undefined, headers: [] });
    expect(store.calls.filter((call) => call !== "find")).toEqual([]);
  });

  test("4. With an expired token the session is new and empty", async () => {
    const { sessions, clock } = setup({ lifetime: "1h" });
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    clock.advance("1h");
    const session = await sessions.load(token);
    expect(session.keys()).toEqual([]);
    expect(session).toMatchObject({ token: "", isNew: true, status: "unmodified" });
  });

  test("4. A row that is stored under the empty token is not loaded", async () => {
    const { sessions, memory, store } = setup({ hashTokenInStore: false });
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    await memory.commit("", (await memory.find(token))!);
    store.calls.length = 0;
    expect((await sessions.load("")).keys()).toEqual([]);
    expect((await sessions.load([""])).keys()).toEqual([]);
    expect(store.calls).toEqual([]);
  });

  test("5. A request whose session is loaded already keeps it, without a store call", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.calls.length = 0;
    const nested = onFetch(
      sessions,
      onFetch(sessions, (request) => {
        sessions.of(request).put("b", 2);
        return new Response("ok");
      }),
    );
    await nested(new Request("http://localhost/", { headers: { cookie } }));
    expect(store.calls).toEqual(["find", "replace"]);
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 1, b: 2 });
  });

  test("6. (changed) When the store fails at load, the handler does not run and the answer is 503", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.failure = new Error("down");
    expect(await failure(() => sessions.load(tokenOf(cookie)))).toMatchObject({
      code: "store-unavailable",
      status: 503,
    });
    let ran = false;
    const response = await visit(sessions, () => (ran = true), { cookie });
    expect([response.status, ran]).toEqual([503, false]);
  });

  test("6. The application's error function gets the error and answers", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.failure = new Error("down");
    const seen: unknown[] = [];
    const onError = (error: unknown): Response => {
      seen.push(error);
      return new Response("mine", { status: 418 });
    };
    const handler = onFetch(sessions, () => new Response("handler"), { onError });
    const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
    expect([response.status, await response.text()]).toEqual([418, "mine"]);
    expect(seen).toMatchObject([{ code: "store-unavailable" }]);
  });

  test("6. (changed) Bytes that are no session are a fresh session", async () => {
    const { sessions, memory, events } = setup();
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    await memory.commit(sha256(token), { data: Buffer.from("no session"), expiry: new Date(Date.now() + hour) });
    expect((await sessions.load(token)).keys()).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: "undecodable", session: sha256(token) });
  });

  test("7. (changed) Where the middleware did not run, of() and current() throw no-session and lookup() answers undefined", async () => {
    const { sessions } = setup();
    const request = new Request("http://localhost/");
    const error = await failure(() => sessions.of(request));
    expect(error.code).toBe("no-session");
    expect(error.message).toContain("loadAndSave");
    expect(await failure(() => sessions.current())).toMatchObject({ code: "no-session" });
    expect(sessions.lookup(request)).toBeUndefined();
  });

  test("8. (changed) With an idle timeout a loaded session stays unmodified, is not rewritten, and lives on while it is used", async () => {
    const { sessions, clock, store } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    for (let i = 0; i < 10; i++) {
      clock.advance("15m");
      const response = await visit(sessions, (session) => expect(session.status).toBe("unmodified"), { cookie });
      expect(response.headers.getSetCookie()).toHaveLength(1); // its Expires has moved
    }
    expect(store.calls.filter((call) => call === "commit" || call === "replace")).toEqual(["commit"]);
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 1 });
    clock.advance("20m");
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("8. With an idle timeout a new session is not stored", async () => {
    const { sessions, store } = setup({ idleTimeout: "20m" });
    const response = await visit(sessions, (session) => session.get("a"));
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(store.calls).toEqual([]);
  });
});

describe("2.3 commit", () => {
  test("9. A commit makes a token only if there is none: the second one keeps it", async () => {
    const { sessions } = setup();
    const session = await sessions.load();
    session.put("a", 1);
    const first = await sessions.commit(session);
    session.put("a", 2);
    const second = await sessions.commit(session);
    expect(first.token).toMatch(/^[\w-]{43}$/);
    expect(second.token).toBe(first.token);
  });

  test("9. The expiry is the deadline without an idle timeout, and the earlier of both with one", async () => {
    const commit = async (options: { idleTimeout?: "30m"; lifetime: "1h" }, wait: boolean) => {
      const { sessions, clock, memory } = setup(options);
      const start = clock.now();
      const session = await sessions.load();
      if (wait) clock.advance("45m");
      session.put("a", 1);
      const { token, expiry } = await sessions.commit(session);
      const stored = await memory.find(sha256(token));
      expect(stored?.expiry).toEqual(expiry);
      expect(JSON.parse(Buffer.from(stored!.data).toString())).toMatchObject({
        deadline: start + hour,
        values: { a: 1 },
      });
      return expiry!.getTime() - start;
    };
    expect(await commit({ lifetime: "1h" }, false)).toBe(hour);
    expect(await commit({ lifetime: "1h", idleTimeout: "30m" }, false)).toBe(hour / 2);
    expect(await commit({ lifetime: "1h", idleTimeout: "30m" }, true)).toBe(hour);
  });

  test("9. (changed) When the store fails the commit rejects; the session stays without token and can be committed later", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    session.put("a", 1);
    store.failure = new Error("down");
    expect(await failure(() => sessions.commit(session))).toMatchObject({ code: "store-unavailable", status: 503 });
    expect(session.token).toBe("");
    store.failure = undefined;
    const { token } = await sessions.commit(session);
    expect((await sessions.load(token)).get("a")).toBe(1);
  });

  test("10. The deadline is set at creation and survives later puts", async () => {
    const { sessions, clock } = setup({ lifetime: "1h" });
    const start = clock.now();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    clock.advance("30m");
    await visit(
      sessions,
      (session) => {
        session.put("a", 2);
        expect(session.deadline.getTime()).toBe(start + hour);
      },
      { cookie },
    );
    clock.advance("29m");
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 2 });
    clock.advance("1m");
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("10. renewToken, destroy, setDeadline and merge change the deadline, merge to the later one", async () => {
    const { sessions, clock } = setup({ lifetime: "1h" });
    const start = clock.now();
    const stored = async (): Promise<Session> => {
      const session = await sessions.load();
      session.put("a", 1);
      return sessions.load((await sessions.commit(session)).token);
    };
    const [renewed, kept, destroyed, set, older] = [
      await stored(),
      await stored(),
      await stored(),
      await stored(),
      await stored(),
    ];
    clock.advance("10m");
    const younger = await stored();
    renewed.renewToken();
    kept.renewToken({ keepDeadline: true });
    destroyed.destroy();
    set.setDeadline(new Date(start + 5 * hour));
    const minutes = (session: Session): number => (session.deadline.getTime() - start) / 60_000;
    expect([renewed, kept, destroyed, set].map(minutes)).toEqual([70, 60, 70, 300]);
    await sessions.merge(older, younger.token);
    expect(minutes(older)).toBe(70);
    const [late, early] = [await stored(), await stored()];
    late.setDeadline(new Date(start + 9 * hour));
    await sessions.merge(late, early.token);
    expect(minutes(late)).toBe(540);
  });
});

describe("2.3 data", () => {
  test("11. put modifies the session even when the value is equal", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.calls.length = 0;
    const response = await visit(
      sessions,
      (session) => {
        expect(session.status).toBe("unmodified");
        session.put("a", 1);
        expect(session.status).toBe("modified");
      },
      { cookie },
    );
    expect(store.calls).toEqual(["find", "replace"]);
    expect(cookieOf(response)).toBe(cookie);
  });

  test("11. null is a value, and is there", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", null));
    await visit(sessions, (session) => expect([session.exists("a"), session.get("a")]).toEqual([true, null]), {
      cookie,
    });
  });

  test("11. (changed) put of undefined is refused and changes nothing", async () => {
    const session = await setup().sessions.load();
    expect(await failure(() => session.put("a", undefined as unknown as string))).toMatchObject({
      code: "invalid-value",
    });
    expect([session.exists("a"), session.status]).toEqual([false, "unmodified"]);
  });

  test("11. get of a missing key is undefined; names of Object.prototype are missing keys too", async () => {
    const session = await setup().sessions.load();
    for (const key of ["a", "toString", "constructor", "__proto__", "hasOwnProperty"]) {
      expect([session.get(key), session.exists(key), session.pop(key)]).toEqual([undefined, false, undefined]);
    }
  });

  test("11. Typed getters answer the value, and the zero value when it is missing or of another type", async () => {
    const { sessions } = setup();
    const date = new Date("2024-02-29T12:00:00Z");
    const bytes = new Uint8Array([1, 2, 3]);
    const values = { string: "x", number: 1.5, boolean: true, bigint: 9n, bytes, date };
    const cookie = await cookieWith(sessions, (session) => {
      for (const [key, value] of Object.entries(values)) session.put(key, value);
    });
    await visit(
      sessions,
      (s) => {
        expect(s.getString("string")).toBe("x");
        expect(s.getNumber("number")).toBe(1.5);
        expect(s.getBoolean("boolean")).toBe(true);
        expect(s.getBigInt("bigint")).toBe(9n);
        expect(s.getBytes("bytes")).toEqual(bytes);
        expect(s.getDate("date")).toEqual(date);
        for (const key of [...Object.keys(values), "missing"]) {
          if (key !== "string") expect(s.getString(key)).toBe("");
          if (key !== "number") expect(s.getNumber(key)).toBe(0);
          if (key !== "boolean") expect(s.getBoolean(key)).toBe(false);
          if (key !== "bigint") expect(s.getBigInt(key)).toBe(0n);
          if (key !== "bytes") expect(s.getBytes(key)).toEqual(new Uint8Array());
          if (key !== "date") expect(s.getDate(key)).toBeUndefined();
        }
        expect(s.status).toBe("unmodified");
      },
      { cookie },
    );
  });

  test("11. Typed pops answer the value and remove it, of another type the zero value; missing keys leave the status", async () => {
    const { sessions } = setup();
    const date = new Date("2024-02-29T12:00:00Z");
    const values = {
      string: "x",
      number: 1.5,
      boolean: true,
      bigint: 9n,
      bytes: new Uint8Array([1]),
      date,
      other: [1],
    };
    const cookie = await cookieWith(sessions, (session) => {
      for (const [key, value] of Object.entries(values)) session.put(key, value);
    });
    await visit(
      sessions,
      (s) => {
        const zero = [
          s.popString("no"),
          s.popNumber("no"),
          s.popBoolean("no"),
          s.popBigInt("no"),
          s.popBytes("no"),
          s.popDate("no"),
        ];
        expect(zero).toEqual(["", 0, false, 0n, new Uint8Array(), undefined]);
        expect([s.pop("no"), s.status]).toEqual([undefined, "unmodified"]);
        expect(s.popString("other")).toBe("");
        expect(s.popString("string")).toBe("x");
        expect(s.popNumber("number")).toBe(1.5);
        expect(s.popBoolean("boolean")).toBe(true);
        expect(s.popBigInt("bigint")).toBe(9n);
        expect(s.popBytes("bytes")).toEqual(new Uint8Array([1]));
        expect(s.popDate("date")).toEqual(date);
        expect([s.keys(), s.status]).toEqual([[], "modified"]);
      },
      { cookie },
    );
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("11. pop answers the value once", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("flash", { text: "saved" }));
    const popped: unknown[] = [];
    for (let i = 0; i < 2; i++) await visit(sessions, (session) => popped.push(session.pop("flash")), { cookie });
    expect(popped).toEqual([{ text: "saved" }, undefined]);
  });

  test("11. remove of a missing key and clear of an empty session do nothing", async () => {
    const { sessions, store } = setup();
    const response = await visit(sessions, (session) => {
      session.remove("a");
      session.clear();
      expect(session.status).toBe("unmodified");
    });
    expect([store.calls, response.headers.getSetCookie()]).toEqual([[], []]);
  });

  test("11. remove takes one key away and clear all of them", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => {
      for (const key of ["a", "b", "c"]) session.put(key, 1);
    });
    await visit(sessions, (session) => session.remove("b"), { cookie });
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 1, c: 1 });
    await visit(sessions, (session) => session.clear(), { cookie });
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("12. (changed) Keys are sorted, without rememberMe", async () => {
    const session = await setup().sessions.load();
    for (const key of ["b", "a10", "a9", "C"]) session.put(key, 1);
    session.rememberMe(true);
    expect(session.keys()).toEqual(["C", "a10", "a9", "b"]);
  });

  test("12. clear takes rememberMe away, and keeps token and deadline", async () => {
    const { sessions, clock } = setup({ cookie: { persist: false } });
    const cookie = await cookieWith(sessions, (session) => {
      session.put("a", 1);
      session.rememberMe(true);
    });
    const { deadline } = await sessions.load(tokenOf(cookie));
    clock.advance("1h");
    const response = await visit(sessions, (session) => session.clear(), { cookie });
    expect(cookieOf(response)).toBe(cookie);
    expect(response.headers.getSetCookie()[0]).not.toMatch(/max-age|expires/i);
    const after = await sessions.load(tokenOf(cookie));
    expect([after.deadline, after.isNew, after.keys()]).toEqual([deadline, false, []]);
  });

  test("13. (changed) destroy empties the session at once and deletes the row with the commit", async () => {
    const { sessions, clock, memory } = setup({ lifetime: "1h" });
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    clock.advance("10m");
    const session = await sessions.load(token);
    session.destroy();
    expect([session.status, session.token, session.id, session.keys()]).toEqual(["destroyed", "", undefined, []]);
    expect(session.deadline.getTime()).toBe(clock.now() + hour);
    expect(await memory.find(sha256(token))).toBeDefined();
    await sessions.commit(session);
    expect(await memory.find(sha256(token))).toBeUndefined();
    expect([session.status, session.token]).toEqual(["destroyed", ""]);
    expect((await sessions.load(token)).keys()).toEqual([]);
  });

  test("13. (changed) destroy without a session makes no store call, and clears the cookie", async () => {
    const { sessions, store, name } = setup();
    const response = await visit(sessions, (session) => session.destroy());
    expect(store.calls).toEqual([]);
    expect(response.headers.getSetCookie()[0]).toMatch(new RegExp(`^${name}=; `));
  });

  test("14. destroy and then put in one request give one Set-Cookie, with a new token", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    const response = await visit(
      sessions,
      (session) => {
        session.destroy();
        session.destroy();
        session.put("b", 2);
        expect(session.status).toBe("modified");
      },
      { cookie },
    );
    const fresh = cookieOf(response);
    expect(fresh).not.toBe(cookie);
    expect(await valuesOf(sessions, { cookie: fresh })).toEqual({ b: 2 });
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("14. destroy twice is destroy once", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.calls.length = 0;
    const response = await visit(
      sessions,
      async (session) => {
        session.destroy();
        await sessions.commit(session);
        session.destroy();
      },
      { cookie },
    );
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(store.calls).toEqual(["find", "replace"]);
  });

  test("15. (changed) renewToken keeps the values, starts the deadline anew and ends the old token, all with the commit", async () => {
    const { sessions, clock } = setup({ lifetime: "1h" });
    const old = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    clock.advance("10m");
    const session = await sessions.load(old);
    session.renewToken();
    expect([session.token, session.status, session.get("a")]).toEqual([old, "modified", 1]);
    expect((await sessions.load(old)).get("a")).toBe(1);
    const { token } = await sessions.commit(session);
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(token).not.toBe(old);
    expect(session.token).toBe(token);
    const fresh = await sessions.load(token);
    expect([fresh.get("a"), fresh.deadline.getTime()]).toEqual([1, clock.now() + hour]);
    expect((await sessions.load(old)).keys()).toEqual([]);
  });

  test("15. renewToken of a new session stores it under one new token", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.renewToken());
    expect(store.calls).toEqual(["commit"]);
    expect((await sessions.load(tokenOf(cookie))).isNew).toBe(false);
  });

  test("16. (changed) merge takes the other's values over its own, and ends the other with the commit", async () => {
    const { sessions } = setup();
    const other = await cookieWith(sessions, (session) => {
      session.put("a", "other");
      session.put("b", "other");
    });
    const cookie = await cookieWith(sessions, (session) => {
      session.put("a", "own");
      session.put("c", "own");
    });
    const session = await sessions.load(tokenOf(cookie));
    await sessions.merge(session, tokenOf(other));
    expect(session.status).toBe("modified");
    expect(await valuesOf(sessions, { cookie: other })).toEqual({ a: "other", b: "other" });
    await sessions.commit(session);
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: "other", b: "other", c: "own" });
    expect(await valuesOf(sessions, { cookie: other })).toEqual({});
  });

  test("16. merge of an unknown token, a malformed one, and the session's own does nothing", async () => {
    const { sessions } = setup();
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    const session = await sessions.load(token);
    for (const other of ["A".repeat(43), "no token", "", token]) await sessions.merge(session, other);
    expect([session.status, session.get("a")]).toEqual(["unmodified", 1]);
    await sessions.commit(session);
    expect((await sessions.load(token)).get("a")).toBe(1);
  });

  test("16. merge with keys takes over these only", async () => {
    const { sessions } = setup<{ cart: string[]; role: string }>();
    const other = await sessions.load();
    other.put("cart", ["tea"]);
    other.put("role", "admin");
    const { token } = await sessions.commit(other);
    const session = await sessions.load();
    await sessions.merge(session, token, { keys: ["cart"] });
    expect(session.keys()).toEqual(["cart"]);
  });

  test("17. (changed) rememberMe decides about Max-Age and Expires where persist is false, and is kept with the session", async () => {
    const { sessions } = setup({ cookie: { persist: false } });
    const lasts = async (use: (session: Session) => void, sent: Visit = {}): Promise<[boolean, string]> => {
      const response = await visit(sessions, use, sent);
      return [
        /; Max-Age=\d+.*; Expires=|; Expires=.*; Max-Age=/.test(response.headers.getSetCookie()[0]!),
        cookieOf(response),
      ];
    };
    const [none, cookie] = await lasts((session) => session.put("a", 1));
    const [on] = await lasts((session) => session.rememberMe(true), { cookie });
    const [still] = await lasts((session) => session.put("a", 2), { cookie });
    const [off] = await lasts((session) => session.rememberMe(false), { cookie });
    expect({ none, on, still, off }).toEqual({ none: false, on: true, still: true, off: false });
    expect(await valuesOf(sessions, { cookie })).toEqual({ a: 2 });
  });

  test("18. iterate gives every live session, and stops at the first error", async () => {
    const { sessions, clock } = setup({ lifetime: "1h" });
    const add = (n: number): Promise<string> => cookieWith(sessions, (session) => session.put("n", n));
    await add(0);
    clock.advance("1h");
    for (const n of [1, 2, 3]) await add(n);
    const found: unknown[] = [];
    for await (const session of sessions.iterate()) found.push(session.get("n"));
    expect(found.sort()).toEqual([1, 2, 3]);
    let visited = 0;
    const walk = async (): Promise<void> => {
      for await (const _ of sessions.iterate()) {
        visited++;
        throw new Error("enough");
      }
    };
    await expect(walk()).rejects.toThrow("enough");
    expect(visited).toBe(1);
  });

  test("18. (changed) iterate throws `unsupported` for a store that cannot list its sessions", async () => {
    const inner = new MemoryStore();
    const store: Store = {
      find: (token) => inner.find(token),
      commit: (token, record) => inner.commit(token, record),
      delete: (token) => inner.delete(token),
    };
    const sessions = new SessionManager({ store });
    expect(await failure(() => sessions.iterate().next())).toMatchObject({ code: "unsupported" });
  });

  test("19. (changed) Tasks of one request share its session, and its commits queue", async () => {
    const { sessions, store } = setup<{ n: number; [key: `k${number}`]: number }>();
    const session = await sessions.load();
    const task = async (i: number): Promise<void> => {
      await settle();
      session.update("n", (n = 0) => n + 1);
      session.put(`k${i}`, i);
      await sessions.commit(session);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => task(i)));
    const { token } = await sessions.commit(session);
    const stored = await sessions.load(token);
    expect([stored.get("n"), stored.keys().length]).toEqual([20, 21]);
    expect(store.calls.filter((call) => call === "commit")).toHaveLength(1);
  });
});

describe("2.4 middleware and headers", () => {
  test("20. (changed) Vary is sent where the session was observed, and not elsewhere", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    const read = await visit(sessions, (session) => session.get("a"), { cookie });
    const unread = await visit(sessions, () => undefined, { cookie });
    expect([read.headers.get("vary"), unread.headers.get("vary")]).toEqual(["Cookie", null]);
  });

  test("20. (changed) A second cookie of the name is tried when the first is none of ours", async () => {
    const { sessions, name } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    expect(await valuesOf(sessions, { cookie: `${name}=stale; ${cookie}` })).toEqual({ a: 1 });
  });

  test("21. (changed) An unmodified GET gets no Set-Cookie and writes nothing; it is private", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.calls.length = 0;
    const response = await visit(sessions, (session) => session.get("a"), { cookie });
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(response.headers.get("cache-control")).toBe("private");
    expect(store.calls).toEqual(["find"]);
  });

  test("21. A second put keeps the token", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    expect(cookieOf(await visit(sessions, (session) => session.put("a", 2), { cookie }))).toBe(cookie);
  });

  test("22. (changed) A modified session is stored; Set-Cookie is added to the application's own, Cache-Control replaces its own", async () => {
    const { sessions, name } = setup();
    const origin = await listen(
      onNode(sessions, (req, res) => {
        sessions.of(req).put("a", 1);
        res.setHeader("set-cookie", "theme=dark");
        res.setHeader("cache-control", "public, max-age=60");
        res.end("ok");
      }),
    );
    const response = await fetch(origin);
    const lines = response.headers.getSetCookie();
    expect(lines.map((line) => line.split("=", 1)[0])).toEqual(["theme", name]);
    expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    expect(await valuesOf(sessions, { cookie: lines[1]!.split(";", 1)[0]! })).toEqual({ a: 1 });
  });

  test("23. (changed) The attributes are rounded up to the next second, and a whole second stays", async () => {
    const start = new Date("2030-01-01T00:00:00.001Z");
    const clock = new TestClock(start);
    const name = uniqueName();
    const sessions = new SessionManager({ clock, lifetime: "90s", cookie: { name, domain: "example.com" } });
    const handler = onFetch(sessions, (request) => {
      sessions.of(request).put("a", 1);
      clock.advance("500ms");
      return new Response("ok");
    });
    const line = (await handler(new Request("https://example.com/"))).headers.getSetCookie()[0]!;
    expect(
      line
        .replace(/=[\w-]{43};/, "=T;")
        .split("; ")
        .sort(),
    ).toEqual(
      [
        `${name}=T`,
        "Domain=example.com",
        "Expires=Tue, 01 Jan 2030 00:01:31 GMT",
        "HttpOnly",
        "Max-Age=90",
        "Path=/",
        "SameSite=Lax",
        "Secure",
      ].sort(),
    );
  });

  test("24. The cookie of a destroyed session is empty and in the past, with the attributes it was set with", async () => {
    const { sessions, name } = setup({
      cookie: { domain: "example.com", path: "/app", sameSite: "strict", secure: true },
    });
    const url = "https://example.com/app";
    const set = await visit(sessions, (session) => session.put("a", 1), { url });
    const cleared = await visit(sessions, (session) => session.destroy(), { url, cookie: cookieOf(set) });
    const attributes = (response: Response): string[] =>
      response.headers
        .getSetCookie()[0]!
        .split("; ")
        .slice(1)
        .filter((part) => !/^(expires|max-age)=/i.test(part))
        .sort();
    expect(attributes(cleared)).toEqual(attributes(set));
    const line = cleared.headers.getSetCookie()[0]!;
    expect(line).toContain(`${name}=; `);
    expect(line).toContain("Expires=Thu, 01 Jan 1970 00:00:01 GMT");
    expect(line).toContain("Max-Age=0");
  });

  test("25. With persist false and no rememberMe there is neither Expires nor Max-Age", async () => {
    const { sessions } = setup({ cookie: { persist: false } });
    const response = await visit(sessions, (session) => session.put("a", 1));
    expect(response.headers.getSetCookie()[0]).not.toMatch(/expires|max-age/i);
  });

  test("26. The commit happens once, before the first byte", async () => {
    const { sessions, store } = setup();
    const origin = await listen(
      onNode(sessions, (req, res) => {
        sessions.of(req).put("a", 1);
        res.write("one ");
        res.write("two ");
        res.end("three");
      }),
    );
    const response = await fetch(origin);
    expect([await response.text(), store.calls]).toEqual(["one two three", ["commit"]]);
    expect(response.headers.getSetCookie()).toHaveLength(1);
  });

  test("26. The commit happens after the handler where the handler writes nothing", async () => {
    const { sessions } = setup();
    const response = await visit(sessions, (session) => {
      session.put("a", 1);
      return new Response(null, { status: 204 });
    });
    expect([response.status, response.headers.getSetCookie().length]).toEqual([204, 1]);
  });

  test("26. (changed) A put after the first write throws headers-sent instead of being lost", async () => {
    const { sessions } = setup();
    const caught: unknown[] = [];
    const origin = await listen(
      onNode(sessions, (req, res) => {
        const session = sessions.of(req);
        res.write("first ");
        try {
          session.put("late", 1);
        } catch (error) {
          caught.push(error);
        }
        res.end("last");
      }),
    );
    const response = await fetch(origin);
    expect(await response.text()).toBe("first last");
    expect(caught).toMatchObject([{ code: "headers-sent" }]);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("26. (changed) What was put before a failure is stored with the error response that is sent", async () => {
    const { sessions } = setup();
    const onNodeServer = onNode(sessions, (req, res) => {
      try {
        sessions.of(req).put("failedLogins", 1);
        throw new Error("wrong password");
      } catch {
        res.statusCode = 500;
        res.end("error page");
      }
    });
    const response = await fetch(await listen(onNodeServer));
    expect(response.status).toBe(500);
    expect(await valuesOf(sessions, { cookie: cookieOf(response) })).toEqual({ failedLogins: 1 });
  });

  test("26. When the handler throws and no response is sent, nothing is stored", async () => {
    const { sessions, store } = setup();
    const handler = onFetch(sessions, (request) => {
      sessions.of(request).put("a", 1);
      throw new Error("panic");
    });
    await expect(handler(new Request("http://localhost/"))).rejects.toThrow("panic");
    expect(store.calls).toEqual([]);
  });

  test("26. (changed) Early hints (103) do not use up the commit", async () => {
    const { sessions } = setup();
    const origin = await listen(
      onNode(sessions, (req, res) => {
        const session = sessions.of(req);
        res.writeEarlyHints({ link: "</style.css>; rel=preload; as=style" });
        session.put("a", 1);
        res.end("ok");
      }),
    );
    const response = await fetch(origin);
    expect(await valuesOf(sessions, { cookie: cookieOf(response) })).toEqual({ a: 1 });
  });

  test("27. (changed) flushHeaders reaches the response, after the commit; the socket is that of Node", async () => {
    const { sessions } = setup();
    let flushed = (): void => undefined;
    const headersArrived = new Promise<void>((resolve) => (flushed = resolve));
    const sockets: boolean[] = [];
    const origin = await listen(
      onNode(sessions, (req, res) => {
        sessions.of(req).put("a", 1);
        sockets.push(res.socket === req.socket);
        res.flushHeaders();
        void headersArrived.then(() => res.end("body"));
      }),
    );
    const response = await fetch(origin); // resolves with the head; the body is still to come
    expect(response.headers.getSetCookie()).toHaveLength(1);
    flushed();
    expect([await response.text(), sockets]).toEqual(["body", [true]]);
  });

  test("27. (changed) Without an error function the answer to a store fault is 503 Service Unavailable", async () => {
    const { sessions, store } = setup();
    store.failure = new Error("secret detail");
    const origin = await listen(
      onNode(sessions, (req, res) => {
        sessions.of(req).put("a", 1);
        res.end("handler");
      }),
    );
    const response = await fetch(origin);
    expect([response.status, await response.text()]).toEqual([503, "Service Unavailable\n"]);
  });
});

describe("2.6 defects of SCS that are not here", () => {
  test("2.6 With an idle timeout a read in parallel does not bring a destroyed session back", async () => {
    const { sessions, clock, store, memory } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const reading = visit(sessions, (session) => session.get("a"), { cookie });
    await settle();
    expect(store.waiting).toHaveLength(1);
    store.holds = false;
    await visit(sessions, (session) => session.destroy(), { cookie });
    await store.waiting[0]!.complete();
    expect((await reading).headers.getSetCookie()).toEqual([]);
    expect(await memory.find(sha256(tokenOf(cookie)))).toBeUndefined();
    expect(await valuesOf(sessions, { cookie })).toEqual({});
  });

  test("2.6 With an idle timeout a read in parallel does not revive the old token of a renewed session", async () => {
    const { sessions, clock, store } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const reading = visit(sessions, (session) => session.get("a"), { cookie });
    await settle();
    expect(store.waiting).toHaveLength(1);
    store.holds = false;
    const fresh = cookieOf(await visit(sessions, (session) => session.renewToken(), { cookie }));
    await store.waiting[0]!.complete();
    expect((await reading).headers.getSetCookie()).toEqual([]);
    expect(await valuesOf(sessions, { cookie })).toEqual({});
    expect(await valuesOf(sessions, { cookie: fresh })).toEqual({ a: 1 });
  });

  test("2.6 Parallel writes of different keys are all kept", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("start", 0));
    let arrived = 0;
    let go = (): void => undefined;
    const all = new Promise<void>((resolve) => (go = resolve));
    const write = async (session: Session, i: number): Promise<void> => {
      if (++arrived === 20) go();
      await all; // every request has loaded before the first one stores
      session.put(`k${String(i)}`, i);
    };
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => visit(sessions, (session) => write(session, i), { cookie })),
    );
    expect(Object.keys(await valuesOf(sessions, { cookie }))).toHaveLength(21);
  });

  test("2.6 Destroying a session found by iterate works with hashed tokens", async () => {
    const { sessions } = setup<{ userId: number }>();
    const four = await cookieWith(sessions, (session) => session.put("userId", 4));
    const five = await cookieWith(sessions, (session) => session.put("userId", 5));
    for await (const session of sessions.iterate()) {
      if (session.get("userId") === 4) {
        expect(session.token).toBe("");
        session.destroy();
        await sessions.commit(session);
      }
    }
    expect((await sessions.load(tokenOf(four))).get("userId")).toBeUndefined();
    expect((await sessions.load(tokenOf(five))).get("userId")).toBe(5);
  });

  test("2.6 A flush before the first write sends the cookie", async () => {
    const { sessions } = setup();
    const origin = await listen(
      onNode(sessions, (req, res) => {
        sessions.of(req).put("a", 1);
        res.flushHeaders();
        res.end("ok");
      }),
    );
    expect(cookieOf(await fetch(origin))).toMatch(/=[\w-]{43}$/);
  });

  test("2.6 Mounted twice, the middleware sends one Set-Cookie and one Vary", async () => {
    const { sessions } = setup();
    const origin = await listen(
      onNode(
        sessions,
        onNode(sessions, (req, res) => {
          sessions.of(req).put("a", 1);
          res.end("ok");
        }),
      ),
    );
    const response = await fetch(origin);
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(response.headers.get("vary")).toBe("Cookie");
  });

  test("2.6 When the commit fails, the error's body is not followed by the handler's", async () => {
    const { sessions, store } = setup();
    store.failure = new Error("down");
    const handler = onNode(
      sessions,
      (req: IncomingMessage, res: ServerResponse) => {
        sessions.of(req).put("a", 1);
        res.write("BODY ");
        res.end("BODY");
      },
      {
        onError: (_, __, res: ServerResponse) => {
          res.statusCode = 503;
          res.end("ERR");
        },
      },
    );
    const response = await fetch(await listen(handler));
    expect([response.status, await response.text()]).toEqual([503, "ERR"]);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test.each([
    ["the zero time", new Date(0)],
    ["a past time", new Date("2001-01-01")],
    ["no time", new Date(NaN)],
  ])("2.6 setDeadline refuses %s, and nothing is stored", async (_, date) => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    expect(await failure(() => session.setDeadline(date))).toMatchObject({ code: "invalid-value" });
    expect(session.status).toBe("unmodified");
    await sessions.commit(session);
    expect(store.calls).toEqual([]);
  });

  test("2.6 setDeadline refuses the present, so that no store gets an expiry that is not ahead", async () => {
    const { sessions, clock } = setup();
    const session = await sessions.load();
    expect(await failure(() => session.setDeadline(new Date(clock.now())))).toMatchObject({ code: "invalid-value" });
    session.setDeadline(new Date(clock.now() + 1));
    expect((await sessions.commit(session)).expiry?.getTime()).toBe(clock.now() + 1);
  });
});

describe("2.7 the Echo fork", () => {
  test("F2. (changed) Where `skip` says so, the handler runs without session, and of() throws no-session", async () => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    store.calls.length = 0;
    const handler = onFetch(
      sessions,
      async (request) => new Response((await failure(() => sessions.of(request))).code),
      { skip: (request) => request.url.endsWith("/health") },
    );
    const response = await handler(new Request("http://localhost/health", { headers: { cookie } }));
    expect(await response.text()).toBe("no-session");
    expect([store.calls, response.headers.get("vary")]).toEqual([[], null]);
  });

  test("F4. (changed) Vary is added once, whatever the application has there, and Cache-Control is one line", async () => {
    const { sessions } = setup();
    const varyAfter = async (vary: string): Promise<string | null> => {
      const response = await visit(sessions, (session) => {
        session.put("a", 1);
        return new Response("ok", { headers: { vary } });
      });
      expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
      return response.headers.get("vary");
    };
    expect(await varyAfter("Accept")).toBe("Accept, Cookie");
    expect(await varyAfter("cookie")).toBe("cookie");
    expect(await varyAfter("Accept, Cookie")).toBe("Accept, Cookie");
    expect(await varyAfter("*")).toBe("*");
  });

  test("F6. (changed) Managers need distinct stores for distinct cookies: no registry of names stands between them", async () => {
    const store = new MemoryStore();
    const name = uniqueName();
    new SessionManager({ store, cookie: { name } });
    const twin = new SessionManager({ store, cookie: { name } }); // one name again: fine
    expect(twin).toBeInstanceOf(SessionManager);
    const error = await failure(() => new SessionManager({ store, cookie: { name: uniqueName() } }));
    expect(error.code).toBe("invalid-option");
  });

  test("F8. (changed) Objects come back on the next request with the same token, without registering types", async () => {
    const { sessions } = setup();
    const value = { name: "x", when: new Date(5), tags: new Set(["a"]), deep: { list: [1, { two: 2n }] } };
    const cookie = await cookieWith(sessions, (session) => session.put("object", value));
    const response = await visit(
      sessions,
      (session) => {
        expect(session.get("object")).toEqual(value);
        session.put("seen", true);
      },
      { cookie },
    );
    expect(cookieOf(response)).toBe(cookie);
  });
});
