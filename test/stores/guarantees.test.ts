// The guarantees, with two processes on one store: what the memory store cannot show.
import { SessionManager } from "scs-session";
import { TestClock } from "scs-session/testing";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { waitUntil } from "../servers/server.ts";
import { allBackends, isRedis } from "./all-backends.ts";
import { open, type OpenStore } from "./backends.ts";
import { Site } from "./site.ts";
import { fill } from "./strangers.ts";

describe.each(await allBackends())("two processes on $on", { timeout: 60_000 }, (backend) => {
  let here: OpenStore;
  let one: Site;
  let two: Site;
  beforeAll(async () => {
    here = await open(backend);
    await here.store.migrate?.();
    [one, two] = await Promise.all([Site.start(backend, { idleTimeout: "20m" }), Site.start(backend)]);
  }, 60_000);
  afterAll(async () => {
    const codes = await Promise.all([one.close(), two.close()]);
    await here.close();
    expect([codes, one.complaints, two.complaints]).toEqual([[0, 0], "", ""]);
  }, 60_000);

  let visitors = 0;
  /** A visitor with a session, and logged in as a user that nobody else is. */
  const logIn = async (site = one) => {
    const user = `user-${++visitors}`;
    const { token = "" } = await site.visit(`login?user=${user}`);
    return { user, token };
  };
  /** Begins a request that waits in its handler; answers a function that lets it go on, and awaits its response. */
  const slow = async (site: Site, action: string, token: string) => {
    const response = site.visit(`slow/${action}`, token);
    await waitUntil("the handler waits", async () => (await site.ask<number>("waiting")) > 0);
    return async () => {
      await site.ask("go");
      return response;
    };
  };

  test("G1: of 20 parallel requests that put a key each, 20 keys survive", async () => {
    const { token } = await logIn();
    const sites = [one, two];
    await Promise.all(Array.from({ length: 20 }, (_, key) => sites[key % 2]!.visit(`put?key=${key}`, token)));
    const { keys = [] } = await one.visit("read", token);
    expect(keys.filter((key) => key.startsWith("key-"))).toHaveLength(20);
  });

  test("G1: 1,000 increments by update are 1,000", async () => {
    const { token } = await logIn();
    let left = 1_000;
    const visitor = async (site: Site): Promise<void> => {
      while (left-- > 0) expect((await site.visit("increment", token)).status).toBe(200);
    };
    await Promise.all(Array.from({ length: 20 }, (_, each) => visitor(each % 2 === 0 ? one : two)));
    expect((await two.visit("read", token)).count).toBe(1_000);
  });

  test.each(["read", "put?key=late", "renew"])(
    "G2: a slow %s does not bring a session back that another process has ended meanwhile",
    async (action) => {
      const { token } = await logIn();
      const goOn = await slow(one, action, token);
      expect((await two.visit("logout", token)).token).toBe("");
      const late = await goOn();
      for (const each of [token, late.token ?? token]) {
        for (const site of [one, two]) expect((await site.visit("read", each)).userId).toBeUndefined();
      }
    },
  );

  test("G2: a logout ends a session that another process has renewed meanwhile", async () => {
    const { token } = await logIn();
    const goOn = await slow(two, "logout", token);
    const renewed = await one.visit("renew", token);
    expect(renewed.userId).toBeDefined();
    await goOn();
    for (const each of [token, renewed.token]) expect((await one.visit("read", each)).userId).toBeUndefined();
  });

  test("G2: a double click on login ends logged in, on whichever process each click lands", async () => {
    const { token = "" } = await one.visit("put?key=before");
    const clicks = [await slow(one, "login?user=twice", token), await slow(two, "login?user=twice", token)];
    const answers = [await clicks[0]!(), await clicks[1]!()];
    const kept = answers.map(({ token: newer }) => newer).findLast((newer) => newer !== undefined);
    expect((await one.visit("read", kept)).userId).toBe("twice");
  });

  test("G2: a late request with the token of before a login changes neither cookie nor session", async () => {
    const { token = "" } = await one.visit("put?key=before");
    const goOn = await slow(two, "put?key=late", token);
    const { token: newer = "" } = await one.visit("login?user=early", token);
    expect((await goOn()).token).toBeUndefined();
    const { userId, keys } = await two.visit("read", newer);
    expect([userId, keys]).toEqual(["early", ["key-before", "userId"]]);
  });

  test("G4: no process adopts a token that it does not know, and a login changes it everywhere", async () => {
    const invented = Buffer.alloc(32, 7).toString("base64url");
    for (const site of [one, two]) expect((await site.visit("put?key=a", invented)).token).not.toBe(invented);
    const { token = "" } = await one.visit("put?key=a");
    const { token: newer } = await two.visit("login?user=fixed", token);
    expect(newer).not.toBe(token);
    expect((await one.visit("read", token)).userId).toBeUndefined();
    expect((await one.visit("read", newer)).userId).toBe("fixed");
  });

  test("G9: what one process has put, another gets as it was", async () => {
    const { token } = await one.visit("rich");
    expect((await two.visit("read", token)).isRich).toBe(true);
  });

  test("G10: a dump of the store replays nothing", async () => {
    const { user } = await logIn();
    const stolen: string[] = [];
    for await (const [key, { data }] of here.store.findBySubject!(user)) stolen.push(key, Buffer.from(data).toString());
    expect(stolen).toHaveLength(2);
    const pieces = stolen.flatMap((each) => each.match(/[\w-]{43}/g) ?? []);
    expect(pieces).toContain(stolen[0]);
    for (const token of pieces) expect((await two.visit("read", token)).userId).toBeUndefined();
  });

  test("G11: the sessions of a user are found and ended by every process, also when they are renewed meanwhile", async () => {
    const { user, token } = await logIn(one);
    const { token: second = "" } = await two.visit(`login?user=${user}`);
    const { token: renewed } = await two.visit("renew", second);
    expect(await one.ask<string[]>(`list?user=${user}`)).toHaveLength(2);
    await one.ask(`revoke?user=${user}`);
    for (const each of [token, second, renewed]) expect((await two.visit("read", each)).userId).toBeUndefined();
    expect(await two.ask<string[]>(`list?user=${user}`)).toEqual([]);
  });

  test("G11: what a list and a revoke ask for is proportional to that user's sessions, with 100,000 others present", async () => {
    const { user } = await logIn();
    for (let i = 1; i < 5; i++) await one.visit(`login?user=${user}`);
    const costs = async () => {
      const before = await one.ask<OpenStore["asked"]>("asked");
      expect(await one.ask<string[]>(`list?user=${user}`)).toHaveLength(5);
      const after = await one.ask<OpenStore["asked"]>("asked");
      return { calls: after.calls - before.calls, rows: after.rows - before.rows };
    };
    const alone = await costs();
    await fill(backend, 100_000);
    const among = await costs();
    expect(among).toEqual(alone);
    expect(among.calls).toBe(isRedis(backend) ? 1 + 5 : 1);
    const before = await one.ask<OpenStore["asked"]>("asked");
    await one.ask(`revoke?user=${user}`);
    const after = await one.ask<OpenStore["asked"]>("asked");
    console.log(
      `${backend.on}: a list of 5 sessions cost ${among.calls} calls, ending them ${after.calls - before.calls}`,
    );
    expect(after.calls - before.calls).toBeLessThanOrEqual(30);
  });

  test("G6: a read is one round trip, with an idle timeout at most 1.05 over a window", async () => {
    const clock = new TestClock();
    const read = async (options: { idleTimeout?: "20m" }) => {
      const sessions = new SessionManager<{ n: number }>({
        store: here.store,
        clock,
        sweepInterval: false,
        ...options,
      });
      onTestFinished(() => sessions.close());
      const first = await sessions.load();
      first.put("n", 1);
      const { token } = await sessions.commit(first);
      const before = here.asked.calls;
      const reads = 1_200;
      for (let i = 0; i < reads; i++) {
        clock.advance("1s");
        const session = await sessions.load(token, { touch: true });
        expect(session.get("n")).toBe(1);
        await sessions.commit(session);
      }
      return (here.asked.calls - before) / reads;
    };
    const [plain, idle] = [await read({}), await read({ idleTimeout: "20m" })];
    console.log(`${backend.on}: ${plain} round trips a read, ${idle.toFixed(3)} with an idle timeout`);
    expect(plain).toBe(1);
    expect(idle).toBeGreaterThan(1);
    expect(idle).toBeLessThanOrEqual(1.05);
  });
});
