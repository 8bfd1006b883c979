// What scs-session/testing offers to tests of applications and stores.
import { describe, expect, test } from "vitest";
import { header, SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, signIn, TestClock } from "scs-session/testing";

describe("TestClock", () => {
  test("starts at a given time, by default at the present in whole seconds, and stands still", () => {
    expect(new TestClock(new Date(123)).now()).toBe(123);
    const clock = new TestClock();
    expect(clock.now() % 1_000).toBe(0);
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000);
    expect(clock.now()).toBe(clock.now());
  });

  test("calls what is due, in the order of time, at its time", () => {
    const clock = new TestClock(new Date(0));
    const calls: [string, number][] = [];
    const note = (name: string) => () => calls.push([name, clock.now()]);
    clock.after(3_000, note("third"));
    clock.after(1_000, note("first"));
    clock.after(2_000, note("second"));
    clock.after(5_001, note("not yet"));
    const callOff = clock.after(1_500, note("called off"));
    callOff();
    callOff();
    clock.after(1_000, () => clock.after(3_500, note("begun meanwhile")));
    expect(clock.timers).toBe(5);
    clock.advance("5s");
    expect(calls).toStrictEqual([
      ["first", 1_000],
      ["second", 2_000],
      ["third", 3_000],
      ["begun meanwhile", 4_500],
    ]);
    expect([clock.now(), clock.timers]).toStrictEqual([5_000, 1]);
  });

  test("lets sessions expire without waiting", async () => {
    const clock = new TestClock();
    const sessions = new SessionManager({ clock, lifetime: "1h" });
    const session = await sessions.load();
    session.put("a", 1);
    const { token } = await sessions.commit(session);
    clock.advance("3599s");
    expect((await sessions.load(token)).getNumber("a")).toBe(1);
    clock.advance("1s");
    expect((await sessions.load(token)).exists("a")).toBe(false);
  });
});

describe("FaultyStore", () => {
  const record = (text: string) => ({ data: new TextEncoder().encode(text), expiry: new Date(8e15) });
  const textOf = async (store: MemoryStore): Promise<string | undefined> => {
    const data = (await store.find("t"))?.data;
    return data && new TextDecoder().decode(data);
  };

  const tokensOf = async (found: AsyncIterable<[string, unknown]>): Promise<string[]> => {
    const tokens: string[] = [];
    for await (const [token] of found) tokens.push(token);
    return tokens;
  };

  test("passes calls through and counts them, until told otherwise", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    await store.commit("t", { ...record("1"), subject: "s" });
    expect(new TextDecoder().decode((await store.find("t"))!.data)).toBe("1");
    expect(await store.replace("t", record("1").data, { ...record("2"), subject: "s" })).toBe("replaced");
    expect(await store.touch("t", new Date(1))).toBe(true);
    expect((await inner.find("t"))!.expiry.getTime()).toBe(1);
    expect(await tokensOf(store.all())).toStrictEqual(["t"]);
    expect(await tokensOf(store.findBySubject("s"))).toStrictEqual(["t"]);
    expect(await store.deleteExpired(10)).toBe(1);
    await store.delete("t");
    expect(store.calls).toStrictEqual(["commit", "find", "replace", "touch", "delete"]);
    expect(store.waiting).toStrictEqual([]);
  });

  test("fails every call with the given error, and carries none out", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    store.failure = new Error("down");
    await expect(store.commit("t", record("1"))).rejects.toBe(store.failure);
    await expect(store.find("t")).rejects.toBe(store.failure);
    store.failure = undefined;
    expect(await store.find("t")).toBeUndefined();
    expect(store.calls).toStrictEqual(["commit", "find", "find"]);
  });

  test("holds calls back and completes them in any order", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    store.holds = true;
    const writes = [store.commit("t", record("1")), store.commit("t", record("2"))];
    expect(store.waiting.map(({ method, token }) => `${method} ${token}`)).toStrictEqual(["commit t", "commit t"]);
    expect(await textOf(inner)).toBeUndefined();
    await store.waiting[1]!.complete();
    expect(await textOf(inner)).toBe("2");
    await store.waiting[0]!.complete();
    expect(await textOf(inner)).toBe("1");
    await Promise.all(writes);
    expect(store.waiting).toStrictEqual([]);
  });

  test("fails a held call before it is carried out, or loses its answer afterwards", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    store.holds = (method, token) => method === "commit" && token === "t";
    await store.commit("other", record("passes through"));
    const failed = store.commit("t", record("1"));
    await store.waiting[0]!.fail();
    await expect(failed).rejects.toThrow("The store failed.");
    expect(await textOf(inner)).toBeUndefined();

    const lost = store.commit("t", record("2"));
    await store.waiting[0]!.loseAnswer(new Error("reset"));
    await expect(lost).rejects.toThrow("reset");
    expect(await textOf(inner)).toBe("2");
  });

  test("shows the signal of a call, aborted when the manager waits no longer", async () => {
    const clock = new TestClock();
    const store = new FaultyStore(new MemoryStore());
    const sessions = new SessionManager({ store, clock, storeTimeout: "2s" });
    store.holds = true;
    const load = sessions.load("x".repeat(43));
    const [call] = store.waiting;
    expect([call!.method, call!.signal!.aborted]).toStrictEqual(["find", false]);
    clock.advance("2s");
    await expect(load).rejects.toMatchObject({ code: "store-unavailable" });
    expect(call!.signal!.aborted).toBe(true);
  });

  test("refuses to wrap a store without the abilities", () => {
    const { find, commit, delete: remove } = MemoryStore.prototype;
    expect(() => new FaultyStore({ find, commit, delete: remove })).toThrow(/replace and touch/);
  });
});

describe("signIn", () => {
  interface Data {
    user: number;
    cart?: string[];
  }
  const visit = async (sessions: SessionManager<Data>, headers: Record<string, string>): Promise<string> => {
    const handle = loadAndSave(sessions, (request) => {
      const session = sessions.of(request);
      return Response.json([session.getNumber("user"), session.get("cart")]);
    });
    return (await handle(new Request("http://host/", { headers }))).text();
  };

  test("gives the headers of a client that has a session, by cookie", async () => {
    const sessions = new SessionManager<Data>();
    const headers = await signIn(sessions, { user: 7, cart: ["a"] });
    expect(Object.keys(headers)).toStrictEqual(["cookie"]);
    expect(headers["cookie"]).toMatch(/^session=[\w-]{43}$/);
    expect(await visit(sessions, headers)).toBe('[7,["a"]]');
    expect(await visit(sessions, {})).toBe("[0,null]");
  });

  test("signs the cookie where there are secrets, and uses its name", async () => {
    const sessions = new SessionManager<Data>({ secrets: ["s".repeat(32)], cookie: { name: "sid" } });
    const headers = await signIn(sessions, { user: 7 });
    expect(headers["cookie"]).toMatch(/^sid=[\w-]{43}\.[\w-]{43}$/);
    expect(await visit(sessions, headers)).toBe("[7,null]");
  });

  test("gives the headers of a client that has a session, by header", async () => {
    const sessions = new SessionManager<Data>({ transport: header("X-Session") });
    const headers = await signIn(sessions, { user: 7 });
    expect(Object.keys(headers)).toStrictEqual(["x-session"]);
    expect(await visit(sessions, headers)).toBe("[7,null]");
  });

  test("signs in as many users as are asked for", async () => {
    const sessions = new SessionManager<Data>();
    const [one, two] = [await signIn(sessions, { user: 1 }), await signIn(sessions, { user: 2 })];
    expect([await visit(sessions, one), await visit(sessions, two)]).toStrictEqual(["[1,null]", "[2,null]"]);
  });
});
