// What a commit carries over from one attempt to the next, and what it does to the sessions beside its own.
import { MemoryStore, SessionManager, type Session, type SessionOptions } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { FaultyStore, TestClock } from "scs-session/testing";
import { expect, test } from "vitest";
import { eventsOf, settle, uniqueName } from "./helpers.ts";

interface Data {
  userId: number;
  n: number;
  code: string;
  large: string;
}

/** Two processes on one store: the calls of the first can be held. */
function processes(options: SessionOptions<Data> = {}) {
  const clock = new TestClock();
  const memory = new MemoryStore({ clock });
  const store = new FaultyStore(memory);
  const name = uniqueName();
  const all: SessionOptions<Data> = {
    subject: ({ userId }) => userId,
    ...options,
    clock,
    cookie: { name, ...options.cookie },
  };
  const here = new SessionManager<Data>({ ...all, store });
  const there = new SessionManager<Data>({ ...all, store: memory });
  const stored = async (values: Partial<Data>): Promise<string> => {
    const session = await there.load();
    for (const [key, value] of Object.entries(values)) session.put(key as "n", value as number);
    return (await there.commit(session)).token;
  };
  const end = async (token: string): Promise<void> => {
    const session = await there.load(token);
    session.destroy();
    await there.commit(session);
  };
  const keys = async (token: string): Promise<string[]> => (await there.load(token)).keys();
  /** The keys of every live session, also of one whose token nobody was given. */
  const live = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const session of there.iterate()) found.push(session.keys().join());
    return found;
  };
  return { name, clock, store, here, there, stored, end, keys, live, events: eventsOf(name) };
}

const tooLarge = "x".repeat(2_000);

test("a session that expired while its request was at work is not revived by its commit", async () => {
  const { clock, here, stored, keys } = processes({ idleTimeout: "20m" });
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.put("n", 2);
  clock.advance("21m");
  expect((await here.commit(session)).token).toBe("");
  expect(await keys(token)).toEqual([]);
});

test("a session that others have kept alive meanwhile is written, although it has expired as it was loaded", async () => {
  const { clock, here, there, stored } = processes({ idleTimeout: "20m" });
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.put("n", 2);
  clock.advance("15m");
  await there.load(token, { touch: true });
  clock.advance("10m");
  expect((await here.commit(session)).token).toBe(token);
  expect((await there.load(token)).get("n")).toBe(2);
});

test("a login whose code another request has popped, without more, leaves no session behind", async () => {
  const { store, here, there, stored } = processes();
  const token = await stored({ code: "secret" });
  const slow = await here.load(token);
  slow.pop("code", { once: true });
  slow.renewToken();
  slow.put("userId", 1);
  store.holds = (method) => method === "replace";
  const late = here.commit(slow).catch((error: unknown) => error);
  await settle();
  const quick = await there.load(token);
  quick.pop("code");
  await there.commit(quick);
  store.holds = false;
  await store.waiting[0]!.complete();
  expect(await late).toMatchObject({ code: "taken" });
  for await (const { id } of there.list({ subject: 1 })) expect(id).toBe("none");
});

test("a destroy that comes while a commit runs is carried out after it, although the client has gone", async () => {
  const { name, store, here, stored, keys } = processes();
  const token = await stored({ n: 1 });
  const leaving = new AbortController();
  store.holds = (method) => method === "replace";
  const handler = loadAndSave(here, async (request) => {
    const session = here.of(request);
    session.put("n", 2);
    void here.commit(session);
    session.destroy();
    leaving.abort();
    return new Promise<Response>(() => undefined);
  });
  const cookie = `${name}=${token}`;
  void handler(new Request("http://localhost/", { headers: { cookie }, signal: leaving.signal }));
  await settle();
  store.holds = false;
  await store.waiting[0]!.complete();
  await settle();
  expect(await keys(token)).toEqual([]);
});

test("the result of a commit knows how far the load has moved the idle timeout", async () => {
  const { clock, here, stored } = processes({ idleTimeout: "20m" });
  const token = await stored({ n: 1 });
  clock.advance("10m");
  const session = await here.load(token, { touch: true });
  const { expiry } = await here.commit(session);
  expect(expiry).toEqual(new Date(clock.now() + 20 * 60_000));
});

test("of a header full of forged cookies only the first 20 are looked at", async () => {
  const { here, events } = processes({ secrets: ["s".repeat(32)] });
  const forged = Array.from({ length: 400 }, (_, i) => `${String(i).padStart(43, "A")}.${"B".repeat(43)}`);
  await here.load(forged);
  expect(events.filter(({ type }) => type === "refused")).toHaveLength(20);
});

test("destroy ends also what was merged before it", async () => {
  const { here, stored, keys } = processes();
  const [token, other] = [await stored({ n: 1 }), await stored({ code: "other" })];
  const session = await here.load(token);
  await here.merge(session, other);
  session.destroy();
  await here.commit(session);
  expect([await keys(token), await keys(other)]).toEqual([[], []]);
});

test("a deadline that is set after a merge counts, although it is the earlier one", async () => {
  const { clock, here, there, stored } = processes();
  const [token, other] = [await stored({ n: 1 }), await stored({ code: "other" })];
  const session = await here.load(token);
  await here.merge(session, other);
  const deadline = new Date(clock.now() + 60_000);
  session.setDeadline(deadline);
  await here.commit(session);
  expect((await there.load(token)).deadline).toEqual(deadline);
});

test("what was too large can be amended: the rest of what was asked is carried out then", async () => {
  const { here, stored, keys } = processes({ maxBytes: 1_000, cookie: { persist: false } });
  const [token, other] = [await stored({ n: 1 }), await stored({ code: "other" })];
  const session = await here.load(token);
  await here.merge(session, other);
  session.rememberMe(true);
  session.put("large", tooLarge);
  await expect(here.commit(session)).rejects.toMatchObject({ code: "too-large" });
  expect(await keys(other)).toEqual(["code"]);
  session.remove("large");
  const { headers } = await here.commit(session);
  expect([await keys(token), await keys(other)]).toEqual([["code", "n"], []]);
  expect(headers[0]?.[1]).toContain("Max-Age");
});

test("a login in the second attempt, of a session that was ended, keeps only what is its own", async () => {
  const { here, there, stored, end } = processes({ maxBytes: 1_000 });
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.put("code", "of the first attempt");
  session.put("large", tooLarge);
  await expect(here.commit(session)).rejects.toMatchObject({ code: "too-large" });
  session.remove("large");
  session.renewToken();
  session.remove("code");
  session.put("n", 2);
  await end(token);
  const { token: next } = await here.commit(session);
  expect((await there.load(next)).keys()).toEqual(["n"]);
});

test("a login that was asked while a commit ran, which then failed, keeps only what is its own", async () => {
  const { store, here, there, stored, end } = processes({ maxBytes: 1_000 });
  const token = await stored({ userId: 1 });
  const session = await here.load(token);
  session.put("code", "x".repeat(300));
  store.holds = (method) => method === "replace";
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  session.renewToken();
  session.put("n", 2);
  const other = await there.load(token);
  other.put("large", "x".repeat(700));
  await there.commit(other);
  store.holds = false;
  await store.waiting[0]!.complete();
  expect(await first).toMatchObject({ code: "too-large" });
  await end(token);
  const { token: next } = await here.commit(session);
  expect((await there.load(next)).keys()).toEqual(["n"]);
});

test("a put after renewToken is the renewal's own, although the key was put before as well", async () => {
  const { here, there, stored, end } = processes();
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.put("n", 2);
  session.renewToken();
  session.put("n", 3);
  await end(token);
  const { token: next } = await here.commit(session);
  expect((await there.load(next)).get("n")).toBe(3);
});

test("a renewal that has become too large leaves no session behind", async () => {
  const { store, here, there, stored, live } = processes({ maxBytes: 1_000 });
  const token = await stored({ userId: 1 });
  const session = await here.load(token);
  session.renewToken();
  session.put("code", "x".repeat(300));
  store.holds = (method) => method === "replace";
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  const other = await there.load(token);
  other.put("large", "x".repeat(700));
  await there.commit(other);
  store.holds = false;
  await store.waiting[0]!.complete();
  expect(await first).toMatchObject({ code: "too-large" });
  expect(await live()).toEqual(["large,userId"]);
});

test("a renewal whose second attempt is too late for its code leaves nothing of the first behind", async () => {
  const { store, here, there, stored, live } = processes();
  const token = await stored({ userId: 1, code: "secret" });
  const session = await here.load(token);
  session.pop("code", { once: true });
  session.renewToken();
  session.put("n", 1);
  store.holds = (method) => method === "replace";
  const first = here.commit(session).catch((error: unknown) => error);
  await settle();
  store.holds = false;
  await store.waiting[0]!.fail();
  expect(await first).toMatchObject({ code: "store-unavailable" });
  const other = await there.load(token);
  other.pop("code");
  await there.commit(other);
  await expect(here.commit(session)).rejects.toMatchObject({ code: "taken" });
  expect(await live()).toEqual(["userId"]);
});

test("a destroy after a renewal that failed half way ends what that has stored, although the client has gone", async () => {
  const { name, store, here, stored, live } = processes();
  const cookie = `${name}=${await stored({ userId: 1 })}`;
  const leaving = new AbortController();
  store.holds = (method) => method === "replace";
  const handler = loadAndSave(here, async (request) => {
    const session = here.of(request);
    session.renewToken();
    session.put("n", 1);
    await here.commit(session).catch(() => undefined);
    session.destroy();
    leaving.abort();
    return new Promise<Response>(() => undefined);
  });
  void handler(new Request("http://localhost/", { headers: { cookie }, signal: leaving.signal }));
  await settle();
  store.holds = false;
  await store.waiting[0]!.fail();
  await settle();
  expect(await live()).toEqual([]);
});

/** A renewal, by a user who is logged in, whose session is ended before its marker is written. */
async function renewalOfEnded(use: (session: Session<Data>) => void) {
  const { store, here, stored, end, live } = processes();
  const token = await stored({ userId: 1, n: 1 });
  const session = await here.load(token);
  use(session);
  store.holds = (method) => method === "replace";
  const committing = here.commit(session).then(
    () => "stored",
    (error: unknown) => String(error),
  );
  await settle();
  await end(token);
  store.holds = false;
  await store.waiting[0]!.complete();
  return { answer: await committing, live: await live() };
}

const incremented = (n: number | undefined): number => {
  if (n === undefined) throw new Error("there is no n");
  return n + 1;
};

test("a renewal that keeps only what is its own asks nothing else of the session that is no more", async () => {
  const renewed = await renewalOfEnded((session) => {
    session.update("n", incremented);
    session.renewToken();
    session.put("code", "own");
  });
  expect(renewed).toEqual({ answer: "stored", live: ["code"] });
});

test("a renewal whose own update throws on the session that is no more leaves none behind", async () => {
  const renewed = await renewalOfEnded((session) => {
    session.renewToken();
    session.update("n", incremented);
  });
  expect(renewed).toEqual({ answer: "Error: there is no n", live: [] });
});

test("an update that throws ends no session of others: all or nothing", async () => {
  const { here, there, stored, live } = processes();
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.renewToken();
  session.update("n", incremented);
  const other = await there.load(token);
  other.renewToken();
  other.put("userId", 1);
  await there.commit(other);
  await expect(here.commit(session)).rejects.toThrow("there is no n");
  expect(await live()).toEqual(["n,userId"]);
});

test("closing waits also for a commit that waits for another one", async () => {
  const { store, here, stored, keys } = processes();
  const token = await stored({ userId: 1 });
  const session = await here.load(token);
  session.put("n", 1);
  store.holds = (method) => method === "replace";
  const first = here.commit(session).catch((error: unknown) => error);
  const second = here.commit(session);
  await settle();
  let isClosed = false;
  const closed = here.close().then(() => (isClosed = true));
  await store.waiting[0]!.fail();
  await settle();
  expect([await first, isClosed]).toMatchObject([{ code: "store-unavailable" }, false]);
  await store.waiting[0]!.complete();
  await second;
  await closed;
  expect(await keys(token)).toEqual(["n", "userId"]);
});

test("closing waits also for a destroy that waits for a commit, although the client has gone", async () => {
  const { name, store, here, stored, keys } = processes();
  const token = await stored({ userId: 1 });
  const leaving = new AbortController();
  store.holds = (method) => method === "replace";
  const handler = loadAndSave(here, (request) => {
    const session = here.of(request);
    session.put("n", 1);
    here.commit(session).catch(() => undefined);
    session.destroy();
    leaving.abort();
    return new Promise<Response>(() => undefined);
  });
  const headers = { cookie: `${name}=${token}` };
  void handler(new Request("http://localhost/", { headers, signal: leaving.signal }));
  await settle();
  let isClosed = false;
  const closed = here.close().then(() => (isClosed = true));
  await store.waiting[0]!.fail();
  await settle();
  expect([isClosed, store.waiting.length]).toEqual([false, 1]);
  await store.waiting[0]!.complete();
  await closed;
  expect(await keys(token)).toEqual([]);
});

test("commits of one session in one process do not conflict: each costs one call, a destroy among them, too", async () => {
  const { store, here, stored, events } = processes();
  const token = await stored({ userId: 1 });
  const [put, update, destroy] = [await here.load(token), await here.load(token), await here.load(token)];
  put.put("n", 1);
  update.update("n", (n = 0) => n + 1);
  destroy.destroy();
  store.calls.length = events.length = 0;
  await Promise.all([put, update, destroy].map((session) => here.commit(session)));
  expect(store.calls).toEqual(["replace", "replace", "replace"]);
  expect(events.filter(({ type }) => type === "destroyed")).toHaveLength(1);
});

test("of two that end a session only one tells of it", async () => {
  const { here, there, stored, events } = processes();
  const token = await stored({ n: 1 });
  const both = [await here.load(token), await there.load(token)] as const;
  for (const session of both) session.destroy();
  await here.commit(both[0]);
  await there.commit(both[1]);
  expect(events.filter(({ type }) => type === "destroyed")).toHaveLength(1);
});

test("a session that was renewed while it was merged into another has ended, and what it was given is there", async () => {
  const { here, there, stored, live } = processes();
  const [token, other] = [await stored({ n: 1 }), await stored({ code: "old" })];
  const session = await here.load(token);
  await here.merge(session, other);
  const renewing = await there.load(other);
  renewing.renewToken();
  renewing.put("code", "new");
  await there.commit(renewing);
  await here.commit(session);
  expect(await live()).toEqual(["code,n"]);
  expect(session.get("code")).toBe("new");
});

test("what was put into a merged session meanwhile is kept by a second attempt, too", async () => {
  const { store, here, there, stored, live } = processes();
  const [token, other] = [await stored({ n: 1 }), await stored({ code: "old" })];
  const session = await here.load(token);
  await here.merge(session, other);
  const writing = await there.load(other);
  writing.put("code", "new");
  await there.commit(writing);
  store.holds = true;
  const first = here.commit(session).catch((error: unknown) => error);
  // Stored; the other one has changed; found; what is new of it stored.
  for (const method of ["replace", "replace", "find", "replace"]) {
    await settle();
    expect(store.waiting[0]!.method).toBe(method);
    await store.waiting[0]!.complete();
  }
  await settle();
  await store.waiting[0]!.loseAnswer(); // that it has ended
  await settle();
  await store.waiting[0]!.fail();
  expect(await first).toMatchObject({ code: "store-unavailable" });
  store.holds = false;
  await here.commit(session);
  expect(await live()).toEqual(["code,n"]);
  expect(session.get("code")).toBe("new");
});

test("a session that was found to be gone has no token any more", async () => {
  const { here, stored, end } = processes();
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.put("n", 2);
  await end(token);
  await here.commit(session);
  expect([session.token, session.id]).toEqual(["", undefined]);
});

test("a session that an explicit commit has stored is handed out, although the store is out of order since then", async () => {
  const { store, here } = processes();
  const handler = loadAndSave(here, async (request) => {
    const session = here.of(request);
    session.put("n", 1);
    await here.commit(session);
    store.failure = new Error("out of order");
    return new Response("ok");
  });
  const response = await handler(new Request("http://localhost/"));
  expect([response.status, response.headers.getSetCookie().length]).toEqual([200, 1]);
});

test("who brings only cookies of before renewals, several of them, gets no new session", async () => {
  const { here, there, stored, live } = processes();
  const both = [await stored({ n: 1 }), await stored({ n: 2 })];
  for (const token of both) {
    const renewing = await there.load(token);
    renewing.renewToken();
    await there.commit(renewing);
  }
  const session = await here.load(both);
  session.put("n", 3);
  expect((await here.commit(session)).token).toBe("");
  expect(await live()).toEqual(["n", "n"]);
});

test("a destroy whose answer was lost has been carried out", async () => {
  const { store, here, stored, keys } = processes();
  const token = await stored({ n: 1 });
  const session = await here.load(token);
  session.destroy();
  store.holds = (method) => method === "replace";
  const committing = here.commit(session);
  await settle();
  await store.waiting[0]!.loseAnswer();
  expect((await committing).headers[0]?.[1]).toContain("Max-Age=0");
  expect(await keys(token)).toEqual([]);
});

test("a renewed token leads to its successor for a minute, also where the idle timeout is shorter", async () => {
  const { clock, here, there, stored, live } = processes({ idleTimeout: "30s" });
  const token = await stored({ n: 1 });
  const renewing = await there.load(token);
  renewing.renewToken();
  const { token: next } = await there.commit(renewing);
  clock.advance("25s");
  await there.load(next, { touch: true });
  clock.advance("20s");
  const late = await here.load(token);
  late.destroy();
  await here.commit(late);
  expect(await live()).toEqual([]);
});
