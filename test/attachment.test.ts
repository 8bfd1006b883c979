// Sockets: how an upgrade request is authenticated, what its session may do, and how it learns that the session has ended.
import { EventEmitter } from "node:events";
import {
  header,
  MemoryStore,
  SessionManager,
  type AttachmentEnd,
  type AttachOptions,
  type Duration,
  type UpgradeRequest,
} from "scs-session";
import { FaultyStore, signIn, TestClock } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import { failure, settle, setup, uniqueName, visit } from "./helpers.ts";

interface Data {
  userId: string;
  count: number;
}

const subject = (data: { readonly userId?: string }) => data.userId;

/** A user who is logged in, and the request by which their browser opens a socket. */
async function loggedIn(options: Parameters<typeof setup<Data>>[0] = {}) {
  const all = setup<Data>({ subject, ...options });
  const { cookie = "" } = await signIn(all.sessions, { userId: "anna", count: 1 });
  const headers = { host: "app.example.com", origin: "https://app.example.com", cookie };
  const attach = async (given: AttachOptions = {}) => {
    const attached = await all.sessions.attach({ headers }, given);
    if (attached === undefined) throw new Error("not attached");
    return attached;
  };
  /** Lets time go by, and then the next poll happen: a clock that leaps makes store calls that are under way time out. */
  const pass = async (duration: Duration): Promise<void> => {
    all.clock.advance(duration);
    await settle();
    await poll();
  };
  /** Lets the next poll happen. */
  const poll = async (): Promise<void> => {
    all.clock.advance("500ms");
    await settle();
  };
  all.store.calls.length = 0;
  return { ...all, cookie, headers, attach, poll, pass };
}

/** The reason that it was closed for; undefined while it is not. */
async function reasonOf({ closed }: { readonly closed: Promise<AttachmentEnd> }): Promise<AttachmentEnd | undefined> {
  await settle();
  return Promise.race([closed, Promise.resolve(undefined)]);
}

describe("an upgrade request is authenticated", () => {
  test("by its cookie, with one find", async () => {
    const { attach, store } = await loggedIn();
    const { session } = await attach();
    expect([session.get("userId"), session.status, store.calls]).toEqual(["anna", "unmodified", ["find"]]);
  });

  test("as Node, fetch, and Socket.IO have it", async () => {
    const { sessions, headers } = await loggedIn();
    const requests = [
      { headers, url: "/chat" },
      new Request("https://app.example.com/chat", { headers }),
      new Request("https://app.example.com/chat", { headers: { origin: headers.origin, cookie: headers.cookie } }),
      { headers: { ":authority": "app.example.com", origin: headers.origin, cookie: headers.cookie } },
      { headers, url: "/socket.io/", query: {}, auth: {} },
    ];
    for (const request of requests) {
      expect((await sessions.attach(request))?.session.get("userId")).toBe("anna");
    }
  });

  test("by the header transport, which only programs have", async () => {
    const { sessions } = setup<Data>({ transport: header(`X-${uniqueName()}`) });
    const headers = await signIn(sessions, { userId: "robot" });
    expect((await sessions.attach({ headers }))?.session.get("userId")).toBe("robot");
  });

  test("and gets undefined for no cookie, an unknown, a forged and an expired one", async () => {
    const { sessions, headers, clock, cookie, name } = await loggedIn({ lifetime: "1h" });
    expect(await sessions.attach({ headers: { ...headers, cookie: "" } })).toBeUndefined();
    expect(await sessions.attach({ headers: { ...headers, cookie: `${name}=${"x".repeat(43)}` } })).toBeUndefined();
    expect(await sessions.attach({ headers: { ...headers, cookie: `${name}=forged` } })).toBeUndefined();
    clock.advance("1h");
    expect(await sessions.attach({ headers: { ...headers, cookie } })).toBeUndefined();
  });

  test("and throws while the store is out of order, whatever `outage` says", async () => {
    for (const outage of ["error", "anonymous"] as const) {
      const { attach, store } = await loggedIn({ outage });
      store.failure = new Error("down");
      expect(await failure(() => attach())).toMatchObject({ code: "store-unavailable", status: 503 });
    }
  });

  test("and throws for what is no request", async () => {
    const { sessions } = setup();
    for (const nothing of [undefined, null, {}, { headers: null }, "request", { req: { raw: {} } }]) {
      expect((await failure(() => sessions.attach(nothing as never))).code).toBe("wrong-adapter");
    }
  });
});

describe("the origin of the page that opens a socket", () => {
  const cases: [
    what: string,
    headers: Record<string, string | undefined>,
    origins: AttachOptions["origins"],
    ok: boolean,
  ][] = [
    ["the host itself", {}, undefined, true],
    ["the host over plain HTTP", { origin: "http://app.example.com" }, undefined, true],
    ["the host in capitals", { host: "APP.example.com" }, undefined, true],
    ["the host with the port of HTTPS", { host: "app.example.com:443" }, undefined, true],
    ["the host with its port", { host: "localhost:3000", origin: "http://localhost:3000" }, undefined, true],
    ["another port", { host: "localhost:3000", origin: "http://localhost:4000" }, undefined, false],
    ["the port of another scheme", { host: "app.example.com:80" }, undefined, false],
    ["another site", { origin: "https://evil.example" }, undefined, false],
    ["a sibling", { origin: "https://blog.example.com" }, undefined, false],
    ["a site that begins alike", { origin: "https://app.example.com.evil.example" }, undefined, false],
    ["a site with the host as user", { origin: "https://app.example.com@evil.example" }, undefined, false],
    ["a sandboxed frame", { origin: "null" }, undefined, false],
    ["two origins", { origin: "https://app.example.com, https://evil.example" }, undefined, false],
    ["an empty origin", { origin: "" }, undefined, false],
    ["a scheme that is no web page's", { origin: "chrome-extension://app.example.com" }, undefined, false],
    ["a request without host", { host: undefined }, undefined, false],
    ["none: a program", { origin: undefined }, undefined, true],
    [
      "none, but a browser says from elsewhere",
      { origin: undefined, "sec-fetch-site": "cross-site" },
      undefined,
      false,
    ],
    ["none, but a browser says from a sibling", { origin: undefined, "sec-fetch-site": "same-site" }, undefined, false],
    ["none, and a browser says from here", { origin: undefined, "sec-fetch-site": "same-origin" }, undefined, true],
    ["one of the list", { origin: "https://www.example.org" }, ["https://www.example.org"], true],
    ["one of the list, behind a proxy", { host: "10.0.0.1" }, ["https://app.example.com"], true],
    ["one that is not in the list, not even the host", {}, ["https://www.example.org"], false],
    [
      "the scheme that the list does not have",
      { origin: "http://app.example.com" },
      ["https://app.example.com"],
      false,
    ],
    ["an application's", { origin: "capacitor://localhost" }, ["capacitor://localhost"], true],
    ["one that the function knows", { origin: "https://a.example" }, (origin) => origin.endsWith(".example"), true],
    ["one that the function does not know", {}, () => false, false],
    ["one that the function promises", {}, (() => Promise.resolve(false)) as never, false],
  ];

  test.each(cases)("%s", async (_what, changed, origins, ok) => {
    const { sessions, headers, store } = await loggedIn();
    const attach = () => sessions.attach({ headers: { ...headers, ...changed } }, { origins });
    if (ok) {
      expect(await attach()).toBeDefined();
    } else {
      expect(await failure(attach)).toMatchObject({ code: "wrong-origin", status: 403 });
      expect(store.calls).toEqual([]);
    }
  });

  test("that no browser sends is refused in the list", async () => {
    const { attach } = await loggedIn();
    for (const origin of ["app.example.com", "https://app.example.com/", "https://*.example.com", "*", "", 1]) {
      const error = await failure(() => attach({ origins: [origin as string] }));
      expect([error.code, error.message]).toEqual(["invalid-option", expect.stringContaining("origins")]);
    }
    expect((await failure(() => attach({ interval: 500 as never }))).code).toBe("invalid-option");
  });
});

describe("the session of a socket", () => {
  test("reads what requests have stored since, and stores what they read then", async () => {
    const { sessions, attach, cookie } = await loggedIn();
    const attached = await attach();
    await visit(sessions, (session) => session.update("count", (count = 0) => count + 1), { cookie });
    const session = (await attached.load())!;
    expect([attached.session.get("count"), session.get("count")]).toEqual([1, 2]);
    session.update("count", (count = 0) => count + 1);
    const { headers } = await sessions.commit(session);
    expect(headers).toEqual([]);
    await visit(sessions, (each) => expect(each.get("count")).toBe(3), { cookie });
  });

  test("can be stored also as it was at the upgrade, on top of what came since", async () => {
    const { sessions, attach, cookie } = await loggedIn();
    const { session } = await attach();
    await visit(sessions, (each) => each.put("count", 10), { cookie });
    session.update("count", (count = 0) => count + 1);
    await sessions.commit(session);
    await visit(sessions, (each) => expect(each.get("count")).toBe(11), { cookie });
  });

  test.each<[what: string, change: (session: Awaited<ReturnType<SessionManager<Data>["load"]>>) => void]>([
    ["renewToken", (session) => session.renewToken()],
    ["another user", (session) => session.put("userId", "bob")],
    ["nobody", (session) => session.remove("userId")],
    [
      "destroy and then a new one",
      (session) => {
        session.destroy();
        session.put("count", 1);
      },
    ],
    ["rememberMe", (session) => session.rememberMe(true)],
    ["a later deadline", (session) => session.setDeadline(new Date(session.deadline.getTime() + 1))],
  ])("cannot have what would need a new cookie: %s", async (_what, change) => {
    const { sessions, attach, cookie, poll } = await loggedIn();
    const attached = await attach();
    const session = (await attached.load())!;
    change(session);
    const error = await failure(() => sessions.commit(session));
    expect([error.code, error.message]).toEqual(["headers-sent", expect.stringContaining("socket")]);
    await poll();
    expect(await reasonOf(attached)).toBeUndefined();
    await visit(sessions, (each) => expect([each.get("userId"), each.get("count")]).toEqual(["anna", 1]), { cookie });
  });

  test("cannot, as it was at the upgrade, have it either", async () => {
    const { sessions, attach } = await loggedIn();
    const { session } = await attach();
    session.renewToken();
    expect((await failure(() => sessions.commit(session))).code).toBe("headers-sent");
  });

  test("cannot become another user's by what a request has stored meanwhile", async () => {
    interface Support {
      user: string;
      isAdmin: boolean;
      as: string;
    }
    const { sessions } = setup<Support>({
      subject: ({ user, isAdmin, as }) => (isAdmin === true ? (as ?? user) : user),
    });
    const headers = await signIn<Support>(sessions, { user: "anna" });
    const session = (await (await sessions.attach({ headers }))!.load())!;
    session.put("as", "bob");
    await visit(sessions, (each) => each.put("isAdmin", true), { cookie: headers["cookie"] });
    expect((await failure(() => sessions.commit(session))).code).toBe("headers-sent");
    await visit(sessions, (each) => expect([each.get("user"), each.get("as")]).toEqual(["anna", undefined]), headers);
  });

  test("costs nothing to commit unchanged", async () => {
    const { sessions, attach, store, pass } = await loggedIn({ idleTimeout: "20m" });
    const attached = await attach();
    await pass("10m");
    const session = (await attached.load({ touch: true }))!;
    store.calls.length = 0;
    await sessions.commit(session);
    expect(store.calls).toEqual([]);
  });

  test("cannot begin a new one after its end", async () => {
    const { sessions, attach, store } = await loggedIn();
    const session = (await (await attach()).load())!;
    session.destroy();
    await sessions.commit(session);
    session.put("count", 1);
    expect((await failure(() => sessions.commit(session))).code).toBe("headers-sent");
    expect(store.calls).not.toContain("commit");
  });

  test("does not log in who was logged out elsewhere", async () => {
    const { sessions, store } = await loggedIn();
    const anonymous = await signIn(sessions, { count: 1 });
    const attached = (await sessions.attach({ headers: anonymous }))!;
    const session = (await attached.load())!;
    await visit(sessions, (each) => each.destroy(), { cookie: anonymous["cookie"] });
    session.put("userId", "anna");
    store.calls.length = 0;
    expect((await failure(() => sessions.commit(session))).code).toBe("headers-sent");
    expect(store.calls).toEqual([]);
  });

  test("does not log in who was found to be logged out", async () => {
    const { sessions, store } = await loggedIn();
    const anonymous = await signIn(sessions, { count: 1 });
    const session = (await (await sessions.attach({ headers: anonymous }))!.load())!;
    await visit(sessions, (each) => each.destroy(), { cookie: anonymous["cookie"] });
    session.put("count", 2);
    await sessions.commit(session);
    session.put("userId", "anna");
    store.calls.length = 0;
    expect((await failure(() => sessions.commit(session))).code).toBe("headers-sent");
    expect(store.calls).toEqual([]);
  });

  test("can be ended, and given an earlier end", async () => {
    const { sessions, attach, poll, cookie } = await loggedIn();
    const attached = await attach();
    const shorter = (await attached.load())!;
    shorter.setDeadline(new Date(shorter.deadline.getTime() - 1_000));
    expect((await sessions.commit(shorter)).expiry).toEqual(shorter.deadline);
    const session = (await attached.load())!;
    expect(session.deadline).toEqual(shorter.deadline);
    session.destroy();
    expect((await sessions.commit(session)).headers).toEqual([]);
    expect(await attached.load()).toBeUndefined();
    await poll();
    expect(await reasonOf(attached)).toBe("destroyed");
    await visit(sessions, (each) => expect(each.isNew).toBe(true), { cookie });
  });

  test("has no write for one that has ended meanwhile", async () => {
    const { sessions, attach, cookie, events } = await loggedIn();
    const session = (await (await attach()).load())!;
    await visit(sessions, (each) => each.destroy(), { cookie });
    session.update("count", (count = 0) => count + 1);
    await sessions.commit(session);
    expect(events.at(-1)?.type).toBe("gone");
    await visit(sessions, (each) => expect(each.isNew).toBe(true), { cookie });
  });

  test("rejects while the store is out of order", async () => {
    const { attach, store } = await loggedIn();
    const attached = await attach();
    store.failure = new Error("down");
    expect((await failure(() => attached.load())).code).toBe("store-unavailable");
    store.failure = undefined;
    expect(await attached.load()).toBeDefined();
  });
});

describe("the idle timeout", () => {
  const idle = { idleTimeout: "20m", lifetime: "12h" } as const;

  test("is not moved by an open socket, nor by what it reads and writes", async () => {
    const { sessions, attach, pass, store } = await loggedIn(idle);
    const attached = await attach();
    for (let minute = 1; minute < 20; minute++) {
      await pass("1m");
      const session = (await attached.load())!;
      session.update("count", (count = 0) => count + 1);
      await sessions.commit(session);
    }
    expect(store.calls).not.toContain("touch");
    expect(await reasonOf(attached)).toBeUndefined();
    await pass("1m");
    expect(await reasonOf(attached)).toBe("expired");
  });

  test("is not moved by opening a socket, unless that is asked for", async () => {
    const { attach, pass, store } = await loggedIn(idle);
    await pass("10m");
    await attach();
    await settle();
    expect(store.calls).not.toContain("touch");
    await attach({ touch: true });
    await settle();
    expect(store.calls).toContain("touch");
  });

  test("is not set back by what a socket writes, however long ago it was loaded", async () => {
    const { sessions, attach, clock, cookie } = await loggedIn(idle);
    const { session } = await attach();
    clock.advance("19m");
    await visit(sessions, (each) => each.get("userId"), { cookie });
    session.update("count", (count = 0) => count + 1);
    await sessions.commit(session);
    clock.advance("19m");
    await visit(sessions, (each) => expect(each.get("count")).toBe(2), { cookie });
  });

  test("is moved by a socket that was asked to", async () => {
    const { attach, clock, pass, sessions, cookie } = await loggedIn(idle);
    const attached = await attach({ touch: true });
    for (let minute = 0; minute < 60; minute++) await pass("1m");
    expect(await reasonOf(attached)).toBeUndefined();
    attached.detach();
    clock.advance("18m");
    await visit(sessions, (each) => expect(each.get("userId")).toBe("anna"), { cookie });
  });

  test("is moved by a load that was asked to", async () => {
    const { attach, pass, store } = await loggedIn(idle);
    const attached = await attach();
    await pass("10m");
    await attached.load();
    expect(store.calls).not.toContain("touch");
    await attached.load({ touch: true });
    expect(store.calls).toContain("touch");
    await pass("15m");
    expect(await attached.load()).toBeDefined();
  });
});

describe("a socket learns", () => {
  test("that its session was destroyed, renewed, expired, or has another user now", async () => {
    const ends: [reason: AttachmentEnd, end: (session: Parameters<Parameters<typeof visit<Data>>[1]>[0]) => void][] = [
      ["destroyed", (session) => session.destroy()],
      ["renewed", (session) => session.renewToken()],
      ["renewed", (session) => session.put("userId", "bob")],
    ];
    for (const [reason, end] of ends) {
      const { sessions, attach, cookie, poll } = await loggedIn();
      const attached = await attach();
      await poll();
      expect(await reasonOf(attached)).toBeUndefined();
      await visit(sessions, end, { cookie });
      await poll();
      expect(await reasonOf(attached)).toBe(reason);
      expect(await attached.load()).toBeUndefined();
    }
    const { attach, clock } = await loggedIn({ lifetime: "1h" });
    const attached = await attach({ interval: "7m" });
    clock.advance("59m");
    expect(await reasonOf(attached)).toBeUndefined();
    clock.advance("1m");
    expect(await reasonOf(attached)).toBe("expired");
  });

  test("when its user logs out everywhere", async () => {
    const { sessions, attach, poll } = await loggedIn();
    const attached = await attach();
    await sessions.revoke({ subject: "anna" });
    await poll();
    expect(await reasonOf(attached)).toBe("destroyed");
  });

  test("by a load, before the next poll, and so do the others of the session", async () => {
    const { sessions, attach, cookie } = await loggedIn();
    const [one, two] = [await attach(), await attach()];
    await visit(sessions, (session) => session.renewToken(), { cookie });
    expect(await one.load()).toBeUndefined();
    expect([await reasonOf(one), await reasonOf(two)]).toEqual(["renewed", "renewed"]);
  });

  test("nothing from a store that is out of order, but for the deadline", async () => {
    const { attach, store, clock, poll, sessions, cookie } = await loggedIn({ lifetime: "1h" });
    const [one, two] = [await attach(), await attach()];
    store.failure = new Error("down");
    for (let turn = 0; turn < 5; turn++) await poll();
    expect(await reasonOf(one)).toBeUndefined();
    store.failure = undefined;
    await visit(sessions, (session) => session.put("count", 2), { cookie });
    await poll();
    expect(await reasonOf(one)).toBeUndefined();
    one.detach();
    store.failure = new Error("down");
    clock.advance("1h");
    await poll();
    expect(await reasonOf(two)).toBe("expired");
  });

  test("nothing while the store does not answer, and then what has happened", async () => {
    const { attach, store, sessions, cookie, clock, poll } = await loggedIn();
    const attached = await attach();
    store.holds = true;
    await poll();
    for (let turn = 0; turn < 8; turn++) await poll();
    expect(store.calls.filter((call) => call === "find")).toHaveLength(2);
    clock.advance("5s");
    await settle();
    store.holds = false;
    await visit(sessions, (session) => session.destroy(), { cookie });
    await poll();
    expect(await reasonOf(attached)).toBe("destroyed");
  });
});

describe("what sockets cost", () => {
  test("1,000 of one session are one find for each poll", async () => {
    const { attach, store, poll, sessions, cookie } = await loggedIn();
    const sockets = await Promise.all(Array.from({ length: 1_000 }, () => attach()));
    store.calls.length = 0;
    for (let turn = 0; turn < 10; turn++) await poll();
    expect(store.calls).toEqual(Array.from({ length: 10 }, () => "find"));
    await visit(sessions, (session) => session.destroy(), { cookie });
    await poll();
    const reasons = await Promise.all(sockets.map(({ closed }) => closed));
    expect(new Set(reasons)).toEqual(new Set(["destroyed"]));
  });

  test("sockets of one session that want it at several intervals are polled at the shortest", async () => {
    const { attach, store, clock } = await loggedIn();
    await attach({ interval: "1m" });
    const fast = await attach({ interval: "10s" });
    const findsIn = async (seconds: number): Promise<number> => {
      store.calls.length = 0;
      for (let second = 0; second < seconds; second++) {
        clock.advance("1s");
        await settle();
      }
      return store.calls.length;
    };
    expect(await findsIn(60)).toBe(6);
    fast.detach();
    await findsIn(10);
    expect(await findsIn(60)).toBe(1);
  });

  test("others that come again and again do not put off the next poll", async () => {
    const { attach, clock, store } = await loggedIn();
    await attach();
    for (let turn = 0; turn < 10; turn++) {
      clock.advance("100ms");
      await attach();
    }
    await settle();
    expect(store.calls).toHaveLength(1 + 10 + 2);
  });

  test("a connection of Node's that closes detaches by itself, also before it is attached", async () => {
    const { sessions, headers } = await loggedIn();
    const socket = Object.assign(new EventEmitter(), { destroyed: false });
    const attached = (await sessions.attach({ headers, upgrade: true, socket } as UpgradeRequest))!;
    expect(await reasonOf(attached)).toBeUndefined();
    const polling = (await sessions.attach({ headers, upgrade: false, socket } as UpgradeRequest))!;
    socket.destroyed = true;
    socket.emit("close");
    expect([await reasonOf(attached), await reasonOf(polling)]).toEqual(["detached", undefined]);
    const late = (await sessions.attach({ headers, upgrade: true, socket } as UpgradeRequest))!;
    expect(await reasonOf(late)).toBe("detached");
  });

  test("no timer is left when all have gone, nor when the manager is closed", async () => {
    const { attach, clock, store, sessions } = await loggedIn({ sweepInterval: false });
    const [one, two] = [await attach(), await attach()];
    clock.advance("5s"); // time limits of store calls
    await settle();
    one.detach();
    one.detach();
    expect(await reasonOf(one)).toBe("detached");
    expect(await one.load()).toBeUndefined();
    two.detach();
    clock.advance("5s");
    await settle();
    expect(clock.timers).toBe(0);

    const three = await attach();
    await sessions.close();
    expect(await reasonOf(three)).toBe("detached");
    clock.advance("5s");
    await settle();
    store.calls.length = 0;
    clock.advance("1m");
    expect([clock.timers, store.calls]).toEqual([0, []]);
    const late = await attach();
    expect(await reasonOf(late)).toBe("detached");
    clock.advance("5s");
    expect(clock.timers).toBe(0);
  });
});

describe("a store that pushes", () => {
  /** Like `loggedIn`, but the store tells what ends; it counts, too. */
  async function pushed() {
    const clock = new TestClock();
    class PushingStore extends FaultyStore {
      readonly #memory: MemoryStore;
      watchers = 0;
      constructor(memory: MemoryStore) {
        super(memory);
        this.#memory = memory;
      }
      async watch(listener: (token: string | undefined) => void): Promise<() => Promise<void>> {
        if (this.failure !== undefined) throw this.failure;
        this.watchers++;
        const stop = await this.#memory.watch(listener);
        this.missed = () => listener(undefined);
        return async () => {
          this.watchers--;
          await stop();
        };
      }
      missed = (): void => undefined;
      /** Deletes without a word. */
      async forget(token: string): Promise<void> {
        await this.#memory.touch(token, new Date(0));
        await this.#memory.deleteExpired(1);
      }
    }
    const store = new PushingStore(new MemoryStore({ clock }));
    const name = uniqueName();
    const sessions = new SessionManager<Data>({ clock, store, cookie: { name }, subject, sweepInterval: false });
    const headers = await signIn(sessions, { userId: "anna" });
    const attach = async (options: AttachOptions = {}) => (await sessions.attach({ headers }, options))!;
    return { clock, store, sessions, cookie: headers["cookie"]!, attach };
  }

  test("tells at once, without a timer", async () => {
    for (const [reason, end] of [
      ["destroyed", (session) => session.destroy()],
      ["renewed", (session) => session.renewToken()],
    ] as [AttachmentEnd, (session: { destroy(): void; renewToken(): void }) => void][]) {
      const { sessions, attach, cookie } = await pushed();
      const attached = await attach();
      await visit(sessions, (session) => session.put("count", 1), { cookie });
      expect(await reasonOf(attached)).toBeUndefined();
      await visit(sessions, end, { cookie });
      expect(await reasonOf(attached)).toBe(reason);
    }
  });

  test("is asked every ten seconds, after a first time soon", async () => {
    const { attach, store, clock } = await pushed();
    await attach();
    store.calls.length = 0;
    for (let turn = 0; turn < 61; turn++) {
      clock.advance("500ms");
      await settle();
    }
    expect(store.calls).toEqual(["find", "find", "find", "find"]);
  });

  test("is asked at once where it may have missed something", async () => {
    const { attach, store, sessions } = await pushed();
    const attached = await attach();
    const key = (await attached.load())!.id!;
    store.calls.length = 0;
    store.missed();
    expect([await reasonOf(attached), store.calls]).toEqual([undefined, ["find"]]);
    await store.forget(key); // by somebody who does not announce it
    store.missed();
    expect(await reasonOf(attached)).toBe("destroyed");
    await sessions.close();
    expect(store.watchers).toBe(0);
  });

  test("is watched once, from the first socket to the close of the manager", async () => {
    const { attach, store, sessions } = await pushed();
    expect(store.watchers).toBe(0);
    await Promise.all([attach(), attach()]);
    await attach();
    expect(store.watchers).toBe(1);
    await sessions.close();
    expect(store.watchers).toBe(0);
  });

  test("and cannot just now, is polled, and asked again by the next socket", async () => {
    const { attach, store, sessions, clock, cookie } = await pushed();
    const failing = store.watch.bind(store);
    store.watch = () => Promise.reject(new Error("no connection left"));
    const attached = await attach();
    await settle();
    await visit(sessions, (session) => session.put("count", 1), { cookie });
    store.watch = failing;
    await attach();
    await settle();
    expect(store.watchers).toBe(1);
    await visit(sessions, (session) => session.destroy(), { cookie });
    expect([await reasonOf(attached), clock.timers > 0]).toEqual(["destroyed", true]);
  });

  /** The next find has its answer, which comes late. */
  function slowFind(store: FaultyStore): () => void {
    const find = store.find.bind(store);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    store.find = async (token, options) => {
      store.find = find;
      const found = await find(token, options);
      await gate;
      return found;
    };
    return release;
  }

  test("tells of an end while a look is under way, and is asked once more", async () => {
    const { attach, store, sessions, cookie } = await pushed();
    const attached = await attach();
    const release = slowFind(store);
    store.missed();
    await visit(sessions, (session) => session.destroy(), { cookie });
    store.calls.length = 0;
    for (let turn = 0; turn < 5; turn++) store.missed();
    release();
    expect([await reasonOf(attached), store.calls]).toEqual(["destroyed", ["find"]]);
  });

  test("tells of an end while a socket is being attached, which is found soon", async () => {
    const { attach, store, sessions, clock } = await pushed();
    await attach(); // from now on the store is watched
    await settle();
    const other = await signIn(sessions, { userId: "bob" });
    const release = slowFind(store);
    const attaching = sessions.attach({ headers: other });
    await visit(sessions, (session) => session.destroy(), { cookie: other["cookie"] });
    release();
    const attached = (await attaching)!;
    expect(await reasonOf(attached)).toBeUndefined();
    clock.advance("500ms");
    expect(await reasonOf(attached)).toBe("destroyed");
  });

  test("is asked for nobody when the last has gone", async () => {
    const { attach, store } = await pushed();
    (await attach()).detach();
    store.calls.length = 0;
    store.missed();
    await settle();
    expect(store.calls).toEqual([]);
  });
});
