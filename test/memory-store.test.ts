/** MemoryStore keeps the contract of a store, and the manager sweeps it. */

import { MemoryStore, SessionManager, type SessionToStore } from "scs-session";
import { MemoryStore as FromSubpath } from "scs-session/memory";
import { TestClock } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import { settle, setup, uniqueName, visit } from "./helpers.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const session = (text: string, more: Partial<SessionToStore> = {}): SessionToStore => ({
  data: bytes(text),
  expiry: new Date(Date.now() + 3_600_000),
  ...more,
});
const textOf = async (store: MemoryStore, token: string): Promise<string | undefined> => {
  const found = await store.find(token);
  return found && Buffer.from(found.data).toString();
};
async function keysOf(rows: AsyncIterable<[string, unknown]>): Promise<string[]> {
  const keys = [];
  for await (const [key] of rows) keys.push(key);
  return keys;
}

test("scs-session/memory is the same class", () => {
  expect(FromSubpath).toBe(MemoryStore);
});

const hostile = ["__proto__", "constructor", "toString", "", "a\0b", "x".repeat(10_240), "ä", "\ud83d", "a b\r\nc"];
test.each(hostile.map((key) => [key.slice(0, 20), key]))("the key %j is a key like any other", async (_, key) => {
  const store = new MemoryStore();
  expect(await store.find(key)).toBeUndefined();
  expect(await store.touch(key, new Date())).toBe(false);
  expect(await store.replace(key, bytes("x"), session("y"))).toBe("missing");
  await store.commit(key, session("one", { subject: key }));
  expect(await textOf(store, key)).toBe("one");
  expect(await keysOf(store.findBySubject(key))).toEqual([key]);
  expect(await keysOf(store.all())).toEqual([key]);
  expect(await store.find(`${key} `)).toBeUndefined();
  await store.delete(key);
  expect(await store.find(key)).toBeUndefined();
  expect(await keysOf(store.findBySubject(key))).toEqual([]);
});

test("the sessions of a subject can be deleted while they are listed", async () => {
  const store = new MemoryStore();
  for (const key of ["a", "b", "c"]) await store.commit(key, session(key, { subject: "1" }));
  const seen = [];
  for await (const [key] of store.findBySubject("1")) {
    seen.push(key);
    await store.delete(key);
  }
  expect(seen).toEqual(["a", "b", "c"]);
});

describe("deleteExpired", { timeout: 30_000 }, () => {
  const start = new Date("2030-01-01");
  const after = (ms: number): Date => new Date(start.getTime() + ms);

  test("deletes what has expired by its clock, and says how many", async () => {
    const clock = new TestClock(start);
    const store = new MemoryStore({ clock });
    await store.commit("past", session("x", { expiry: after(1_000), subject: "1" }));
    await store.commit("now", session("x", { expiry: after(5_000) }));
    await store.commit("ahead", session("x", { expiry: after(5_001) }));
    clock.advance("5s");
    expect(await store.deleteExpired(10)).toBe(2);
    expect(await store.deleteExpired(10)).toBe(0);
    expect([await keysOf(store.all()), await keysOf(store.findBySubject("1"))]).toEqual([["ahead"], []]);
  });

  test("deletes no more than the limit at once", async () => {
    const clock = new TestClock(start);
    const store = new MemoryStore({ clock });
    for (let i = 0; i < 25; i++) await store.commit(String(i), session("x", { expiry: after(1) }));
    clock.advance("1s");
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await store.deleteExpired(10));
    expect(answers).toEqual([10, 10, 5, 0]);
  });

  // store.ts: "Deletes at most `limit` sessions". The limit is looked at after a deletion.
  test("deletes nothing under a limit of zero", async () => {
    const clock = new TestClock(start);
    const store = new MemoryStore({ clock });
    await store.commit("a", session("x", { expiry: after(1) }));
    clock.advance("1s");
    expect(await store.deleteExpired(0)).toBe(0);
  });

  test("respects an expiry that was moved by touch", async () => {
    const clock = new TestClock(start);
    const store = new MemoryStore({ clock });
    await store.commit("a", session("x", { expiry: after(1) }));
    await store.touch("a", after(10_000));
    clock.advance("5s");
    expect(await store.deleteExpired(10)).toBe(0);
  });

  test("lets other work run while it goes through many sessions, and misses none", async () => {
    const clock = new TestClock(start);
    const store = new MemoryStore({ clock });
    for (let i = 0; i < 50_000; i++)
      await store.commit(String(i), session("x", { expiry: after(i % 2 === 0 ? 1 : 9_000) }));
    clock.advance("1s");
    let others = 0;
    const timer = setInterval(() => others++, 0);
    const deleted = await store.deleteExpired(100_000);
    clearInterval(timer);
    expect(deleted).toBe(25_000);
    expect(others).toBeGreaterThan(0);
  });
});

describe("maxSessions", () => {
  const kept = (store: MemoryStore): Promise<string[]> => keysOf(store.all());

  test("sessions without subject go first, the one that was written longest ago before the others", async () => {
    const store = new MemoryStore({ maxSessions: 4 });
    await store.commit("user1", session("x", { subject: "1" }));
    await store.commit("guest1", session("x"));
    await store.commit("guest2", session("x"));
    await store.commit("user2", session("x", { subject: "2" }));
    await store.commit("guest1", session("y")); // written again: guest2 is now the oldest
    await store.commit("user3", session("x", { subject: "3" }));
    expect(await kept(store)).toEqual(["user1", "user2", "guest1", "user3"]);
    await store.commit("user4", session("x", { subject: "4" }));
    expect(await kept(store)).toEqual(["user1", "user2", "user3", "user4"]);
  });

  test("strangers push out strangers, not users", async () => {
    const store = new MemoryStore({ maxSessions: 10 });
    for (let i = 0; i < 9; i++) await store.commit(`user${String(i)}`, session("x", { subject: String(i) }));
    for (let i = 0; i < 1_000; i++) await store.commit(`guest${String(i)}`, session("x"));
    expect((await kept(store)).filter((key) => key.startsWith("user"))).toHaveLength(9);
    expect(await kept(store)).toContain("guest999");
  });

  test("when all have subjects, the one that was written longest ago goes", async () => {
    const store = new MemoryStore({ maxSessions: 2 });
    for (const key of ["a", "b"]) await store.commit(key, session("x", { subject: key }));
    await store.touch("a", new Date(Date.now() + 1e9)); // touch is no write
    await store.commit("c", session("x", { subject: "c" }));
    expect(await kept(store)).toEqual(["b", "c"]);
    expect(await keysOf(store.findBySubject("a"))).toEqual([]);
  });

  test("the newest session is never the one that goes", async () => {
    const store = new MemoryStore({ maxSessions: 1 });
    await store.commit("user", session("x", { subject: "1" }));
    await store.commit("guest", session("x"));
    expect(await kept(store)).toEqual(["guest"]);
    await store.commit("other", session("x"));
    expect(await kept(store)).toEqual(["other"]);
  });

  test("writing one again makes no room of others", async () => {
    const store = new MemoryStore({ maxSessions: 2 });
    await store.commit("a", session("x"));
    await store.commit("b", session("x"));
    for (let i = 0; i < 5; i++) await store.replace("b", bytes("x"), session("x"));
    expect(await kept(store)).toEqual(["a", "b"]);
  });

  test("there is no limit by default", async () => {
    const store = new MemoryStore();
    for (let i = 0; i < 20_000; i++) await store.commit(String(i), session(""));
    expect(await kept(store)).toHaveLength(20_000);
  });
});

describe("the manager's sweep", () => {
  const put = (s: { put(key: string, value: number): void }): void => s.put("a", 1);

  test("begins with the first commit, removes what has expired, goes on, and stops at close", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "1m", sweepInterval: "10m" });
    await visit(sessions, put);
    clock.advance("2m");
    expect(await keysOf(memory.all())).toHaveLength(1); // expired, and still there
    clock.advance("9m"); // the interval is 9 to 11 minutes
    await settle();
    expect(await keysOf(memory.all())).toEqual([]);
    await visit(sessions, put);
    clock.advance("12m");
    await settle();
    expect(await keysOf(memory.all())).toEqual([]);
    await visit(sessions, put);
    await sessions.close();
    clock.advance("60m");
    await settle();
    expect(await keysOf(memory.all())).toHaveLength(1);
    await visit(sessions, put); // stored, but it starts no sweep
    clock.advance("60m");
    await settle();
    expect(await keysOf(memory.all())).toHaveLength(2);
  });

  test("does not begin in a manager that was closed before its first commit", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "1m", sweepInterval: "10m" });
    await sessions.close();
    await visit(sessions, put);
    clock.advance("60m");
    await settle();
    expect(await keysOf(memory.all())).toHaveLength(1);
  });

  test("leaves live sessions alone", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "1h", sweepInterval: "10m" });
    await visit(sessions, put);
    clock.advance("30m");
    await settle();
    expect(await keysOf(memory.all())).toHaveLength(1);
  });

  test("is off with sweepInterval false", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "1m", sweepInterval: false });
    await visit(sessions, put);
    clock.advance("500m");
    await settle();
    expect(await keysOf(memory.all())).toHaveLength(1);
    expect(await sessions.prune()).toBe(1);
    expect(await keysOf(memory.all())).toEqual([]);
  });

  test("of several managers do not run together: each draws its own moment around the interval", async () => {
    const moments = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const waits: number[] = [];
      const clock = { now: () => Date.now(), after: (ms: number) => (waits.push(ms), () => undefined) };
      const sessions = new SessionManager({ clock, cookie: { name: uniqueName() }, sweepInterval: "10m" });
      await visit(sessions, put);
      const sweep = waits.find((ms) => ms > 60_000)!;
      expect(sweep).toBeGreaterThanOrEqual(540_000);
      expect(sweep).toBeLessThanOrEqual(660_000);
      moments.add(sweep);
    }
    expect(moments.size).toBeGreaterThan(10);
  });

  test("goes on after a store that failed", async () => {
    const { sessions, memory, clock } = setup({ lifetime: "1m", sweepInterval: "10m" });
    const { deleteExpired } = memory;
    memory.deleteExpired = () => Promise.reject(new Error("down"));
    await visit(sessions, put);
    clock.advance("12m");
    await settle();
    memory.deleteExpired = deleteExpired;
    clock.advance("12m");
    await settle();
    expect(await keysOf(memory.all())).toEqual([]);
  });

  test("a batch goes on where the last one stopped, and misses nothing that has expired before that since", async () => {
    const { memory, clock } = setup({ sweepInterval: false });
    const inMs = (ms: number) => session("x", { expiry: new Date(clock.now() + ms) });
    await memory.commit("later", inMs(5_000));
    for (const key of ["a", "b", "c"]) await memory.commit(key, inMs(1));
    clock.advance("1s");
    expect(await memory.deleteExpired(2)).toBe(2);
    clock.advance("10s");
    expect(await memory.deleteExpired(10)).toBe(2);
    expect(await keysOf(memory.all())).toEqual([]);
  });

  test("prune deletes everything that has expired, in batches, and says how many", async () => {
    const { sessions, memory, clock } = setup({ sweepInterval: false });
    const limits: number[] = [];
    const { deleteExpired } = memory;
    memory.deleteExpired = (limit) => {
      limits.push(limit);
      return deleteExpired.call(memory, limit);
    };
    for (let i = 0; i < 250; i++) await memory.commit(String(i), session("x", { expiry: new Date(clock.now() + 1) }));
    clock.advance("1s");
    expect(await sessions.prune()).toBe(250);
    expect([await keysOf(memory.all()), limits]).toEqual([[], [100, 100, 100]]);
  });

  // A manager with a clock of its own makes its default store with the system's: by a TestClock that store is never swept.
  test("removes by the manager's clock also what is in the default store", async () => {
    const clock = new TestClock(new Date("2040-01-01"));
    const sessions = new SessionManager({ clock, lifetime: "1m", cookie: { name: uniqueName() } });
    await visit(sessions, put);
    clock.advance("2m");
    expect(await sessions.prune()).toBe(1);
  });
});

describe("close", () => {
  test("waits for what is being stored beside requests", async () => {
    const { sessions, store, clock } = setup({ idleTimeout: "20m" });
    const session = await sessions.load();
    session.put("a", 1);
    const { token } = await sessions.commit(session);
    clock.advance("10m");
    store.holds = (method) => method === "touch";
    await sessions.load(token, { touch: true });
    let closed = false;
    const closing = sessions.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    await store.waiting[0]!.complete();
    await closing;
  });

  // manager.ts: close "waits for what is still being stored, and closes the store". Commits are not among what it waits for:
  // the store is closed under a commit that is on its way.
  test("waits for a commit that is on its way", async () => {
    const { sessions, store } = setup();
    const session = await sessions.load();
    session.put("a", 1);
    store.holds = (method) => method === "commit";
    const committing = sessions.commit(session);
    await settle();
    let closed = false;
    const closing = sessions.close().then(() => (closed = true));
    await settle();
    const early = closed;
    await store.waiting[0]!.complete();
    await Promise.all([committing, closing]);
    expect(early).toBe(false);
  });

  test("closes the store, once for each call, and may be called again", async () => {
    let closes = 0;
    const store = Object.assign(new MemoryStore(), {
      close: async () => {
        closes++;
      },
    });
    const sessions = new SessionManager({ store, cookie: { name: uniqueName() } });
    await sessions.close();
    expect(closes).toBe(1);
    await expect(sessions.close()).resolves.toBeUndefined();
  });
});
