/** The guarantees G4 to G12 of the design. G1 to G3 have tests of their own: the interleavings and the held response. */

import { createHash } from "node:crypto";
import {
  MemoryStore,
  SessionError,
  SessionManager,
  type DeepReadonly,
  type Session,
  type SessionEvent,
  type SessionOptions,
  type Store,
} from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { FaultyStore, TestClock } from "scs-session/testing";
import { describe, expect, expectTypeOf, test } from "vitest";
import { cookieOf, cookieWith, failure, settle, setup, tokenOf, uniqueName, visit } from "./helpers.ts";

interface User {
  userId: number;
  secret: string;
  n: number;
}
const bySubject: SessionOptions<User> = { subject: (data) => data.userId };
const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");
const typesOf = (events: readonly SessionEvent[]): string[] => events.map(({ type }) => type);
const login =
  (userId: number) =>
  (session: Session<User>): void =>
    session.put("userId", userId);

describe("G4 no fixation", () => {
  const planted = "B".repeat(43);

  test("an unknown token is never adopted, whatever is done with the session", async () => {
    const uses: ((session: Session<User>) => void)[] = [
      login(1),
      (session) => session.renewToken(),
      (session) => session.rememberMe(true),
      (session) => session.setDeadline(new Date(Date.now() + 1e7)),
      (session) => {
        session.destroy();
        session.put("n", 1);
      },
    ];
    for (const use of uses) {
      const { sessions, name, memory } = setup(bySubject);
      const token = tokenOf(cookieOf(await visit(sessions, use, { cookie: `${name}=${planted}` })));
      expect(token).toMatch(/^[\w-]{43}$/);
      expect(token).not.toBe(planted);
      expect(await memory.find(sha256(planted))).toBeUndefined();
    }
  });

  test("the token of an expired session is not adopted", async () => {
    const { sessions, clock } = setup<User>({ ...bySubject, lifetime: "1h" });
    const old = await cookieWith(sessions, login(1));
    clock.advance("2h");
    expect(cookieOf(await visit(sessions, login(1), { cookie: old }))).not.toBe(old);
  });

  test("the old token is dead after renewToken, for reading and for writing", async () => {
    const { sessions } = setup(bySubject);
    const old = await cookieWith(sessions, (session) => session.put("n", 1));
    const fresh = cookieOf(
      await visit(
        sessions,
        (session) => {
          session.renewToken();
          session.put("userId", 1);
        },
        { cookie: old },
      ),
    );
    const before = await visit(sessions, (session) => expect(session.keys()).toEqual([]), { cookie: old });
    const write = await visit(sessions, (session) => session.put("n", 666), { cookie: old });
    expect([before, write].map((response) => response.headers.getSetCookie())).toEqual([[], []]);
    await visit(sessions, (session) => expect(session.get("n")).toBe(1), { cookie: fresh });
  });

  test("a commit that changes the subject renews by itself, with an event: login, switch of user, logout by remove", async () => {
    const steps: ((session: Session<User>) => void)[] = [login(1), login(2), (session) => session.remove("userId")];
    const { sessions, events } = setup(bySubject);
    let cookie = await cookieWith(sessions, (session) => session.put("n", 1));
    for (const step of steps) {
      events.length = 0;
      const old = cookie;
      cookie = cookieOf(await visit(sessions, step, { cookie: old }));
      expect(cookie).not.toBe(old);
      expect(events).toEqual([
        expect.objectContaining({
          type: "renewed",
          automatic: true,
          session: sha256(tokenOf(old)),
          successor: sha256(tokenOf(cookie)),
        }),
      ]);
      expect((await sessions.load(tokenOf(old))).keys()).toEqual([]);
      expect((await sessions.load(tokenOf(cookie))).get("n")).toBe(1);
    }
  });

  test("a commit that leaves the subject alone keeps the token, and a renewal that was asked for is not called automatic", async () => {
    const { sessions, events } = setup(bySubject);
    const cookie = await cookieWith(sessions, login(1));
    expect(cookieOf(await visit(sessions, (session) => session.put("n", 1), { cookie }))).toBe(cookie);
    expect(cookieOf(await visit(sessions, login(1), { cookie }))).toBe(cookie);
    expect(typesOf(events)).toEqual(["created"]);
    await visit(
      sessions,
      (session) => {
        session.renewToken();
        session.put("userId", 2);
      },
      { cookie },
    );
    expect(events.at(-1)).toMatchObject({ type: "renewed", automatic: false });
  });
});

describe("G5 bounded outage", () => {
  const put = (session: Session): void => session.put("a", 1);

  test.each(["find", "replace", "commit"] as const)(
    "%s that does not answer fails at storeTimeout, not before, with status 503, and the signal is aborted",
    async (method) => {
      const { sessions, store, clock } = setup({ storeTimeout: "2s" });
      const cookie = method === "commit" ? undefined : await cookieWith(sessions, put);
      store.holds = (called) => called === method;
      let response: Response | undefined;
      void visit(sessions, put, { cookie }).then((answer) => (response = answer));
      await settle();
      const [call] = store.waiting;
      expect(call?.method).toBe(method);
      clock.advance("1999ms");
      await settle();
      expect([response, call!.signal!.aborted]).toEqual([undefined, false]);
      clock.advance("1ms");
      await settle();
      expect([response?.status, call!.signal!.aborted]).toEqual([503, true]);
      expect(response?.headers.getSetCookie()).toEqual([]);
    },
  );

  test("load and commit reject with store-unavailable at the limit", async () => {
    const { sessions, store, clock } = setup();
    const token = tokenOf(await cookieWith(sessions, put));
    store.holds = true;
    const loading = failure(() => sessions.load(token));
    await settle();
    clock.advance("5s");
    expect(await loading).toMatchObject({ code: "store-unavailable", status: 503 });
    const session = await sessions.load();
    session.put("a", 1);
    const committing = failure(() => sessions.commit(session));
    await settle();
    clock.advance("5s");
    expect(await committing).toMatchObject({ code: "store-unavailable", status: 503 });
  });

  test("each request has a limit of its own", async () => {
    const { sessions, store, clock } = setup();
    const token = tokenOf(await cookieWith(sessions, put));
    store.holds = true;
    const ended: string[] = [];
    void failure(() => sessions.load(token)).then(() => ended.push("first"));
    await settle();
    clock.advance("3s");
    void failure(() => sessions.load(token)).then(() => ended.push("second"));
    await settle();
    clock.advance("2s");
    await settle();
    expect(ended).toEqual(["first"]);
    clock.advance("3s");
    await settle();
    expect(ended).toEqual(["first", "second"]);
  });

  test("a commit whose answer was lost recognises its own write, at once or when it is called again", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    session.put("a", 1);
    store.holds = (method) => method === "commit";
    const committing = sessions.commit(session);
    await settle();
    await store.waiting[0]!.loseAnswer();
    const { token } = await committing;
    expect((await sessions.load(token)).get("a")).toBe(1);
    expect(store.calls.filter((call) => call === "commit")).toHaveLength(1);
  });

  test("a session that could not be stored can be stored when the store is back, once", async () => {
    const { sessions, store } = setup<User>();
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("n", 1)));
    const session = await sessions.load(token);
    session.update("n", (n = 0) => n + 1);
    store.failure = new Error("down");
    await failure(() => sessions.commit(session));
    await failure(() => sessions.commit(session));
    store.failure = undefined;
    await sessions.commit(session);
    expect((await sessions.load(token)).get("n")).toBe(2);
  });

  // G5: "Bounded outage". The commit that timed out keeps its place in the queue of its token (turns.ts) until the store's
  // promise settles. A driver whose call never settles, abort or not, blocks every later commit and logout of this session, in
  // this process for ever: each waits its full storeTimeout and fails, although the store is well again.
  test("a call that never settles does not keep later requests of the session from being stored", async () => {
    const { sessions, store, clock } = setup();
    const cookie = await cookieWith(sessions, put);
    store.holds = (method) => method === "replace";
    const first = visit(sessions, put, { cookie });
    await settle();
    clock.advance("5s");
    expect((await first).status).toBe(503);
    store.holds = false;
    const later = visit(sessions, put, { cookie });
    await settle();
    clock.advance("5s");
    expect((await later).status).toBe(200);
  });

  describe('outage "anonymous"', () => {
    const changes: [string, (session: Session) => void][] = [
      ["put", put],
      ["update", (session) => session.update("a", () => 1)],
      ["pop", (session) => session.pop("a")],
      ["popString", (session) => session.popString("a")],
      ["remove", (session) => session.remove("a")],
      ["clear", (session) => session.clear()],
      ["renewToken", (session) => session.renewToken()],
      ["destroy", (session) => session.destroy()],
      ["rememberMe", (session) => session.rememberMe(true)],
      ["setDeadline", (session) => session.setDeadline(new Date(Date.now() + 1e7))],
    ];

    test("runs the handler with an empty session that is not available; the response is no-store, without cookie", async () => {
      const { sessions, store } = setup({ outage: "anonymous" });
      const cookie = await cookieWith(sessions, put);
      store.failure = new Error("down");
      const response = await visit(
        sessions,
        (session) => {
          expect([session.available, session.keys(), session.get("a"), session.token]).toEqual([
            false,
            [],
            undefined,
            "",
          ]);
          return new Response("ok", { headers: { "cache-control": "public" } });
        },
        { cookie },
      );
      expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
      expect(response.headers.getSetCookie()).toEqual([]);
    });

    test.each(changes)("%s throws store-unavailable", async (_, change) => {
      const { sessions, store } = setup({ outage: "anonymous" });
      const cookie = await cookieWith(sessions, put);
      store.failure = new Error("down");
      const response = await visit(
        sessions,
        async (session) =>
          expect(await failure(() => change(session))).toMatchObject({ code: "store-unavailable", status: 503 }),
        { cookie },
      );
      expect(response.headers.getSetCookie()).toEqual([]);
      store.failure = undefined;
      await visit(sessions, (session) => expect(session.get("a")).toBe(1), { cookie });
    });

    test("is meant for loads: a commit that fails is still a 503", async () => {
      const { sessions, store } = setup({ outage: "anonymous" });
      store.failure = new Error("down");
      const response = await visit(sessions, put);
      expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
    });

    test("a load that takes too long is an outage too", async () => {
      const { sessions, store, clock } = setup({ outage: "anonymous" });
      const cookie = await cookieWith(sessions, put);
      store.holds = true;
      const visiting = visit(sessions, (session) => expect(session.available).toBe(false), { cookie });
      await settle();
      clock.advance("5s");
      expect((await visiting).status).toBe(200);
    });

    // A mistake of the application is no outage: of a `subject` that throws, the developer should hear.
    test("does not hide the error of a function of the application", async () => {
      const { sessions, memory } = setup<User>({
        outage: "anonymous",
        // Asked at load where a request brings several live tokens.
        subject: (data) => {
          if (data.n === 1) throw new TypeError("mistake");
          return undefined;
        },
      });
      const cookie = await cookieWith(sessions, (session) => session.put("secret", "x"));
      await memory.commit(sha256(tokenOf(cookie)), await record(memory, cookie, '"secret":"x"', '"n":1'));
      const another = await cookieWith(sessions, (session) => session.put("secret", "y"));
      await expect(sessions.load([tokenOf(cookie), tokenOf(another)])).rejects.toMatchObject({
        code: "invalid-option",
        cause: { message: "mistake" },
      });
    });
  });

  test.each([
    ["put", put],
    ["renewToken", (session: Session) => session.renewToken()],
    ["destroy", (session: Session) => session.destroy()],
  ])("an outage neither sets nor clears a cookie, after %s", async (_, use) => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, put);
    const response = await visit(
      sessions,
      (session) => {
        use(session);
        store.failure = new Error("down");
      },
      { cookie },
    );
    expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
  });

  /** Everything that a logger could print of an error. */
  function printed(error: unknown): string {
    let text = "";
    for (let at: unknown = error; at instanceof Error; at = at.cause) {
      text += `${at.name} ${at.message} ${at.stack ?? ""} ${JSON.stringify(at)} ${JSON.stringify(Object.entries(at))}\n`;
    }
    return text;
  }

  test.each([true, false])(
    "with hashTokenInStore %j no error and no event holds the token, even where the driver's error does",
    async (hashTokenInStore) => {
      const { sessions, store, events } = setup({ hashTokenInStore });
      const token = tokenOf(await cookieWith(sessions, put));
      const key = hashTokenInStore ? sha256(token) : token;
      const query = `SELECT data FROM sessions WHERE token = '${key}'`;
      store.failure = Object.assign(new Error(`syntax error in ${query}\n at '${key}'`), {
        query,
        parameters: [key],
        code: "42601",
        cause: new Error(query),
      });
      const error = await failure(() => sessions.load(token));
      expect(error.cause).toMatchObject({ code: "42601" });
      for (const text of [printed(error), ...events.map((event) => printed("error" in event && event.error))]) {
        expect(text).not.toContain(token);
        expect(text).not.toContain(key);
        expect(text).not.toContain("SELECT");
      }
    },
  );

  // The message of an error is part of its stack; lines of it that look like frames are kept (framesOf in errors.ts).
  test("no line of the driver's message passes for a frame of the stack", async () => {
    const { sessions, store } = setup();
    const token = tokenOf(await cookieWith(sessions, put));
    store.failure = new Error(`bad token\n    at ${sha256(token)} (query:1:1)`);
    expect(printed(await failure(() => sessions.load(token)))).not.toContain(sha256(token));
  });

  test("no own property of the driver's error, and not its cause, is passed on", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    session.put("a", "confidential");
    store.failure = Object.assign(new Error("write failed"), {
      parameters: ["confidential"],
      detail: "confidential",
      cause: new Error("confidential"),
    });
    const error = await failure(() => sessions.commit(session));
    expect(printed(error)).toContain("message withheld");
    expect(printed(error)).not.toContain("confidential");
  });

  // G10: "errors: the `id`, never token or values"; G5: "cause kept clean". Only the key is looked for in the message of the
  // driver's error; drivers put data in there too ("Failing row contains (…)" of PostgreSQL, "Data too long … 'value'").
  test("no error holds a value, even where the message of the driver's error does", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    session.put("a", "confidential");
    store.failure = new Error('Failing row contains ({"values":{"a":"confidential"}}).');
    const error = await failure(() => sessions.commit(session));
    expect(printed(error)).not.toContain("confidential");
  });
});

/** The stored bytes of a session, edited as text. */
async function record(
  store: Store,
  cookie: string,
  from: string,
  to: string,
): Promise<{ data: Uint8Array; expiry: Date }> {
  const { data, expiry } = (await store.find(sha256(tokenOf(cookie))))!;
  const text = Buffer.from(data).toString();
  if (!text.includes(from)) throw new Error(`${from} is not in ${text}`);
  return { data: Buffer.from(text.replace(from, to)), expiry };
}

describe("G6 the calls of a store", () => {
  const put = (session: Session): void => session.put("a", 1);
  const kinds: [string, string[], (session: Session) => unknown][] = [
    ["a read", ["find"], (session) => session.get("a")],
    ["a request that does not look at its session", ["find"], () => undefined],
    ["a write", ["find", "replace"], put],
    [
      "a write of many keys",
      ["find", "replace"],
      (session) => "abcdefg".split("").forEach((key) => session.put(key, 1)),
    ],
    ["a renewal", ["find", "commit", "replace"], (session) => session.renewToken()],
    ["a destroy", ["find", "replace"], (session) => session.destroy()],
  ];
  test.each(kinds)("%s of a stored session makes %j", async (_, calls, use) => {
    const { sessions, store } = setup();
    const cookie = await cookieWith(sessions, put);
    store.calls.length = 0;
    await visit(sessions, use, { cookie });
    expect(store.calls).toEqual(calls);
  });

  test("the first write of a new session makes one call, and so does a login", async () => {
    const { sessions, store } = setup();
    await visit(sessions, put);
    expect(store.calls).toEqual(["commit"]);
    store.calls.length = 0;
    await visit(sessions, (session) => {
      session.renewToken();
      put(session);
    });
    expect(store.calls).toEqual(["commit"]);
  });

  test("commit makes none when nothing is new", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    put(session);
    await sessions.commit(session);
    store.calls.length = 0;
    await sessions.commit(session);
    await sessions.commit(session);
    expect(store.calls).toEqual([]);
  });

  test.each([
    ["5m", { touchInterval: "5m" }],
    ["a twentieth of idleTimeout", {}],
  ] as const)("with an idle timeout a read is one find, but for one touch each touchInterval (%s)", async (_, more) => {
    // The cookie ends with the browser, so that its Expires need not move along.
    const { sessions, store, clock } = setup({ idleTimeout: "100m", cookie: { persist: false }, ...more });
    const cookie = await cookieWith(sessions, put);
    const touches: number[] = [];
    for (let minute = 1; minute <= 18; minute++) {
      clock.advance("1m");
      store.calls.length = 0;
      await visit(sessions, (session) => session.get("a"), { cookie });
      if (store.calls.includes("touch")) touches.push(minute);
      else expect(store.calls).toEqual(["find"]);
      expect(store.calls.filter((call) => call !== "find" && call !== "touch")).toEqual([]);
    }
    expect(touches).toEqual([6, 12, 18]);
  });

  test("the touch runs beside the handler, and the response waits for it", async () => {
    const { sessions, store, clock } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, put);
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const done: string[] = [];
    const visiting = visit(sessions, () => done.push("handler"), { cookie }).then(() => done.push("response"));
    await settle();
    expect([done, store.waiting.length]).toEqual([["handler"], 1]);
    await store.waiting[0]!.complete();
    await visiting;
    expect(done).toEqual(["handler", "response"]);
  });

  test("a touch that fails is an event and not an error", async () => {
    const { sessions, store, clock, events } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, put);
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const visiting = visit(sessions, (session) => session.get("a"), { cookie });
    await settle();
    await store.waiting[0]!.fail();
    expect((await visiting).status).toBe(200);
    expect(events.at(-1)).toMatchObject({ type: "store-error", error: { code: "store-unavailable" } });
  });

  test("a touch that does not answer holds the response until storeTimeout at most, and is an event", async () => {
    const { sessions, store, clock, events } = setup({ idleTimeout: "20m", storeTimeout: "1s" });
    const cookie = await cookieWith(sessions, put);
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    const visiting = visit(sessions, (session) => session.get("a"), { cookie });
    await settle();
    clock.advance("1s");
    const response = await visiting;
    expect([response.status, response.headers.getSetCookie()]).toEqual([200, []]);
    expect(typesOf(events)).toEqual(["created", "store-error"]);
  });

  test("a read rewrites no data: a store that is told to touch keeps the very bytes", async () => {
    const { sessions, memory, clock } = setup({ idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, put);
    const before = (await memory.find(sha256(tokenOf(cookie))))!;
    clock.advance("10m");
    await visit(sessions, (session) => session.get("a"), { cookie });
    const after = (await memory.find(sha256(tokenOf(cookie))))!;
    expect(Buffer.from(after.data)).toEqual(Buffer.from(before.data));
    expect(after.expiry.getTime() - before.expiry.getTime()).toBe(600_000);
  });

  test("the idle timeout never moves the expiry past the deadline", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "30m", idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, put);
    const deadline = clock.now() + 30 * 60_000;
    clock.advance("15m");
    await visit(sessions, (session) => session.get("a"), { cookie });
    expect((await memory.find(sha256(tokenOf(cookie))))!.expiry.getTime()).toBe(deadline);
    clock.advance("15m");
    await visit(sessions, (session) => expect(session.get("a")).toBeUndefined(), { cookie });
  });

  test("iterate and list do not slide the idle timeout", async () => {
    const { sessions, store, clock } = setup<User>({ ...bySubject, idleTimeout: "20m" });
    await cookieWith(sessions, login(1));
    clock.advance("10m");
    store.calls.length = 0;
    const found: unknown[] = [];
    for await (const session of sessions.iterate()) found.push(session.get("userId"));
    for await (const { values } of sessions.list({ subject: 1 })) found.push(values.userId);
    expect([found, store.calls]).toEqual([[1, 1], []]);
  });
});

describe("G7 forgery is cheap to refuse", { timeout: 30_000 }, () => {
  const malformed = (i: number): string => {
    const token = sha256(String(i));
    return [
      token.slice(1),
      `${token}A`,
      token.replace(/./, "."),
      `${token}.`,
      `${token.slice(0, 42)}=`,
      "",
      `%${token}`,
    ][i % 7]!;
  };
  const secrets = [`new ${"x".repeat(32)}`, `old ${"x".repeat(32)}`];

  test("10,000 malformed tokens make no store call", async () => {
    const { sessions, store, name } = setup();
    const handler = loadAndSave(sessions, (request) => new Response(String(sessions.of(request).isNew)));
    for (let i = 0; i < 10_000; i++) {
      const request = new Request("http://localhost/", { headers: { cookie: `${name}=${malformed(i)}` } });
      expect(await (await handler(request)).text()).toBe("true");
    }
    expect(store.calls).toEqual([]);
  });

  test("with secrets 10,000 well-formed forgeries make none either", async () => {
    const { sessions, store } = setup({ secrets });
    for (let i = 0; i < 10_000; i++) {
      const forged = [sha256(String(i)), `${sha256(String(i))}.${sha256(String(-i))}`][i % 2]!;
      expect((await sessions.load(forged)).isNew).toBe(true);
    }
    expect(store.calls).toEqual([]);
  });

  test("a signature is of one token only, and the stored key is that of the token without it", async () => {
    const { sessions, store, memory } = setup({ secrets });
    const [a, b] = [await cookieWith(sessions, (s) => s.put("a", 1)), await cookieWith(sessions, (s) => s.put("b", 1))];
    const [tokenA, signatureA] = tokenOf(a).split(".") as [string, string];
    const [tokenB] = tokenOf(b).split(".") as [string];
    expect([tokenA, signatureA].every((part) => /^[\w-]{43}$/.test(part))).toBe(true);
    expect(await memory.find(sha256(tokenA))).toBeDefined();
    store.calls.length = 0;
    expect((await sessions.load(`${tokenB}.${signatureA}`)).isNew).toBe(true);
    expect(store.calls).toEqual([]);
    expect((await sessions.load(`${tokenA}.${signatureA}`)).isNew).toBe(false);
  });

  test("after a rotation of secrets old signatures are accepted and signed anew on use, under the same stored key", async () => {
    const memory = new MemoryStore();
    const name = uniqueName();
    const manager = (...list: string[]): SessionManager =>
      new SessionManager({ store: memory, secrets: list, cookie: { name } });
    const [fresh, old] = secrets as [string, string];
    const cookie = await cookieWith(manager(old), (session) => session.put("a", 1));
    const rotated = manager(fresh, old);
    const response = await visit(rotated, (session) => expect(session.get("a")).toBe(1), { cookie });
    const again = cookieOf(response);
    expect(again.split(".")[0]).toBe(cookie.split(".")[0]);
    expect(again).not.toBe(cookie);
    const second = await visit(rotated, (session) => expect(session.get("a")).toBe(1), { cookie: again });
    expect(second.headers.getSetCookie()).toEqual([]);
    await visit(manager(fresh), (session) => expect(session.get("a")).toBe(1), { cookie: again });
    await visit(manager(fresh), (session) => expect(session.isNew).toBe(true), { cookie });
  });

  test("allowUnsigned takes bare tokens and signs them on use; without it they are refused", async () => {
    const memory = new MemoryStore();
    const name = uniqueName();
    const manager = (options: SessionOptions): SessionManager =>
      new SessionManager({ store: memory, cookie: { name }, ...options });
    const bare = await cookieWith(manager({}), (session) => session.put("a", 1));
    await visit(manager({ secrets }), (session) => expect(session.isNew).toBe(true), { cookie: bare });
    const introducing = manager({ secrets, allowUnsigned: true });
    const signed = cookieOf(await visit(introducing, (session) => expect(session.get("a")).toBe(1), { cookie: bare }));
    expect(signed).toMatch(new RegExp(`^${bare}\\.[\\w-]{43}$`));
    await visit(manager({ secrets }), (session) => expect(session.get("a")).toBe(1), { cookie: signed });
    const forged = `${tokenOf(bare)}.${sha256("x")}`;
    expect((await introducing.load(forged)).isNew).toBe(true);
  });
});

describe("G8 nothing for nothing", () => {
  test("an anonymous request makes no store call and gets no cookie and no header", async () => {
    const { sessions, store, events } = setup({ idleTimeout: "20m" });
    const bare = new Response("ok");
    const handler = loadAndSave(sessions, () => bare);
    const response = await handler(new Request("http://localhost/"));
    expect(response).toBe(bare); // not even copied
    const looked = await visit(sessions, () => undefined); // of() alone
    expect([...looked.headers.keys()]).toEqual([...new Response("ok").headers.keys()]);
    expect([store.calls, events]).toEqual([[], []]);
  });

  test("a session that is only read is not created", async () => {
    const { sessions, store } = setup();
    const response = await visit(sessions, (session) => [session.get("a"), session.pop("b"), session.keys()]);
    expect([store.calls, response.headers.getSetCookie()]).toEqual([[], []]);
  });
});

describe("G9 values come back as they were put", () => {
  const shared = { shared: true };
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  const values: [string, unknown][] = [
    ["a string", "ümläut \u0000 \u2028 </script> 😀"],
    ["an empty string", ""],
    ["half of a character", "\ud83d"],
    ["numbers", [0, -0, 1.5, -1e308, Number.MAX_SAFE_INTEGER, 5e-324]],
    ["NaN and Infinity", [NaN, Infinity, -Infinity]],
    ["-0", -0],
    ["booleans and null", [true, false, null]],
    ["a nested undefined", { a: undefined, b: [undefined, 1] }],
    ["bigints", [0n, -(2n ** 200n)]],
    ["a Date", new Date("2024-02-29T12:00:00.123Z")],
    ["an invalid Date", new Date(NaN)],
    [
      "a Map with keys of any kind",
      new Map<unknown, unknown>([
        ["a", 1],
        [1, new Date(5)],
        [{ k: 1 }, new Map()],
      ]),
    ],
    ["a Set", new Set<unknown>([1, "1", new Set([2n])])],
    ["bytes", new Uint8Array([0, 1, 254, 255])],
    ["no bytes", new Uint8Array()],
    ["bytes inside", { list: [{ bytes: new Uint8Array([7]) }] }],
    ["an object without prototype", Object.assign(Object.create(null) as object, { a: 1 })],
    ["hostile keys", { constructor: 1, toString: 2, hasOwnProperty: 3, toJSON: "x", then: 1 }],
    ["shared references", [shared, shared]],
    ["a cycle", cyclic],
    ["an object", { deep: { deeper: [{ deepest: "x" }] }, empty: {}, none: [] }],
  ];

  test.each(values)("%s", async (_, value) => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => {
      session.put("value", value);
      expect(session.get("value")).toStrictEqual(value);
    });
    await visit(
      sessions,
      (session) => {
        const back = session.get("value");
        expect(back).toStrictEqual(value);
        expect(Object.prototype.toString.call(back)).toBe(Object.prototype.toString.call(value));
        if (typeof back === "object" && back !== null) {
          expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(value));
        }
      },
      { cookie },
    );
  });

  test("shared references stay shared", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("value", [shared, shared]));
    await visit(
      sessions,
      (session) => {
        const [a, b] = session.get("value") as object[];
        expect(a).toBe(b);
      },
      { cookie },
    );
  });

  test("any string is a key, also those that mean something to JavaScript", async () => {
    const keys = [
      "__proto__",
      "constructor",
      "toString",
      "toJSON",
      "values",
      "deadline",
      "",
      "a\0b",
      "\ud83d",
      "__rememberMe",
    ];
    const { sessions } = setup();
    for (const extra of [1, new Date(1)]) {
      const cookie = await cookieWith(sessions, (session) => {
        for (const key of keys) session.put(key, `${key}!`);
        session.put("extra", extra);
      });
      await visit(
        sessions,
        (session) => {
          expect(session.keys()).toEqual([...keys, "extra"].sort());
          for (const key of keys) expect(session.get(key)).toBe(`${key}!`);
        },
        { cookie },
      );
    }
    expect({}).not.toHaveProperty("extra");
  });

  test("what is put is a copy: later changes of the original change nothing", async () => {
    const session = await setup().sessions.load();
    const original = { list: [1], when: new Date(0), map: new Map([["a", 1]]), bytes: new Uint8Array([1]) };
    session.put("value", original);
    original.list.push(2);
    original.when.setTime(9);
    original.map.set("b", 2);
    original.bytes[0] = 9;
    const untouched = { list: [1], when: new Date(0), map: new Map([["a", 1]]), bytes: new Uint8Array([1]) };
    expect(session.get("value")).toEqual(untouched);
    expect(Object.isFrozen(original)).toBe(false);
  });

  const inPlace: [string, unknown, (value: never) => unknown][] = [
    ["a property", { a: 1 }, (value: { a: number }) => (value.a = 2)],
    ["a new property", { a: 1 }, (value: Record<string, number>) => (value["b"] = 2)],
    ["delete", { a: 1 }, (value: { a?: number }) => delete value.a],
    ["a nested property", { a: { b: 1 } }, (value: { a: { b: number } }) => (value.a.b = 2)],
    ["push", [1], (value: number[]) => value.push(2)],
    ["sort", [2, 1], (value: number[]) => value.sort()],
    ["Date.setTime", new Date(0), (value: Date) => value.setTime(1)],
    ["Date.setFullYear", new Date(0), (value: Date) => value.setFullYear(1999)],
    ["Map.set", new Map([["a", 1]]), (value: Map<string, number>) => value.set("b", 2)],
    ["Map.delete", new Map([["a", 1]]), (value: Map<string, number>) => value.delete("a")],
    ["Map.clear", new Map([["a", 1]]), (value: Map<string, number>) => value.clear()],
    ["Set.add", new Set([1]), (value: Set<number>) => value.add(2)],
    [
      "a Date in a Map in a list",
      [new Map([["a", new Date(0)]])],
      (v: Map<string, Date>[]) => v[0]!.get("a")!.setTime(1),
    ],
    ["an object in a Set", new Set([{ a: 1 }]), (value: Set<{ a: number }>) => ([...value][0]!.a = 2)],
    ["a property beside bytes", { a: 1, bytes: new Uint8Array([1]) }, (value: { a: number }) => (value.a = 2)],
  ];
  test.each(inPlace)(
    "values are handed out frozen: %s throws a TypeError, before and after the round trip",
    async (_, value, change) => {
      const { sessions } = setup();
      const refuses = (session: Session): void => {
        expect(() => change(session.get("value") as never)).toThrow(TypeError);
        expect(session.get("value")).toEqual(value);
      };
      const cookie = await cookieWith(sessions, (session) => {
        session.put("value", value);
        refuses(session);
      });
      await visit(sessions, refuses, { cookie });
      await visit(
        sessions,
        (session) =>
          session.update("value", (given) => {
            expect(() => change(given as never)).toThrow(TypeError);
            return given;
          }),
        { cookie },
      );
      await visit(sessions, (session) => expect(() => change(session.pop("value") as never)).toThrow(TypeError), {
        cookie,
      });
    },
  );

  test("list hands out frozen values too", async () => {
    const { sessions } = setup<{ userId: number; cart: string[] }>({ subject: (data) => data.userId });
    await cookieWith(sessions, (session) => {
      session.put("userId", 1);
      session.put("cart", ["tea"]);
    });
    const found: unknown[] = [];
    for await (const { values: listed } of sessions.list({ subject: 1 })) {
      expect(() => (listed.cart as string[]).push("x")).toThrow(TypeError);
      found.push(listed);
    }
    expect(found).toEqual([{ userId: 1, cart: ["tea"] }]);
  });

  test("bytes are handed out as copies, at the top, inside of values, and by getBytes", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => {
      session.put("bytes", new Uint8Array([1]));
      session.put("inside", { bytes: new Uint8Array([1]) });
    });
    const scribble = (session: Session): void => {
      (session.get("bytes") as Uint8Array)[0] = 9;
      session.getBytes("bytes")[0] = 9;
      (session.get("inside") as { bytes: Uint8Array }).bytes[0] = 9;
      expect(session.get("bytes")).toEqual(new Uint8Array([1]));
      expect(session.get("inside")).toEqual({ bytes: new Uint8Array([1]) });
    };
    await visit(
      sessions,
      (session) => {
        scribble(session);
        session.put("b", 1);
      },
      { cookie },
    );
    await visit(sessions, scribble, { cookie });
  });

  class Custom {
    a = 1;
  }
  const refused: [string, unknown, string][] = [
    ["a function", () => 1, "value"],
    ["a symbol", Symbol("x"), "value"],
    ["an instance of a class", new Custom(), "value"],
    ["an instance inside", { list: [{ custom: new Custom() }] }, "value.list[0].custom"],
    ["a function in a Map", new Map([["a", () => 1]]), "value"],
    ["a regular expression", /x/, "value"],
    ["an Error", new Error("x"), "value"],
    ["a Promise", Promise.resolve(1), "value"],
    ["a WeakMap", new WeakMap(), "value"],
    ["an object with symbol keys", { [Symbol("x")]: 1 }, "value"],
  ];
  test.each(refused)("%s is refused at put, with the path", async (_, value, path) => {
    const session = await setup().sessions.load();
    const error = await failure(() => session.put("value", value));
    expect(error.code).toBe("invalid-value");
    expect(error.message).toContain(path);
    expect([session.exists("value"), session.status]).toEqual([false, "unmodified"]);
  });

  test("update refuses a Promise, and changes nothing when its function throws", async () => {
    const session = await setup<User>().sessions.load();
    session.put("n", 1);
    expect(await failure(() => session.update("n", (async () => 2) as never))).toMatchObject({ code: "invalid-value" });
    expect(() =>
      session.update("n", () => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(session.get("n")).toBe(1);
  });

  test("the types say read-only", () => {
    interface Data {
      cart: { items: string[]; when: Date };
      map: Map<string, { n: number }>;
      set: Set<number[]>;
      bytes: Uint8Array;
      maybe?: string;
    }
    expectTypeOf<DeepReadonly<Data["cart"]>>().toEqualTypeOf<{
      readonly items: readonly string[];
      readonly when: Date;
    }>();
    expectTypeOf<DeepReadonly<Data["map"]>>().toEqualTypeOf<ReadonlyMap<string, { readonly n: number }>>();
    expectTypeOf<DeepReadonly<Data["set"]>>().toEqualTypeOf<ReadonlySet<readonly number[]>>();
    expectTypeOf<DeepReadonly<Data["bytes"]>>().toEqualTypeOf<Uint8Array>();
    expectTypeOf<ReturnType<Session<{ a: string[] }>["get"]>>().toEqualTypeOf<readonly string[] | undefined>();
    expectTypeOf<Session<Data>["put"]>().parameter(0).toEqualTypeOf<keyof Data>();
  });
});

describe("G10 the table yields no usable cookie", () => {
  const dump = async (memory: MemoryStore): Promise<string> => {
    let text = "";
    for await (const [key, { data, expiry }] of memory.all()) {
      text += `${key} ${Buffer.from(data).toString()} ${Buffer.from(data).toString("base64url")} ${String(expiry)}\n`;
    }
    return text;
  };

  test("no token is in the store: not of a session, a renewed one, a merged one or a signed one", async () => {
    const { sessions, memory } = setup<User>({ ...bySubject, secrets: ["s".repeat(32)] });
    const first = await cookieWith(sessions, (session) => session.put("n", 1));
    const renewed = cookieOf(await visit(sessions, login(1), { cookie: first }));
    const other = await cookieWith(sessions, login(2));
    const text = await dump(memory);
    expect(text.split("\n")).toHaveLength(4); // the marker of the first session is there too
    for (const cookie of [first, renewed, other]) {
      const [token, signature] = tokenOf(cookie).split(".") as [string, string];
      for (const part of [token, signature, tokenOf(cookie)]) expect(text).not.toContain(part);
      expect(text).toContain(sha256(token));
    }
  });

  test("hashTokenInStore false uses the token as key, for Go applications that do not hash", async () => {
    const { sessions, memory } = setup({ hashTokenInStore: false });
    const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
    expect(await memory.find(token)).toBeDefined();
    const session = await sessions.load(token);
    expect(session.id).toBe(sha256(token));
    for await (const found of sessions.iterate()) expect([found.token, found.id]).toEqual([token, sha256(token)]);
  });

  test.each([true, false])(
    "the id is not the token and no key to a session (hashTokenInStore %j)",
    async (hashTokenInStore) => {
      const { sessions } = setup({ hashTokenInStore });
      const token = tokenOf(await cookieWith(sessions, (session) => session.put("a", 1)));
      const { id } = await sessions.load(token);
      expect(id).toMatch(/^[\w-]{43}$/);
      expect(id).not.toBe(token);
      expect((await sessions.load(id)).isNew).toBe(true);
    },
  );

  test("two requests of a session see one id, and a renewed session has another", async () => {
    const { sessions } = setup();
    const cookie = await cookieWith(sessions, (session) => session.put("a", 1));
    const [a, b] = [await sessions.load(tokenOf(cookie)), await sessions.load(tokenOf(cookie))];
    expect(a.id).toBe(b.id);
    const { id } = a;
    a.renewToken();
    expect(a.id).toBe(id);
    await sessions.commit(a);
    expect(a.id).not.toBe(id);
  });
});

describe("G11 a user's sessions cost what they are", { timeout: 30_000 }, () => {
  /** A store that counts the rows it hands out and notes which keys it is asked for. */
  class Counting extends MemoryStore {
    rows = 0;
    listings: string[] = [];
    readonly keys = new Set<string>();

    override async *all(): AsyncGenerator<[string, { data: Uint8Array; expiry: Date }]> {
      this.listings.push("all");
      yield* super.all();
    }

    override async *findBySubject(subject: string): AsyncGenerator<[string, { data: Uint8Array; expiry: Date }]> {
      this.listings.push(subject);
      for await (const row of super.findBySubject(subject)) {
        this.rows++;
        yield row;
      }
    }
  }

  async function crowd() {
    const clock = new TestClock();
    const counting = new Counting({ clock });
    const store = new FaultyStore(counting);
    const name = uniqueName();
    const sessions = new SessionManager<User>({ ...bySubject, store, clock, cookie: { name } });
    const add = async (userId: number): Promise<string> => {
      const session = await sessions.load();
      login(userId)(session);
      return (await sessions.commit(session)).token;
    };
    for (let userId = 1000; userId < 2000; userId++) await add(userId);
    const tokens = [await add(1), await add(1), await add(1)] as const;
    const neighbours = [await add(11), await add(10)] as const; // subjects that look alike
    store.calls.length = 0;
    store.holds = (_, token) => {
      counting.keys.add(token);
      return false;
    };
    return { sessions, store, counting, tokens, neighbours, clock, name };
  }
  const lives = async (sessions: SessionManager<User>, token: string): Promise<boolean> =>
    (await sessions.load(token)).exists("userId");

  test("list reads that user's rows only, and shows id, times and values", async () => {
    const { sessions, store, counting, tokens, clock } = await crowd();
    const listed = [];
    for await (const entry of sessions.list({ subject: 1 })) listed.push(entry);
    expect(listed.map(({ id }) => id).sort()).toEqual(tokens.map(sha256).sort());
    const end = new Date(clock.now() + 86_400_000);
    const entry = { createdAt: new Date(clock.now()), deadline: end, expiry: end, values: { userId: 1 } };
    for (const { id: _, ...rest } of listed) expect(rest).toEqual(entry);
    expect([counting.rows, counting.listings, store.calls]).toEqual([3, ["1"], []]);
    expect(JSON.stringify(listed)).not.toContain(tokens[0]);
  });

  test("list of a user without sessions is empty", async () => {
    const { sessions } = await crowd();
    expect(await sessions.list({ subject: "nobody" }).next()).toMatchObject({ done: true });
  });

  test("revoke ends all of that user's and touches no other row", async () => {
    const { sessions, store, counting, tokens, neighbours } = await crowd();
    await sessions.revoke({ subject: 1 });
    expect(store.calls).toEqual(["replace", "replace", "replace"]);
    expect([...counting.keys].sort()).toEqual(tokens.map(sha256).sort());
    expect([counting.rows, counting.listings]).toEqual([3, ["1", "1"]]); // the second time to see that none is left
    for (const token of tokens) expect(await lives(sessions, token)).toBe(false);
    for (const token of neighbours) expect(await lives(sessions, token)).toBe(true);
  });

  test("revoke with an id ends that one, and only if it is the subject's", async () => {
    const { sessions, tokens, neighbours } = await crowd();
    await sessions.revoke({ subject: 1, id: sha256(tokens[1]) });
    await sessions.revoke({ subject: 1, id: sha256(neighbours[0]) });
    await sessions.revoke({ subject: 1, id: "no id" });
    const left = [...tokens, ...neighbours].map((token) => lives(sessions, token));
    expect(await Promise.all(left)).toEqual([true, false, true, true, true]);
  });

  test("revoke except a session ends the others, also when that one is being renewed", async () => {
    const { sessions, tokens } = await crowd();
    const current = await sessions.load(tokens[0]);
    await sessions.revoke({ subject: 1, except: current });
    expect(await Promise.all(tokens.map((token) => lives(sessions, token)))).toEqual([true, false, false]);
    const second = await sessions.load();
    login(1)(second);
    await sessions.commit(second);
    current.renewToken();
    await sessions.revoke({ subject: 1, except: current });
    const { token } = await sessions.commit(current);
    await sessions.revoke({ subject: 1, except: current });
    expect([await lives(sessions, token), await lives(sessions, second.token)]).toEqual([true, false]);
  });

  test("revoke except a session spares what another request has renewed it into meanwhile", async () => {
    const { sessions, tokens, name } = await crowd();
    const current = await sessions.load(tokens[0]);
    const fresh = cookieOf(
      await visit(sessions, (session) => session.renewToken(), { cookie: `${name}=${tokens[0]}` }),
    );
    await sessions.revoke({ subject: 1, except: current });
    expect(await lives(sessions, tokenOf(fresh))).toBe(true);
    expect(await lives(sessions, tokens[1])).toBe(false);
  });

  // G11: "`except` matches a session's stored and pending token", and one's successors by their markers; they are followed in
  // one pass, in the order in which the store lists them. An order in which the second marker comes before the first ends the
  // session that was to be spared. MemoryStore lists in the order of the writes, so it does not show; a table by token does.
  test("revoke except a session spares its successors in whatever order the store lists them", async () => {
    class Reversed extends MemoryStore {
      override async *findBySubject(subject: string): AsyncGenerator<[string, { data: Uint8Array; expiry: Date }]> {
        const rows = [];
        for await (const row of super.findBySubject(subject)) rows.unshift(row);
        yield* rows;
      }
    }
    const sessions = new SessionManager<User>({ ...bySubject, store: new Reversed(), cookie: { name: uniqueName() } });
    const session = await sessions.load();
    login(1)(session);
    const { token } = await sessions.commit(session);
    const current = await sessions.load(token);
    session.renewToken();
    await sessions.commit(session);
    session.renewToken();
    const last = await sessions.commit(session);
    await sessions.revoke({ subject: 1, except: current });
    expect(await lives(sessions, last.token)).toBe(true);
  });

  test("revoke ends a session that is renewed while it works", async () => {
    const { sessions, store, tokens, name } = await crowd();
    store.holds = (method) => method === "replace";
    const revoking = sessions.revoke({ subject: 1, id: sha256(tokens[0]) });
    await settle();
    expect(store.waiting).toHaveLength(1);
    store.holds = false;
    // Another process renews it before the delete arrives.
    const elsewhere = new SessionManager<User>({ ...bySubject, store, cookie: { name: name } });
    const session = await elsewhere.load(tokens[0]);
    session.renewToken();
    const { token } = await elsewhere.commit(session);
    await store.waiting[0]!.complete();
    await revoking;
    expect([await lives(sessions, tokens[0]), await lives(sessions, token)]).toEqual([false, false]);
    expect(await lives(sessions, tokens[1])).toBe(true);
  });

  test("revoke by subject follows the marker of a session that was renewed just before", async () => {
    const { sessions, tokens } = await crowd();
    const session = await sessions.load(tokens[0]);
    session.renewToken();
    const { token } = await sessions.commit(session);
    await sessions.revoke({ subject: 1, id: sha256(tokens[0]) });
    expect(await lives(sessions, token)).toBe(false);
    expect(await lives(sessions, tokens[1])).toBe(true);
  });

  test("revoke repeats until none is left: a login during the first pass is ended too", async () => {
    const { sessions, store, tokens } = await crowd();
    store.holds = (method) => method === "replace";
    const revoking = sessions.revoke({ subject: 1 });
    await settle();
    store.holds = false;
    const late = tokenOf(await cookieWith(sessions, login(1)));
    await store.waiting[0]!.complete();
    await revoking;
    for (const token of [...tokens, late]) expect(await lives(sessions, token)).toBe(false);
  });

  test("sessions that a user no longer has are neither listed nor revoked", async () => {
    const { sessions, tokens, name } = await crowd();
    const cookie = `${name}=${tokens[0]}`;
    const fresh = tokenOf(cookieOf(await visit(sessions, login(2), { cookie })));
    const listed = [];
    for await (const { id } of sessions.list({ subject: 1 })) listed.push(id);
    expect(listed).toHaveLength(2);
    await sessions.revoke({ subject: 2 });
    expect(await lives(sessions, fresh)).toBe(false);
    expect(await lives(sessions, tokens[1])).toBe(true);
  });

  test("number, bigint and text name the same subject", async () => {
    const { sessions } = await crowd();
    for (const subject of [1, 1n, "1"]) {
      let count = 0;
      for await (const _ of sessions.list({ subject })) count++;
      expect(count).toBe(3);
    }
  });

  test("list and revoke without the option subject say so", async () => {
    const { sessions } = setup();
    const listing = await failure(() => sessions.list({ subject: 1 }).next());
    const revoking = await failure(() => sessions.revoke({ subject: 1 }));
    for (const error of [listing, revoking]) {
      expect(error.code).toBe("invalid-option");
      expect(error.message).toContain("subject");
    }
  });

  test("list and revoke work on a store without index, by reading all", async () => {
    const memory = new MemoryStore();
    const store: Store = {
      find: (token) => memory.find(token),
      commit: (token, session) => memory.commit(token, session),
      delete: (token) => memory.delete(token),
      all: () => memory.all(),
    };
    const sessions = new SessionManager<User>({ ...bySubject, store, cookie: { name: uniqueName() } });
    const [mine, theirs] = [await cookieWith(sessions, login(1)), await cookieWith(sessions, login(2))];
    await sessions.revoke({ subject: 1 });
    expect([await lives(sessions, tokenOf(mine)), await lives(sessions, tokenOf(theirs))]).toEqual([false, true]);
  });
});

describe("G12 several cookies of one name", () => {
  const stale = "A".repeat(43);

  async function twoUsers() {
    const made = setup<User>({ ...bySubject, lifetime: "10h" });
    const { sessions, clock } = made;
    const early = await cookieWith(sessions, login(1));
    clock.advance("1h");
    const late = await cookieWith(sessions, login(1));
    const other = await cookieWith(sessions, login(2));
    made.store.calls.length = 0;
    made.events.length = 0;
    /** The token of the session that a request with these cookies gets. */
    const chosen = async (...cookies: string[]): Promise<string> => {
      let token = "";
      await visit(sessions, (session) => (token = session.token), { cookie: cookies.join("; ") });
      return token;
    };
    return { ...made, early, late, other, chosen };
  }

  test("a stale one first does not lock the user out", async () => {
    const { chosen, late, name } = await twoUsers();
    expect(await chosen(`${name}=${stale}`, late)).toBe(tokenOf(late));
    expect(await chosen(late, `${name}=${stale}`)).toBe(tokenOf(late));
  });

  test("garbage first, however much, does not lock the user out and costs no store call", async () => {
    const { chosen, late, name, store } = await twoUsers();
    const garbage = ["x", "", "deleted", `"${"y".repeat(5000)}"`, "%00"].map((value) => `${name}=${value}`);
    expect(await chosen(...garbage, late)).toBe(tokenOf(late));
    expect(store.calls).toEqual(["find"]);
  });

  test("of several live ones of one subject that with the latest deadline is taken, in any order", async () => {
    const { chosen, early, late, events } = await twoUsers();
    expect(await chosen(early, late)).toBe(tokenOf(late));
    expect(await chosen(late, early)).toBe(tokenOf(late));
    expect(typesOf(events)).not.toContain("ambiguous");
  });

  test("of live ones of different subjects none is taken, with an event that names their ids", async () => {
    const { chosen, early, other, events } = await twoUsers();
    expect(await chosen(early, other)).toBe("");
    const [event] = events;
    expect(event?.type).toBe("ambiguous");
    const ids = event?.type === "ambiguous" ? [...event.sessions].sort() : [];
    expect(ids).toEqual([early, other].map((cookie) => sha256(tokenOf(cookie))).sort());
  });

  test("a live session of nobody beside one of somebody is ambiguous too", async () => {
    const { chosen, early, sessions, events } = await twoUsers();
    const nobody = await cookieWith(sessions, (session) => session.put("n", 1));
    events.length = 0;
    expect(await chosen(early, nobody)).toBe("");
    expect(typesOf(events)).toEqual(["ambiguous"]);
  });

  test("destroy ends every live one that was sent, whether one was taken or none", async () => {
    const { sessions, early, late, other } = await twoUsers();
    await visit(sessions, (session) => session.destroy(), { cookie: `${early}; ${late}` });
    expect([(await sessions.load(tokenOf(early))).isNew, (await sessions.load(tokenOf(late))).isNew]).toEqual([
      true,
      true,
    ]);
    const again = await cookieWith(sessions, login(1));
    await visit(sessions, (session) => session.destroy(), { cookie: `${other}; ${again}` });
    expect([(await sessions.load(tokenOf(other))).isNew, (await sessions.load(tokenOf(again))).isNew]).toEqual([
      true,
      true,
    ]);
  });

  test("destroy does not end what was not sent", async () => {
    const { sessions, early, late } = await twoUsers();
    await visit(sessions, (session) => session.destroy(), { cookie: late });
    expect((await sessions.load(tokenOf(early))).isNew).toBe(false);
  });

  test("three well-formed ones are tried at most", async () => {
    const { chosen, late, name, store } = await twoUsers();
    const unknown = ["B", "C", "D"].map((letter) => `${name}=${letter.repeat(43)}`);
    expect(await chosen(...unknown.slice(0, 2), late)).toBe(tokenOf(late));
    expect(store.calls).toEqual(["find", "find", "find"]);
    store.calls.length = 0;
    expect(await chosen(...unknown, late)).toBe("");
    expect(store.calls).toEqual(["find", "find", "find"]);
  });

  test("the same one twice is asked for once", async () => {
    const { chosen, late, store } = await twoUsers();
    expect(await chosen(late, late, late, late)).toBe(tokenOf(late));
    expect(store.calls).toEqual(["find"]);
  });

  test("a write after a choice goes to the chosen session only", async () => {
    const { sessions, early, late } = await twoUsers();
    const response = await visit(sessions, (session) => session.put("n", 7), { cookie: `${early}; ${late}` });
    expect(cookieOf(response)).toBe(late);
    expect([(await sessions.load(tokenOf(early))).get("n"), (await sessions.load(tokenOf(late))).get("n")]).toEqual([
      undefined,
      7,
    ]);
  });

  test("an unknown token never clears a cookie", async () => {
    const { sessions, name } = await twoUsers();
    const response = await visit(sessions, (session) => session.get("n"), { cookie: `${name}=${stale}` });
    expect(response.headers.getSetCookie()).toEqual([]);
  });
});

test("every error of the library is a SessionError with a code and a status", async () => {
  const error = await failure(() => setup().sessions.current());
  expect(error).toBeInstanceOf(SessionError);
  expect(error).toMatchObject({ name: "SessionError", code: "no-session", status: 500 });
});
