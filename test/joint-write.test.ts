// Commits of one session that wait for one another in a process are stored by one write; each still succeeds or fails by itself.
import { AsyncLocalStorage } from "node:async_hooks";
import { expect, test } from "vitest";
import { SessionManager, type Session, type SessionOptions } from "scs-session";
import type { FaultyStore } from "scs-session/testing";
import { setup } from "./helpers.ts";

interface Data {
  n: number;
  user: string;
  text: string;
}

/** A stored session, loaded by several requests of one process. Calls of the store wait until they are told to go on. */
async function loaded(requests: number, options: SessionOptions<Data> = {}) {
  const { sessions: manager, store, memory, clock, name, events } = setup<Data>({ sweepInterval: false, ...options });
  const session = await manager.load();
  session.put("n", 0);
  const { token } = await manager.commit(session);
  const sessions = await Promise.all(Array.from({ length: requests }, () => manager.load(token)));
  store.holds = true;
  events.length = 0;
  const elsewhere = new SessionManager<Data>({
    sweepInterval: false,
    clock,
    ...options,
    store: memory,
    cookie: { name },
  });
  const stored = (): Promise<Session<Data>> => elsewhere.load(token);
  return { manager, store, clock, events, sessions, elsewhere, stored, token };
}

const increment = (session: Session<Data>): void => session.update("n", (n = 0) => n + 1);
const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Completes what waits, until nothing does; answers what it was. */
async function complete(store: FaultyStore): Promise<string[]> {
  const calls: string[] = [];
  for (;;) {
    await flush();
    const [call] = store.waiting;
    if (call === undefined) return calls;
    calls.push(call.method);
    await call.complete();
  }
}

/** What is to become of a call that waits. */
type Fate = "complete" | "fail" | "loseAnswer";

/** Answers calls one after the other, as they come; each has to be of the method that is expected. */
async function answer(store: FaultyStore, calls: readonly (readonly [method: string, fate: Fate])[]): Promise<void> {
  for (const [method, fate] of calls) {
    await flush();
    expect(store.waiting[0]!.method).toBe(method);
    await store.waiting[0]![fate]();
  }
}

/** The first is stored by itself; the answer to the write of all others is lost, and that to what became of it. */
const lost = [
  ["replace", "complete"],
  ["replace", "loseAnswer"],
  ["find", "loseAnswer"],
] as const;

test("twenty that wait take two writes: that of the first, and one for all others", async () => {
  const { manager, store, events, sessions, stored } = await loaded(20);
  for (const session of sessions) increment(session);
  const commits = sessions.map((session) => manager.commit(session));
  expect(await complete(store)).toEqual(["replace", "replace"]);
  const results = await Promise.all(commits);
  expect(new Set(results.map(({ token }) => token)).size).toBe(1);
  expect((await stored()).get("n")).toBe(20);
  expect(sessions.slice(1).map((session) => session.get("n"))).toEqual(Array(19).fill(20));
  // Each was written by others since it was loaded, but the first.
  expect(events.filter(({ type }) => type === "conflict")).toHaveLength(19);
});

test("who fails by itself fails alone", async () => {
  const { manager, store, sessions, stored } = await loaded(5, { maxBytes: 1_000 });
  for (const session of sessions) increment(session);
  sessions[2]!.put("text", "x".repeat(2_000));
  sessions[3]!.update("n", (n = 0) => {
    if (n > 1) throw new Error("no");
    return n;
  });
  const outcomes = Promise.allSettled(sessions.map((session) => manager.commit(session)));
  await complete(store);
  expect(await outcomes).toMatchObject([
    { status: "fulfilled" },
    { status: "fulfilled" },
    { reason: { code: "too-large" } },
    { reason: { message: "no" } },
    { status: "fulfilled" },
  ]);
  expect((await stored()).get("n")).toBe(3);
});

test("a login among them gets a token of its own", async () => {
  const { manager, store, sessions, token } = await loaded(3, { subject: ({ user }) => user });
  const [first, login, last] = sessions as [Session<Data>, Session<Data>, Session<Data>];
  increment(first);
  login.put("user", "ada");
  increment(last);
  const commits = Promise.all(sessions.map((session) => manager.commit(session)));
  await complete(store);
  const [, renewed, gone] = await commits;
  expect(renewed!.token).not.toBe(token);
  expect(gone!.token).toBe(""); // what came after the login came too late, as ever
});

test("where the answer is lost, and that to what became of it, only who asked fails", async () => {
  const { manager, store, sessions, stored } = await loaded(4);
  for (const session of sessions) increment(session);
  const outcomes = Promise.allSettled(sessions.map((session) => manager.commit(session)));
  await answer(store, lost);
  expect(await complete(store)).toEqual(["find"]); // the third finds itself
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  const again = manager.commit(sessions[1]!);
  await complete(store);
  await again;
  expect((await stored()).get("n")).toBe(4);
});

test("where it was lost and the session has been changed since, they fail, but can be tried again", async () => {
  const { manager, store, sessions, elsewhere, stored } = await loaded(3);
  for (const session of sessions) increment(session);
  const outcomes = Promise.allSettled(sessions.map((session) => manager.commit(session)));
  await answer(store, lost);
  const theirs = await stored();
  theirs.put("user", "ada");
  await elsewhere.commit(theirs);
  await complete(store);
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
  expect((await stored()).get("n")).toBe(3);
  const again = manager.commit(sessions[2]!);
  await complete(store);
  await again;
  expect((await stored()).get("n")).toBe(4); // whether it is in there already can no longer be told
});

test("a write of several that never arrived is not taken for the later one of one of them", async () => {
  const { manager, store, sessions, stored } = await loaded(3);
  for (const session of sessions) increment(session);
  const outcomes = Promise.allSettled(sessions.map((session) => manager.commit(session)));
  await answer(store, [
    ["replace", "complete"],
    ["replace", "fail"], // the second, with the third
    ["find", "fail"],
  ]);
  await complete(store);
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect((await stored()).get("n")).toBe(2);
  const again = manager.commit(sessions[1]!);
  await complete(store);
  await again;
  expect((await stored()).get("n")).toBe(3);
});

test("a write of several that is refused says nothing of an earlier one over the same record", async () => {
  const { manager, store, clock, sessions, elsewhere, stored } = await loaded(4, { storeTimeout: "5s" });
  for (const session of sessions) increment(session);
  const [first, second, ...later] = sessions as [Session<Data>, Session<Data>, ...Session<Data>[]];
  const begun = [manager.commit(first), manager.commit(second)];
  clock.advance("2s");
  const outcomes = Promise.allSettled([...begun, ...later.map((session) => manager.commit(session))]);
  await answer(store, [["replace", "complete"]]);
  await flush();
  const [late] = store.waiting; // of the second, with the others
  clock.advance("3s"); // the second waits no longer; the third looks, and writes with the fourth
  await flush();
  await store.waiting[1]!.complete();
  await flush();
  await late!.complete();
  const theirs = await stored();
  expect(theirs.get("n")).toBe(4);
  theirs.put("user", "ada");
  await elsewhere.commit(theirs);
  expect(await complete(store)).toEqual(["replace", "find", "find"]);
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "rejected"]);
  expect((await stored()).get("n")).toBe(4);
});

test("what was stored is not said to be too large for what was loaded", async () => {
  const { manager, store, sessions, elsewhere, stored, token } = await loaded(0, { maxBytes: 1_000 });
  const theirs = await stored();
  theirs.put("user", "u".repeat(500));
  await elsewhere.commit(theirs);
  store.holds = false;
  for (let i = 0; i < 3; i++) sessions.push(await manager.load(token));
  store.holds = true;
  const [first, shorter, longer] = sessions as [Session<Data>, Session<Data>, Session<Data>];
  increment(first);
  shorter.remove("user");
  longer.put("text", "x".repeat(600));
  const outcomes = Promise.allSettled(sessions.map((session) => manager.commit(session)));
  await answer(store, lost);
  await complete(store);
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect((await stored()).get("text")).toHaveLength(600);
});

test("functions given to update run as those of their own request", async () => {
  const { manager, store, sessions } = await loaded(4);
  const request = new AsyncLocalStorage<number>();
  const seen: [of: number, ranIn: number | undefined][] = [];
  const commits = sessions.map((session, i) =>
    request.run(i, () => {
      session.update("n", (n = 0) => (seen.push([i, request.getStore()]), n + 1));
      return manager.commit(session);
    }),
  );
  await complete(store);
  await Promise.all(commits);
  expect(seen.filter(([of, ranIn]) => of !== ranIn)).toEqual([]);
});
