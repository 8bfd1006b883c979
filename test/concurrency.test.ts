/** G1 and G2 over HTTP: real parallel requests, and requests that are held in the middle by the store. */

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { MemoryStore, SessionManager, type Store } from "scs-session";
import { loadAndSave } from "scs-session/node";
import { FaultyStore, signIn, TestClock } from "scs-session/testing";

type Data = Record<string, number>;
interface Answer {
  readonly status: number;
  readonly body: string;
  /** The value of the session cookie that was set; "" when it was taken back. */
  readonly cookie: string | undefined;
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
});

type Send = (path: string, cookie?: string) => Promise<Answer>;

/** One server process: /put/KEY, /count, /login/USER, /rotate, /logout, /read; /early stores, then waits for `finish`. */
async function start(sessions: SessionManager<Data>, finish = Promise.resolve()): Promise<Send> {
  const server = createServer(
    loadAndSave(sessions, async (request, response) => {
      const session = sessions.of(request);
      const [, verb, name = ""] = (request.url ?? "").split("/");
      if (verb === "put") session.put(name, 1);
      if (verb === "count") session.update("count", (count = 0) => count + 1);
      if (verb === "login" || verb === "rotate") session.renewToken();
      if (verb === "login") session.put("user", Number(name));
      if (verb === "logout") session.destroy();
      if (verb === "early") {
        session.put("early", 1);
        await sessions.commit(session);
        await finish;
      }
      response.end(JSON.stringify(Object.fromEntries(session.keys().map((key) => [key, session.get(key)]))));
    }),
  );
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return async (path, cookie) => {
    const headers = cookie === undefined ? {} : { cookie: `session=${cookie}` };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    const set = /^session=([^;]*)/.exec(response.headers.get("set-cookie") ?? "")?.[1];
    return { status: response.status, body: await response.text(), cookie: set };
  };
}

/** Two server processes on one store: `held` stops where the test says, `free` does not. */
async function twoProcesses(age = false) {
  const clock = new TestClock();
  const memory = new MemoryStore({ clock });
  const store = new FaultyStore(memory);
  const options = { clock, subject: (data: Partial<Data>) => data["user"], idleTimeout: "20m" } as const;
  const held = new SessionManager<Data>({ ...options, store });
  const free = new SessionManager<Data>({ ...options, store: memory });
  const cookie = (await signIn(free, { user: 1, base: 1 }))["cookie"]?.replace("session=", "") ?? "";
  if (age) clock.advance("5m");
  return { store, free, cookie, viaHeld: await start(held), viaFree: await start(free) };
}

/** Settles when a call of the method waits in the store. */
async function waitingFor(store: FaultyStore, method: string) {
  for (;;) {
    const call = store.waiting.find((waiting) => waiting.method === method);
    if (call !== undefined) return call;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function live(sessions: SessionManager<Data>): Promise<Record<string, number>[]> {
  const all: Record<string, number>[] = [];
  for await (const session of sessions.iterate()) {
    all.push(Object.fromEntries(session.keys().map((key) => [key, session.get(key) ?? 0])));
  }
  return all;
}

/** A store that answers in a later turn of the event loop, as one behind a network does: else no two requests would mix. */
function remote(memory = new MemoryStore()): Required<Pick<Store, "find" | "commit" | "delete" | "replace">> {
  const later = async <T>(answer: Promise<T>): Promise<T> => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return answer;
  };
  return {
    find: (token) => later(memory.find(token)),
    commit: (token, session) => later(memory.commit(token, session)),
    delete: (token) => later(memory.delete(token)),
    replace: (token, expected, next) => later(memory.replace(token, expected, next)),
  };
}

/** How many of 20 keys are there after 20 parallel requests, sent to two processes in turns, that put one each. */
async function survivors(store: Store): Promise<number> {
  const both = await Promise.all([
    start(new SessionManager<Data>({ store, sweepInterval: false })),
    start(new SessionManager<Data>({ store, sweepInterval: false })),
  ]);
  const [one] = both;
  const { cookie } = await one("/put/first");
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => both[i % 2]!(`/put/key${i}`, cookie)));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  return Object.keys(JSON.parse((await one("/read", cookie)).body) as object).length - 1;
}

test("of 20 parallel requests that write 20 keys of one session, 20 survive", async () => {
  expect(await survivors(remote())).toBe(20);
});

test("with a store that cannot replace, the last of them wins, as in SCS", async () => {
  const { find, commit, delete: remove } = remote();
  expect(await survivors({ find, commit, delete: remove })).toBeLessThan(20);
});

test("1,000 parallel increments on two processes are 1,000", async () => {
  const store = remote();
  const [one, other] = await Promise.all([
    start(new SessionManager<Data>({ store })),
    start(new SessionManager<Data>({ store })),
  ]);
  const { cookie } = await one("/put/first");
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? one : other)("/count", cookie)));
  }
  expect(JSON.parse((await one("/read", cookie)).body)).toEqual({ first: 1, count: 1000 });
});

test("a slow writer does not bring a logged-out session back", async () => {
  const { store, free, cookie, viaHeld, viaFree } = await twoProcesses();
  store.holds = (method) => method === "replace";
  const slow = viaHeld("/put/late", cookie);
  const call = await waitingFor(store, "replace");
  expect((await viaFree("/logout", cookie)).cookie).toBe("");
  await call.complete();
  expect(await slow).toMatchObject({ status: 200, cookie: undefined });
  expect(await live(free)).toEqual([]);
});

test("a slow reader with an idle timeout does not bring a logged-out session back", async () => {
  const { store, free, cookie, viaHeld, viaFree } = await twoProcesses(true);
  store.holds = (method) => method === "touch";
  const slow = viaHeld("/read", cookie);
  const call = await waitingFor(store, "touch");
  expect((await viaFree("/logout", cookie)).cookie).toBe("");
  await call.complete();
  expect(await slow).toMatchObject({ status: 200, cookie: undefined });
  expect(await live(free)).toEqual([]);
});

test("a slow reader does not send the old cookie once the session was renewed", async () => {
  const { store, cookie, viaHeld, viaFree } = await twoProcesses(true);
  store.holds = (method) => method === "touch";
  const slow = viaHeld("/read", cookie);
  const call = await waitingFor(store, "touch");
  expect((await viaFree("/login/2", cookie)).cookie).not.toBe(cookie);
  await call.complete();
  expect((await slow).cookie).toBeUndefined();
});

test.each(["commit", "replace"] as const)(
  "a renewal that waits for its %s does not survive a logout in between",
  async (method) => {
    const { store, free, cookie, viaHeld, viaFree } = await twoProcesses();
    store.holds = (called) => called === method;
    const slow = viaHeld("/rotate", cookie);
    const call = await waitingFor(store, method);
    store.holds = false;
    expect((await viaFree("/logout", cookie)).cookie).toBe("");
    await call.complete();
    const { cookie: renewed } = await slow;
    expect(renewed).toBeUndefined();
    expect(await live(free)).toEqual([]);
  },
);

test("a logout that was loaded before a renewal ends the renewed session too", async () => {
  const { store, free, cookie, viaHeld, viaFree } = await twoProcesses();
  store.holds = (method) => method === "replace";
  const slow = viaHeld("/logout", cookie);
  const call = await waitingFor(store, "replace");
  store.holds = false;
  const { cookie: renewed } = await viaFree("/rotate", cookie);
  expect(JSON.parse((await viaFree("/read", renewed)).body)).toEqual({ user: 1, base: 1 });
  await call.complete();
  expect((await slow).cookie).toBe("");
  expect(JSON.parse((await viaFree("/read", renewed)).body)).toEqual({});
  expect(await live(free)).toEqual([]);
});

test.each(["login/2", "logout"])(
  "a response that leaves long after its explicit commit does not hand out what a %s has ended",
  async (end) => {
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const sessions = new SessionManager<Data>({ subject: (data) => data["user"] });
    const send = await start(sessions, finished);
    const { cookie = "" } = await send("/login/1");
    const slow = send("/early", cookie);
    while ((await sessions.load(cookie)).get("early") === undefined)
      await new Promise((resolve) => setImmediate(resolve));
    const ended = await send(`/${end}`, cookie);
    expect(ended.cookie).not.toBe(cookie);
    finish();
    expect(await slow).toMatchObject({ status: 200, cookie: undefined });
  },
);

test("a double click on login leaves the browser logged in", async () => {
  const sessions = new SessionManager<Data>({ subject: (data) => data["user"] });
  const send = await start(sessions);
  const { cookie } = await send("/put/cart");
  const answers = await Promise.all([send("/login/1", cookie), send("/login/1", cookie)]);
  // The browser keeps the cookie of the response that came last.
  const last = answers
    .map((answer) => answer.cookie)
    .filter((value) => value !== undefined)
    .at(-1);
  expect(JSON.parse((await send("/read", last)).body)).toMatchObject({ user: 1 });
});

test("a late request with the old token after a login changes neither cookie nor session", async () => {
  const sessions = new SessionManager<Data>({ subject: (data) => data["user"] });
  const send = await start(sessions);
  const { cookie: before } = await send("/put/cart");
  const { cookie: after } = await send("/login/1", before);
  expect(await send("/put/late", before)).toMatchObject({ status: 200, cookie: undefined });
  expect(JSON.parse((await send("/read", after)).body)).toEqual({ cart: 1, user: 1 });
  expect(await live(sessions)).toHaveLength(1);
});
