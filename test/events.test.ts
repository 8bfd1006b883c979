/** What is published on the diagnostics channel, and what is warned of, once for each process. */

import { createHash } from "node:crypto";
import * as diagnostics from "node:diagnostics_channel";
import { SessionManager, subscribe, type Session, type SessionEvent, type SessionOptions } from "scs-session";
import { describe, expect, test } from "vitest";
import { cookieOf, cookieWith, failure, runAlone, settle, setup, tokenOf, visit } from "./helpers.ts";

interface User {
  userId: number;
  n: number;
  secret: string;
}
const bySubject: SessionOptions<User> = { subject: (data) => data.userId };
const idOf = (cookie: string): string => createHash("sha256").update(tokenOf(cookie)).digest("base64url");
const put = (session: Session<User>): void => session.put("n", 1);

test("the channel is `scs-session`, and a listener hears no more once it has unsubscribed", async () => {
  const { sessions, name } = setup<User>();
  const heard: unknown[] = [];
  const ours = (event: unknown): void => {
    if ((event as SessionEvent).manager === name) heard.push("channel");
  };
  diagnostics.subscribe("scs-session", ours);
  const unsubscribe = subscribe((event) => {
    if (event.manager === name) heard.push("subscribe");
  });
  await visit(sessions, put);
  expect(heard).toEqual(["channel", "subscribe"]);
  unsubscribe();
  diagnostics.unsubscribe("scs-session", ours);
  await visit(sessions, put);
  expect(heard).toHaveLength(2);
});

describe("an event is published", () => {
  test("created, when a session is first stored; not when it is stored again", async () => {
    const { sessions, name, events } = setup<User>();
    const cookie = await cookieWith(sessions, put);
    expect(events).toEqual([{ manager: name, type: "created", session: idOf(cookie) }]);
    await visit(sessions, put, { cookie });
    await visit(sessions, (session) => session.get("n"), { cookie });
    expect(events).toHaveLength(1);
  });

  test("renewed, with the ids of both", async () => {
    const { sessions, name, events } = setup<User>();
    const cookie = await cookieWith(sessions, put);
    const fresh = cookieOf(await visit(sessions, (session) => session.renewToken(), { cookie }));
    const ids = { session: idOf(cookie), successor: idOf(fresh) };
    expect(events.slice(1)).toEqual([{ manager: name, type: "renewed", automatic: false, ...ids }]);
  });

  test("renewed automatic, when a commit changed the subject", async () => {
    const { sessions, name, events } = setup(bySubject);
    const cookie = await cookieWith(sessions, put);
    const fresh = cookieOf(await visit(sessions, (session) => session.put("userId", 1), { cookie }));
    const ids = { session: idOf(cookie), successor: idOf(fresh) };
    expect(events.slice(1)).toEqual([{ manager: name, type: "renewed", automatic: true, ...ids }]);
  });

  test("destroyed, by destroy, by revoke, and of a merged session", async () => {
    const { sessions, name, events } = setup(bySubject);
    const add = (): Promise<string> => cookieWith(sessions, (session) => session.put("userId", 1));
    const [destroyed, revoked, merged] = [await add(), await add(), await add()];
    const ended = (cookie: string) => [{ manager: name, type: "destroyed", session: idOf(cookie) }];
    events.length = 0;
    await visit(sessions, (session) => session.destroy(), { cookie: destroyed });
    expect(events.splice(0)).toEqual(ended(destroyed));
    await sessions.revoke({ subject: 1, id: idOf(revoked) });
    expect(events.splice(0)).toEqual(ended(revoked));
    const session = await sessions.load();
    await sessions.merge(session, tokenOf(merged));
    expect(events.splice(0)).toEqual([]);
    await sessions.commit(session);
    expect(events).toContainEqual(ended(merged)[0]);
  });

  test("expired, when a request comes with the token of a session that is over", async () => {
    const { sessions, name, events, clock } = setup<User>({ lifetime: "1h" });
    const cookie = await cookieWith(sessions, put);
    events.length = 0;
    clock.advance("1h");
    expect(events).toEqual([]); // it passes unnoticed
    await visit(sessions, (session) => session.get("n"), { cookie });
    expect(events).toEqual([{ manager: name, type: "expired", session: idOf(cookie) }]);
  });

  test("refused, for a token that is malformed, wrongly signed, or unknown", async () => {
    const { sessions, name, events } = setup<User>();
    await sessions.load("no token");
    await sessions.load("A".repeat(43));
    const refused = (reason: string) => ({ manager: name, type: "refused", reason });
    expect(events).toEqual([refused("malformed"), refused("unknown")]);
    const signing = setup<User>({ secrets: ["s".repeat(32)] });
    await signing.sessions.load("A".repeat(43));
    await signing.sessions.load(`${"A".repeat(43)}.${"B".repeat(43)}`);
    expect(signing.events.map((event) => event.type === "refused" && event.reason)).toEqual(["malformed", "malformed"]);
  });

  test("refused is not published for a request without a token", async () => {
    const { sessions, events } = setup<User>();
    await sessions.load();
    await visit(sessions, (session) => session.get("n"), { cookie: "other=1" });
    expect(events).toEqual([]);
  });

  test("gone, when a write was dropped since the session had been ended or renewed", async () => {
    for (const end of [
      (session: Session<User>) => session.destroy(),
      (session: Session<User>) => session.renewToken(),
    ]) {
      const { sessions, name, events } = setup<User>();
      const cookie = await cookieWith(sessions, put);
      const slow = await sessions.load(tokenOf(cookie));
      await visit(sessions, end, { cookie });
      events.length = 0;
      put(slow);
      expect((await sessions.commit(slow)).token).toBe("");
      expect(events).toEqual([{ manager: name, type: "gone", session: idOf(cookie) }]);
    }
  });

  test('gone, with onGone "error", is an error too: status 409', async () => {
    const { sessions, events } = setup<User>({ onGone: "error" });
    const cookie = await cookieWith(sessions, put);
    const slow = await sessions.load(tokenOf(cookie));
    await visit(sessions, (session) => session.destroy(), { cookie });
    put(slow);
    expect(await failure(() => sessions.commit(slow))).toMatchObject({ code: "gone", status: 409 });
    expect(events.at(-1)).toMatchObject({ type: "gone", session: idOf(cookie) });
  });

  test("conflict, when another request had written in between, and overwrote for each key that had changed", async () => {
    const { sessions, name, events } = setup<User>();
    const cookie = await cookieWith(sessions, (session) => {
      session.put("n", 0);
      session.put("secret", "x");
    });
    const [a, b] = [await sessions.load(tokenOf(cookie)), await sessions.load(tokenOf(cookie))];
    a.put("n", 1);
    b.put("n", 2);
    b.put("secret", "y");
    await sessions.commit(a);
    events.length = 0;
    await sessions.commit(b);
    expect(events).toEqual([
      { manager: name, type: "conflict", session: idOf(cookie) },
      { manager: name, type: "overwrote", session: idOf(cookie), key: "n" },
    ]);
  });

  test("conflict without overwrote, when the requests wrote different keys or used update", async () => {
    const { sessions, events } = setup<User>();
    const cookie = await cookieWith(sessions, put);
    const [a, b, c] = [
      await sessions.load(tokenOf(cookie)),
      await sessions.load(tokenOf(cookie)),
      await sessions.load(tokenOf(cookie)),
    ];
    a.put("secret", "x");
    b.update("n", (n = 0) => n + 1);
    c.update("n", (n = 0) => n + 1);
    for (const session of [a, b, c]) await sessions.commit(session);
    expect(events.map(({ type }) => type)).toEqual(["created", "conflict", "conflict"]);
    expect((await sessions.load(tokenOf(cookie))).get("n")).toBe(3);
  });

  test("ambiguous, for the cookies of live sessions of several subjects", async () => {
    const { sessions, name, events } = setup(bySubject);
    const one = await cookieWith(sessions, (session) => session.put("userId", 1));
    const two = await cookieWith(sessions, (session) => session.put("userId", 2));
    events.length = 0;
    await visit(sessions, (session) => session.get("n"), { cookie: `${one}; ${two}` });
    expect(events).toEqual([
      { manager: name, type: "ambiguous", sessions: expect.arrayContaining([idOf(one), idOf(two)]) as string[] },
    ]);
  });

  test("undecodable, when the stored bytes are no session", async () => {
    const { sessions, name, events, memory } = setup<User>();
    const cookie = await cookieWith(sessions, put);
    await memory.commit(idOf(cookie), { data: Buffer.from("garbage"), expiry: new Date(Date.now() + 1e6) });
    events.length = 0;
    await visit(sessions, (session) => session.get("n"), { cookie });
    expect(events).toEqual([{ manager: name, type: "undecodable", session: idOf(cookie) }]);
  });

  test("store-error, when a call fails, and when it does not answer in time", async () => {
    const { sessions, name, events, store, clock } = setup<User>();
    const cookie = await cookieWith(sessions, put);
    events.length = 0;
    store.failure = new Error("down");
    const error = await failure(() => sessions.load(tokenOf(cookie)));
    expect(events.splice(0)).toEqual([{ manager: name, type: "store-error", error }]);
    store.failure = undefined;
    store.holds = true;
    const loading = failure(() => sessions.load(tokenOf(cookie)));
    await settle();
    clock.advance("5s");
    expect(events.splice(0)).toEqual([{ manager: name, type: "store-error", error: await loading }]);
  });

  test("store-error, where the request did not have to fail for it: a touch, an outage that is borne", async () => {
    const { sessions, events, store, clock } = setup<User>({ outage: "anonymous", idleTimeout: "20m" });
    const cookie = await cookieWith(sessions, put);
    clock.advance("10m");
    events.length = 0;
    store.holds = (method) => method === "touch";
    const visiting = visit(sessions, (session) => session.get("n"), { cookie });
    await settle();
    await store.waiting[0]!.fail();
    expect((await visiting).status).toBe(200);
    expect(events.splice(0)).toMatchObject([{ type: "store-error" }]);
    store.failure = new Error("down");
    expect((await visit(sessions, (session) => session.get("n"), { cookie })).status).toBe(200);
    expect(events).toMatchObject([{ type: "store-error" }]);
  });
});

test("no event holds a token or a value, whatever happens", async () => {
  const { sessions, events, store, memory, clock } = setup<User>({ ...bySubject, lifetime: "1h" });
  const first = await cookieWith(sessions, (session) => session.put("secret", "confidential"));
  const [a, b] = [await sessions.load(tokenOf(first)), await sessions.load(tokenOf(first))];
  a.put("secret", "confidential too");
  b.put("secret", "confidential as well");
  await sessions.commit(a);
  await sessions.commit(b);
  const second = cookieOf(await visit(sessions, (session) => session.put("userId", 1), { cookie: first }));
  const third = await cookieWith(sessions, (session) => session.put("userId", 2));
  await visit(sessions, (session) => session.get("n"), { cookie: `${second}; ${third}` });
  const late = await sessions.load(tokenOf(third));
  await visit(sessions, (session) => session.destroy(), { cookie: third });
  late.put("secret", "confidential");
  await sessions.commit(late);
  store.failure = new Error(`the key ${idOf(second)} is locked`);
  await failure(() => sessions.load(tokenOf(second)));
  store.failure = undefined;
  const { data, expiry } = (await memory.find(idOf(second)))!;
  await memory.commit(idOf(second), { data: data.subarray(1), expiry });
  await sessions.load(tokenOf(second));
  await memory.commit(idOf(second), { data, expiry });
  clock.advance("2h");
  await sessions.load(tokenOf(second));

  const types: SessionEvent["type"][] = [
    "created",
    "conflict",
    "overwrote",
    "renewed",
    "ambiguous",
    "destroyed",
    "gone",
  ];
  types.push("store-error", "undecodable", "expired");
  expect([...new Set(events.map(({ type }) => type))].sort()).toEqual(types.sort());
  const printed = events
    .map(
      (event) =>
        JSON.stringify(event) + ("error" in event ? `${event.error.stack ?? ""}${String(event.error.cause)}` : ""),
    )
    .join("\n");
  for (const secret of ["confidential", ...[first, second, third].map(tokenOf)]) expect(printed).not.toContain(secret);
});

test("a manager publishes under the name of its transport", async () => {
  const { events, name } = setup<User>();
  const other = new SessionManager({ cookie: { name: `${name}-other` } });
  await visit(other, (session) => session.put("a", 1));
  expect(events).toEqual([]);
});

/** Serves one request that writes, and prints its status; `before` runs first. */
const program = (before: string): string => `
  import * as diagnostics from "node:diagnostics_channel";
  import { SessionManager, subscribe } from "./src/index.ts";
  import { loadAndSave } from "./src/adapters/fetch.ts";
  const sessions = new SessionManager();
  const handler = loadAndSave(sessions, (request) => {
    sessions.of(request).put("a", 1);
    return new Response("ok");
  });
  ${before}
  const response = await handler(new Request("http://localhost/"));
  console.log(response.status, response.headers.getSetCookie().length);
  await new Promise((resolve) => setTimeout(resolve));
  console.log("still here");
`;

// Starting a process takes a while where much else runs.
const alone = { timeout: 60_000 };

describe("a subscriber that throws", alone, () => {
  const throwing = '("scs-session", () => { throw new Error("subscriber"); });';

  test("on the bare channel breaks no request: Node reports it as an uncaught exception", async () => {
    const catching = 'process.on("uncaughtException", (error) => console.log("caught", error.message));';
    const { code, stdout } = await runAlone(program(`${catching} diagnostics.subscribe${throwing}`));
    expect([code, stdout.split("\n").sort()]).toEqual([0, ["", "200 1", "caught subscriber", "still here"]]);
  });

  test("is contained by `subscribe`: the request is served, and the process warned", async () => {
    const { code, stdout, stderr } = await runAlone(program('subscribe(() => { throw new Error("confidential"); });'));
    expect(stderr).toContain("[SCS_SUBSCRIBER]");
    expect(stderr).not.toContain("confidential");
    expect([code, stdout]).toEqual([0, "200 1\nstill here\n"]);
  });
});

describe("warnings, once for each process", alone, () => {
  const warnings = (stderr: string): string[] => [...stderr.matchAll(/\[(SCS_\w+)\]/g)].map(([, code]) => code!);
  const imports = `
    import { MemoryStore, SessionManager } from "./src/index.ts";
    import { loadAndSave } from "./src/adapters/fetch.ts";
    const serve = (sessions, url) =>
      loadAndSave(sessions, (request) => (sessions.of(request).put("a", 1), new Response("ok")))(new Request(url));
  `;
  const warned = async (code: string, env: Record<string, string> = {}): Promise<string[]> => {
    const result = await runAlone(imports + code, env);
    expect(result).toMatchObject({ code: 0, stdout: "done\n" });
    return warnings(result.stderr);
  };

  test("the memory store in production, unless it was chosen", async () => {
    const twice = 'new SessionManager(); new SessionManager({ cookie: { name: "b" } }); console.log("done");';
    const chosen = 'new SessionManager({ store: new MemoryStore() }); console.log("done");';
    const production = { NODE_ENV: "production" };
    expect(
      await Promise.all([
        warned(twice, production),
        warned(chosen, production),
        warned(twice, { NODE_ENV: "development" }),
      ]),
    ).toEqual([["SCS_MEMORY_STORE"], [], []]);
  });

  test("a Secure cookie on plain HTTP, but not over HTTPS, behind a proxy that says so, or with secure auto", async () => {
    const visits = (secure: string, url: string): string => `
      const sessions = new SessionManager({ cookie: { secure: ${secure} } });
      for (let i = 0; i < 3; i++) await serve(sessions, "${url}");
      console.log("done");
    `;
    expect(
      await Promise.all([
        warned(visits("true", "http://localhost/")),
        warned(visits("true", "https://localhost/")),
        warned(visits('"auto"', "http://localhost/")),
        warned(visits("false", "http://localhost/")),
      ]),
    ).toEqual([["SCS_SECURE_COOKIE"], [], [], []]);
  });

  test("an adapter that is mounted twice, but not one of two managers", async () => {
    const mounted = (inner: string): string => `
      const outer = new SessionManager();
      const inner = ${inner};
      const handler = loadAndSave(outer, loadAndSave(inner, () => new Response("ok")));
      for (let i = 0; i < 3; i++) await handler(new Request("http://localhost/"));
      console.log("done");
    `;
    expect(
      await Promise.all([warned(mounted("outer")), warned(mounted('new SessionManager({ cookie: { name: "b" } })'))]),
    ).toEqual([["SCS_MOUNTED_TWICE"], []]);
  });

  // commit() without a request (a job, a socket, signIn of scs-session/testing) knows of no connection, and is warned of plain HTTP.
  test("nothing, where a session is committed without a request", async () => {
    const code = `
      const sessions = new SessionManager({ cookie: { secure: true } });
      const session = await sessions.load();
      session.put("a", 1);
      await sessions.commit(session);
      console.log("done");
    `;
    expect(await warned(code)).toEqual([]);
  });
});
