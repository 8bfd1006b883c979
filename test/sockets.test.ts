// Sockets between processes: a logout on one closes the socket on the other within a second, polled and pushed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitUntil } from "./servers/server.ts";
import { addressOf } from "./servers/shared.ts";
import { open, type Backend, type OpenStore } from "./stores/backends.ts";
import { newPrefix, newTable } from "./stores/names.ts";
import { Site } from "./stores/site.ts";

const [postgres, redis] = await Promise.all([addressOf("postgres"), addressOf("redis")]);

const folder = mkdtempSync(join(tmpdir(), "scs-session-"));
afterAll(() => rmSync(folder, { recursive: true }));

const servers = [false, true].flatMap((push): (Backend & { readonly way: string })[] => {
  const way = push ? "pushed" : "polled";
  return [
    ...(postgres === undefined ? [] : [{ way, push, kind: "postgres" as const, at: [postgres], name: newTable() }]),
    ...(redis === undefined ? [] : [{ way, push, kind: "redis" as const, at: [redis], name: newPrefix() }]),
  ];
});

/** Any store can be polled. */
const file: (typeof servers)[number] = {
  way: "polled",
  push: false,
  kind: "sqlite",
  at: [join(folder, "sessions.db")],
  name: newTable(),
};

describe.each([file, ...servers])("two processes on $kind, $way", { timeout: 60_000 }, (backend) => {
  let here: OpenStore;
  let one: Site;
  let two: Site;
  beforeAll(async () => {
    here = await open(backend);
    await here.store.migrate?.();
    [one, two] = await Promise.all([Site.start(backend), Site.start(backend, { idleTimeout: "20m" })]);
  }, 60_000);
  afterAll(async () => {
    const codes = await Promise.all([one.close(), two.close()]);
    await here.close();
    expect([codes, one.complaints, two.complaints]).toEqual([[0, 0], "", ""]);
  }, 60_000);

  let users = 0;
  const logIn = async () => {
    const user = `user-${++users}`;
    const { token = "" } = await one.visit(`login?user=${user}`);
    return { user, token };
  };
  const finds = async (): Promise<number> => (await two.ask<OpenStore["asked"]>("asked")).calls;

  /** The milliseconds from now until the reason is told. */
  const since = async (closed: Promise<string>): Promise<{ reason: string; ms: number }> => {
    const start = performance.now();
    return { reason: await closed, ms: performance.now() - start };
  };

  test.each([
    ["logout", "destroyed"],
    ["renew", "renewed"],
    ["login?user=another", "renewed"],
  ])("a %s on one closes the socket on the other within a second", async (action, reason) => {
    const { user, token } = await logIn();
    const socket = await two.connect(token);
    expect(socket.userId).toBe(user);
    await one.visit("put?key=1", token); // closes nothing
    // Past the first look, so that a push is one.
    await wait(600);
    const told = since(socket.closed);
    await one.visit(action, token);
    const { reason: given, ms } = await told;
    expect([given, ms < 1_000], String(ms)).toEqual([reason, true]);
  });

  test("a logout everywhere closes every socket of the user", async () => {
    const { user, token } = await logIn();
    const { token: second = "" } = await two.visit(`login?user=${user}`);
    const open = await Promise.all([two.connect(token), two.connect(second), one.connect(token)]);
    await one.ask(`revoke?user=${user}`);
    expect(await Promise.all(open.map(({ closed }) => closed))).toEqual(["destroyed", "destroyed", "destroyed"]);
  });

  test("a page of another origin, and who has no session, get no socket", async () => {
    const { token } = await logIn();
    await expect(two.connect(token, "http://evil.example")).rejects.toThrow("403");
    await expect(two.connect("x".repeat(43))).rejects.toThrow("401");
  });

  test("sockets of one session share their polls, and none is left when they have gone", async () => {
    const { token } = await logIn();
    const open = await Promise.all(Array.from({ length: 20 }, () => two.connect(token)));
    await wait(1_000);
    const before = await finds();
    await wait(2_000);
    const polls = (await finds()) - before;
    const [least, most] = backend.push === true ? ([0, 1] as const) : ([2, 5] as const);
    expect([polls >= least, polls <= most], String(polls)).toEqual([true, true]);
    for (const socket of open) socket.close();
    await Promise.all(open.map(({ closed }) => closed));
    await wait(100);
    const after = await finds();
    await wait(1_000);
    expect(await finds()).toBe(after);
  });

  if (backend.push !== true) return; // nobody listens
  test("a connection that is lost is made anew, and what was missed is found", async () => {
    const { token } = await logIn();
    const socket = await two.connect(token);
    await wait(600);
    await cutListeners(backend);
    await one.visit("logout", token);
    expect((await since(socket.closed)).ms).toBeLessThan(5_000);

    await waitUntil("it listens again", async () => {
      const { token: next } = await logIn();
      const again = await two.connect(next);
      await wait(600);
      const told = since(again.closed);
      await one.visit("logout", next);
      return (await told).ms < 200;
    });
  });
});

/** Ends the connections by which processes listen. */
async function cutListeners({ kind, at: [url = ""] }: Backend): Promise<void> {
  if (kind === "postgres") {
    const client = new pg.Client(url);
    await client.connect();
    await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'");
    await client.end();
  } else {
    const { createClient } = await import("redis");
    const client = await createClient({ url }).connect();
    await client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"]);
    client.destroy();
  }
}
