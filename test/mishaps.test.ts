// What reviewers broke once: commits that are tried again, answers that come late, stores that fall silent while they list.
import { MemoryStore, SessionManager, type SessionOptions } from "scs-session";
import { FaultyStore, TestClock } from "scs-session/testing";
import { expect, test } from "vitest";
import { cookieOf, settle, setup, uniqueName, visit } from "./helpers.ts";

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
