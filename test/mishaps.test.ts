// What reviewers broke once: commits that are tried again, answers that come late, stores that fall silent while they list.
import { inspect } from "node:util";
import { MemoryStore, SessionManager, type SessionOptions } from "scs-session";
import { FaultyStore, TestClock } from "scs-session/testing";
import { expect, test } from "vitest";
import { cookieOf, failure, settle, setup, uniqueName, visit } from "./helpers.ts";

interface Data {
  userId: number;
  n: number;
  code: string;
}
const bySubject: SessionOptions<Data> = { subject: (data) => data.userId };
const never = (): Promise<never> => new Promise(() => undefined);

/** Two processes on one store: the calls of the first can be held. */
function processes(options: SessionOptions<Data> = bySubject) {
  const clock = new TestClock();
  const memory = new MemoryStore({ clock });
  const store = new FaultyStore(memory);
  const cookie = { name: uniqueName() };
  const here = new SessionManager<Data>({ ...options, clock, store, cookie });
  const there = new SessionManager<Data>({ ...options, clock, store: memory, cookie });
  return { clock, memory, store, here, there };
}
async function stored(sessions: SessionManager<Data>, values: Partial<Data>): Promise<string> {
  const session = await sessions.load();
  for (const [key, value] of Object.entries(values)) session.put(key as "n", value as number);
  return (await sessions.commit(session)).token;
}
async function listed(sessions: SessionManager<Data>, subject: number): Promise<number> {
  let number = 0;
  for await (const session of sessions.list({ subject })) number += session.id === "" ? 0 : 1;
  return number;
}

test("a renewal that is tried again does not revive a session that was revoked in between", async () => {
  const { clock, memory, store, here, there } = processes();
  const session = await here.load(await stored(here, { userId: 1, n: 7 }));
  session.renewToken();
  const { replace } = store;
  store.replace = async (token, expected, next) => {
    await memory.replace(token, expected, next);
    return never(); // it was carried out, and the answer does not come
  };
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  clock.advance("6s");
  expect(await first).toMatchObject({ code: "store-unavailable" });
  store.replace = replace.bind(store);
  await there.revoke({ subject: 1 });
  expect((await here.commit(session)).token).toBe("");
  expect(await listed(there, 1)).toBe(0);
});

test("a commit that is tried again leaves one session, whichever of the attempts arrives last", async () => {
  const { clock, store, here, there } = processes();
  const session = await here.load();
  session.put("userId", 1);
  store.holds = (method) => method === "commit";
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  clock.advance("6s");
  expect(await first).toMatchObject({ code: "store-unavailable" });
  store.holds = false;
  const { token } = await here.commit(session);
  const leaving = await there.load(token);
  leaving.destroy();
  await there.commit(leaving);
  await store.waiting[0]!.complete();
  expect((await there.load(token)).get("userId")).toBeUndefined();
});

test("what a failed attempt has stored is taken away by the next", async () => {
  const { clock, store, here, there } = processes();
  const session = await here.load(await stored(here, { userId: 1 }));
  session.renewToken();
  store.holds = (method) => method === "replace"; // the new record is stored, the marker is not
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  clock.advance("6s");
  await first;
  store.holds = false;
  expect((await here.load((await here.commit(session)).token)).get("userId")).toBe(1);
  expect(await listed(there, 1)).toBe(1);
});

test("of two that pop a code once and destroy the session, one has it", async () => {
  const { here } = processes();
  const token = await stored(here, { code: "secret" });
  const both = [await here.load(token), await here.load(token)];
  for (const session of both) {
    expect(session.pop("code", { once: true })).toBe("secret");
    session.destroy();
    session.put("userId", 1);
  }
  const results = await Promise.allSettled(both.map((session) => here.commit(session)));
  expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "taken" } });
});

test("a login that fails because its code was taken leaves no session behind", async () => {
  const { store, here, there } = processes();
  const token = await stored(here, { code: "secret" });
  const logIn = async (sessions: SessionManager<Data>) => {
    const session = await sessions.load(token);
    session.pop("code", { once: true });
    session.renewToken();
    session.put("userId", 1);
    return session;
  };
  const [slow, quick] = [await logIn(here), await logIn(there)];
  store.holds = (method) => method === "replace";
  const late = here.commit(slow).catch((error: unknown) => error);
  await settle();
  await there.commit(quick);
  store.holds = false;
  await store.waiting[0]!.complete();
  expect(await late).toMatchObject({ code: "taken" });
  expect(await listed(there, 1)).toBe(1);
});

test("who has been logged out does not go on as somebody else", async () => {
  const { here, there } = processes();
  const session = await here.load(await stored(here, { userId: 1 }));
  await there.revoke({ subject: 1 });
  session.put("userId", 2);
  expect((await here.commit(session)).token).toBe("");
  expect(await listed(there, 2)).toBe(0);
});

test("a touch that comes late does not set back a later deadline", async () => {
  const { clock, store, here } = processes({ lifetime: "45m", idleTimeout: "30m" });
  const token = await stored(here, { n: 1 });
  clock.advance("25m");
  store.holds = (method) => method === "touch";
  const session = await here.load(token, { touch: true });
  session.setDeadline(new Date(clock.now() + 36_000_000));
  const committed = here.commit(session);
  await settle();
  store.holds = false;
  await store.waiting[0]!.complete();
  await committed;
  clock.advance("25m");
  expect((await here.load(token)).get("n")).toBe(1);
});

test("a session that is loaded outside of a request is not kept alive by that, unless asked for", async () => {
  const { clock, store, sessions } = setup<Data>({ idleTimeout: "30m" });
  const token = await stored(sessions, { n: 1 });
  clock.advance("20m");
  await sessions.load(token);
  expect(store.calls).not.toContain("touch");
  await sessions.load(token, { touch: true });
  expect(store.calls).toContain("touch");
});

test("a list that the store does not answer ends with storeTimeout, and so does log out everywhere", async () => {
  const { clock, store, here } = processes();
  store.findBySubject = async function* () {
    yield await never();
  };
  for (const begin of [() => listed(here, 1), () => here.revoke({ subject: 1 })]) {
    const asked = begin().catch((error: unknown) => error);
    await settle();
    clock.advance("6s");
    expect(await asked).toMatchObject({ code: "store-unavailable" });
  }
});

test("a store that throws instead of rejecting is out of order, too, and tells nothing", async () => {
  const throwing = (): never => {
    throw new Error("DELETE FROM sessions WHERE token = 'secret'");
  };
  const methods = ["find", "commit", "delete", "replace", "touch", "all", "findBySubject", "deleteExpired"] as const;
  const memory = new MemoryStore();
  const sessions = new SessionManager<Data>({ ...bySubject, cookie: { name: uniqueName() }, store: memory });
  const session = await sessions.load();
  session.put("userId", 1);
  const { token } = await sessions.commit(session);
  session.put("n", 1);
  for (const method of methods) memory[method] = throwing;
  const read = async (list: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of list) expect.unreachable();
  };
  for (const work of [
    () => sessions.load(token),
    () => sessions.commit(session),
    () => read(sessions.iterate()),
    () => read(sessions.list({ subject: 1 })),
    () => sessions.revoke({ subject: 1 }),
    () => sessions.prune(),
  ]) {
    const error = await failure(work);
    expect([error.code, inspect(error).includes("secret")]).toEqual(["store-unavailable", false]);
  }
});

test("pruning a store that does not answer ends with storeTimeout, and so does closing during a sweep", async () => {
  const { clock, store, here } = processes();
  store.deleteExpired = never;
  const pruned = here.prune().catch((error: unknown) => error);
  await settle();
  clock.advance("6s");
  expect(await pruned).toMatchObject({ code: "store-unavailable" });
  await stored(here, { n: 1 });
  clock.advance("6m");
  const closed = here.close();
  await settle();
  clock.advance("6s");
  await closed;
});

test("a login ends the lockout by several cookies: the other sessions of the browser are ended", async () => {
  const { clock, sessions } = setup<Data>(bySubject);
  const stale = cookieOf(await visit(sessions, (session) => session.put("n", 1)));
  clock.advance("1s");
  const other = cookieOf(await visit(sessions, (session) => session.put("n", 2)));
  const logIn = (cookie: string) =>
    visit(
      sessions,
      (session) => {
        session.renewToken();
        session.put("userId", 1);
      },
      { cookie },
    );
  const fresh = cookieOf(await logIn(`${stale}; ${other}`));
  await visit(sessions, (session) => expect(session.get("userId")).toBe(1), { cookie: `${stale}; ${fresh}` });
});

test("a login with the stale cookie of before a renewal beside the right one keeps its new session", async () => {
  const { sessions } = setup<Data>(bySubject);
  const old = cookieOf(await visit(sessions, (session) => session.put("n", 1)));
  const renewed = cookieOf(await visit(sessions, (session) => session.renewToken(), { cookie: old }));
  const logIn = (session: { renewToken(): void; put(key: "userId", value: number): void }): void => {
    session.renewToken();
    session.put("userId", 1);
  };
  const fresh = cookieOf(await visit(sessions, logIn, { cookie: `${old}; ${renewed}` }));
  await visit(sessions, (session) => expect(session.get("userId")).toBe(1), { cookie: fresh });
});

test("a property that is set on a session is an error, not lost data", async () => {
  const { sessions } = setup();
  const session = (await sessions.load()) as unknown as Record<string, unknown>;
  expect(() => {
    session["user"] = 1;
  }).toThrow(TypeError);
});

test("who learns that a code was taken can answer as it likes, and use the session on", async () => {
  for (const what of ["nothing", "put", "destroy", "clear", "renewToken"] as const) {
    const { here, there } = processes();
    const token = await stored(here, { code: "secret", userId: 1 });
    const [slow, quick] = [await here.load(token), await there.load(token)];
    for (const session of [quick, slow]) session.pop("code", { once: true });
    slow.put("n", 5);
    await there.commit(quick);
    await expect(here.commit(slow)).rejects.toMatchObject({ code: "taken" });
    // All or nothing: what was asked beside it is not carried out, either.
    expect([slow.get("n"), slow.get("userId"), slow.status]).toEqual([undefined, 1, "unmodified"]);
    if (what === "put") slow.put("n", 6);
    else if (what !== "nothing") slow[what]();
    const { token: next } = await here.commit(slow);
    expect((await here.load(next)).get("n")).toBe(what === "put" ? 6 : undefined);
    expect((await here.load(token)).isNew).toBe(what === "destroy");
  }
});

test("a destroy is carried out although a code was taken by another request", async () => {
  const { here, there } = processes();
  const token = await stored(here, { code: "secret", userId: 1 });
  const [slow, quick] = [await here.load(token), await there.load(token)];
  for (const session of [quick, slow]) session.pop("code", { once: true });
  slow.destroy();
  await there.commit(quick);
  await expect(here.commit(slow)).rejects.toMatchObject({ code: "taken" });
  expect((await here.load(token)).isNew).toBe(true);
  const { token: next, headers } = await here.commit(slow);
  expect([next, headers[0]?.[1]]).toEqual(["", expect.stringContaining("Max-Age=0")]);
});

test("an update that throws when it is applied again fails the commit once", async () => {
  const { here, there } = processes();
  const token = await stored(here, { n: 1 });
  const [slow, quick] = [await here.load(token), await there.load(token)];
  slow.update("n", (n = 0) => {
    if (n > 1) throw new RangeError("sold out");
    return n + 1;
  });
  quick.put("n", 2);
  await there.commit(quick);
  await expect(here.commit(slow)).rejects.toThrow("sold out");
  expect((await here.commit(slow)).token).toBe(token);
  expect((await there.load(token)).get("n")).toBe(2);
});

test("a commit that popped a code, destroyed and began anew can be tried again when it failed in the middle", async () => {
  const { store, here } = processes();
  const session = await here.load(await stored(here, { code: "secret" }));
  session.pop("code", { once: true });
  session.destroy();
  session.put("userId", 1);
  store.holds = (method) => method === "commit";
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  await store.waiting[0]!.fail();
  expect(await first).toMatchObject({ code: "store-unavailable" });
  store.holds = false;
  expect((await here.load((await here.commit(session)).token)).get("userId")).toBe(1);
});

test("an error response hands out what an earlier commit of its request has stored", async () => {
  const { store, here } = processes();
  const token = await stored(here, { n: 1 });
  const name = (await here.commit(await here.load(token))).headers[0]?.[0];
  expect(name).toBeUndefined();
  const login = async (fails: boolean): Promise<Response> => {
    const cookie = cookieOf(await visit(here, (session) => session.put("n", 1)));
    const response = await visit(
      here,
      async (session) => {
        session.renewToken();
        session.put("userId", 1);
        await here.commit(session);
        session.put("n", 2);
        if (fails) store.failure = new Error("down");
      },
      { cookie },
    );
    store.failure = undefined;
    return response;
  };
  const failed = await login(true);
  expect(failed.status).toBe(503);
  const who = await visit(here, (session) => new Response(String(session.get("userId"))), { cookie: cookieOf(failed) });
  expect(await who.text()).toBe("1");
});

test("an error response does not send a token again that the request brought", async () => {
  const { store, here } = processes();
  const cookie = cookieOf(await visit(here, (session) => session.put("n", 1)));
  const response = await visit(
    here,
    async (session) => {
      session.put("n", 2);
      await here.commit(session);
      session.put("n", 3);
      store.failure = new Error("down");
    },
    { cookie },
  );
  expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
});

test("a commit is bounded also where it waits for the idle timeout to be moved", async () => {
  const { clock, store, here } = processes({ ...bySubject, idleTimeout: "20m", storeTimeout: "5s" });
  const token = await stored(here, { n: 1 });
  clock.advance("10m");
  store.holds = (method) => method !== "find";
  const session = await here.load(token, { touch: true });
  session.put("n", 2);
  clock.advance("3s");
  const committed = here.commit(session).catch((error: unknown) => error);
  await settle();
  clock.advance("5s");
  const waits = settle().then(() => "it still waits");
  expect(await Promise.race([committed, waits])).toMatchObject({ code: "store-unavailable" });
});

test("a change of the subject by maintenance does not renew a token that nobody would be told", async () => {
  const { here } = processes();
  const token = await stored(here, { userId: 1 });
  for await (const session of here.iterate()) {
    session.put("userId", 1001);
    await here.commit(session);
  }
  expect((await here.load(token)).get("userId")).toBe(1001);
  expect(await listed(here, 1001)).toBe(1);
});

test("records of an unknown format neither stop a list nor keep the others from being revoked", async () => {
  const { memory, here } = processes();
  const tokens = [await stored(here, { userId: 1 }), await stored(here, { userId: 1 })];
  const expiry = new Date(Date.now() + 3_600_000);
  await memory.commit("newer", { data: new TextEncoder().encode("scs9 of a newer version"), expiry, subject: "1" });
  expect(await listed(here, 1)).toBe(2);
  let number = 0;
  for await (const session of here.iterate()) number += session.isNew ? 0 : 1;
  expect(number).toBe(2);
  await expect(here.revoke({ subject: 1 })).rejects.toMatchObject({ code: "store-unavailable" });
  for (const token of tokens) expect((await here.load(token)).isNew).toBe(true);
});

test("markers that lead to one another do not hold anybody up", async () => {
  const { clock, memory, here } = processes({ ...bySubject, hashTokenInStore: false });
  const [a, b] = ["a".repeat(43), "b".repeat(43)] as const;
  const times = { deadline: clock.now() + 60_000, createdAt: clock.now() };
  for (const [token, successor] of [
    [a, b],
    [b, a],
  ] as const) {
    // prettier-ignore
    const record = { ...times, commit: "x", successor, values: {} };
    const data = new TextEncoder().encode(JSON.stringify(record));
    await memory.commit(token, { data, expiry: new Date(times.deadline), subject: "1" });
  }
  const session = await here.load(a);
  session.destroy();
  await here.commit(session);
  await here.revoke({ subject: 1 });
});

test("a session at the limit of the store can be renewed", async () => {
  const clock = new TestClock();
  const store = new MemoryStore({ clock, maxSessions: 3 });
  const sessions = new SessionManager<Data>({ clock, store });
  const tokens: string[] = [];
  for (const n of [1, 2, 3]) tokens.push(await stored(sessions, { n }));
  const session = await sessions.load(tokens[0]);
  session.renewToken();
  const { token } = await sessions.commit(session);
  expect((await sessions.load(token)).get("n")).toBe(1);
});

test("what is no session, and what has none, is named", async () => {
  const { here } = processes();
  await expect(here.commit({} as never)).rejects.toMatchObject({ code: "no-session" });
  expect(() => here.of(undefined as never)).toThrow(expect.objectContaining({ code: "no-session" }));
});

test("a login form that remembers nobody stores nothing by that", async () => {
  const { store, here } = processes();
  const session = await here.load();
  session.rememberMe(false);
  await here.commit(session);
  expect(store.calls).toEqual([]);
});
