// What the Redis store leaves in Redis: keys shared with SCS, times to live, an index that cleans itself; and what it asks.
import { inspect } from "node:util";
import { Redis } from "ioredis";
import { SessionManager, subscribe, type SessionEvent, type SessionToStore } from "scs-session";
import { RedisStore, type RedisClient } from "scs-session/redis";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { startRedis } from "../servers/redis.ts";
import { addressOf } from "../servers/shared.ts";
import { newPrefix } from "./names.ts";

const url = await addressOf("redis");
const redis = url === undefined ? undefined : new Redis(url);
afterAll(() => redis?.disconnect());

const bytes = (text: string): Buffer => Buffer.from(text);
const hour = 3_600_000;
const session = (text: string, subject?: string, ms = hour, deadlineMs = ms) => ({
  data: bytes(text),
  expiry: new Date(Date.now() + ms),
  deadline: new Date(Date.now() + deadlineMs),
  subject,
});
async function tokensOf(rows: AsyncIterable<[string, unknown]>): Promise<string[]> {
  const tokens: string[] = [];
  for await (const [token] of rows) tokens.push(token);
  return tokens.sort();
}

/** A store with a prefix of its own, and a list of the commands that it sends. */
function setup(client: Redis) {
  const prefix = newPrefix();
  const sent: string[] = [];
  const counted: RedisClient = {
    sendCommand([name, ...parameters]) {
      sent.push(String(name));
      return client.callBuffer(String(name), ...parameters);
    },
  };
  return {
    client,
    prefix,
    store: new RedisStore(counted, { prefix }),
    sent,
    index: `subject:${prefix.length}:${prefix}1`,
  };
}

/** A store that believes to be on a cluster; `before` is called with each command, and may throw or wait. */
function asCluster(client: Redis, prefix: string, before: (command: string) => Promise<void> | void): RedisStore {
  const methods = { options: {}, nodes: () => [client], callBuffer: () => undefined };
  const cluster = new Proxy(methods as unknown as Redis, {
    get(target, name) {
      if (name in target) return target[name as keyof Redis];
      return async (...parameters: never[]): Promise<unknown> => {
        const script = name === "evalshaBuffer" && parameters.length === 5 ? "enter" : String(name);
        await before(script);
        return (client[name as "getBuffer"] as (...all: never[]) => Promise<unknown>)(...parameters);
      };
    },
  });
  return new RedisStore(cluster, { prefix });
}

describe.skipIf(redis === undefined)("a Redis store", () => {
  test("keeps the keys of SCS, which both may read and write", async () => {
    const { client, prefix, store } = setup(redis!);
    await store.commit("a", session("from here"));
    expect(await client.get(`${prefix}a`)).toBe("from here");
    expect(await client.pttl(`${prefix}a`)).toBeGreaterThan(hour - 60_000);
    await client.set(`${prefix}a`, "from Go", "PX", hour);
    expect(await store.replace("a", bytes("from here"), session("again"))).toBe("conflict");
    expect(await store.replace("a", bytes("from Go"), session("again"))).toBe("replaced");
  });

  test("leaves no key that never ends, whatever the expiry", async () => {
    const { client, prefix, store } = setup(redis!);
    for (const expiry of [new Date(Date.now() - 1), new Date(1), new Date(0), new Date(-8.64e15)]) {
      await store.commit("a", { data: bytes("one"), expiry });
      expect(await client.exists(`${prefix}a`)).toBe(0);
      await store.commit("a", session("one", "1"));
      await store.replace("a", bytes("one"), { data: bytes("two"), expiry, subject: "1" });
      expect(await client.exists(`${prefix}a`)).toBe(0);
      await store.commit("a", session("one"));
      await store.touch("a", expiry);
      expect(await client.exists(`${prefix}a`)).toBe(0);
    }
    await store.commit("a", { data: bytes("one"), expiry: new Date(8.64e15) });
    expect((await store.find("a"))?.expiry).toEqual(new Date(8.64e15));
    await client.set(`${prefix}a`, "without end");
    expect((await store.find("a"))?.expiry).toEqual(new Date(8.64e15));
  });

  test("one command each", async () => {
    const { store, sent } = setup(redis!);
    await store.commit("warm", session("one", "1"));
    await store.replace("warm", bytes("one"), session("two", "1"));
    await store.find("warm");
    sent.length = 0;
    await store.commit("a", session("one"));
    await store.find("a");
    await store.find("a", { signal: new AbortController().signal, expiry: false });
    await store.replace("a", bytes("one"), session("two", "1"));
    await store.touch("a", new Date(Date.now() + hour));
    await store.replace("a", bytes("two"), undefined);
    await store.commit("b", session("one", "1"));
    await store.delete("b");
    await store.deleteExpired();
    expect(sent).toEqual(["SET", "EVALSHA", "GET", "EVALSHA", "PEXPIREAT", "EVALSHA", "EVALSHA", "DEL", "EXISTS"]);
  });

  test("the expiry is asked for only by managers with an idle timeout", async () => {
    for (const [idleTimeout, command] of [
      [undefined, "GET"],
      ["20m", "EVALSHA"],
    ] as const) {
      const { store, sent, prefix } = setup(redis!);
      const sessions = new SessionManager<{ n: number }>({
        store,
        idleTimeout,
        cookie: { name: prefix.replaceAll(":", "-") },
      });
      const first = await sessions.load();
      first.put("n", 1);
      const { token } = await sessions.commit(first);
      await store.find("warm");
      sent.length = 0;
      expect((await sessions.load(token)).get("n")).toBe(1);
      expect(sent).toEqual([command]);
      await sessions.close();
    }
  });

  test("a server that has forgotten the scripts is given them again", async () => {
    const { client, store, sent } = setup(redis!);
    await store.commit("a", session("one", "1"));
    await client.script("FLUSH");
    sent.length = 0;
    expect(await store.replace("a", bytes("one"), session("two", "1"))).toBe("replaced");
    expect((await store.find("a"))?.data).toEqual(bytes("two"));
    expect(sent.filter((command) => command === "EVAL").length).toBeLessThanOrEqual(2);
  });

  test("a server whose memory is full refuses sessions with and without a subject, and changes of both", async () => {
    const server = await startRedis({}, ["--maxmemory-policy", "noeviction"]);
    const client = new Redis(server.url);
    onTestFinished(async () => {
      client.disconnect();
      await server.stop();
    });
    for (const store of [new RedisStore(client), asCluster(client, "cluster:", () => undefined)]) {
      await store.commit("a", session("one", "1"));
      await client.config("SET", "maxmemory", "1");
      await expect(store.commit("b", session("one"))).rejects.toThrow("OOM");
      await expect(store.commit("b", session("one", "1"))).rejects.toThrow("OOM");
      await expect(store.replace("a", bytes("one"), session("two", "1"))).rejects.toThrow("OOM");
      await client.config("SET", "maxmemory", "0");
      expect((await store.find("a"))?.data).toEqual(bytes("one"));
      expect(await store.find("b")).toBeUndefined();
    }
  });

  test("a call whose signal is aborted sends nothing, and nothing more once it is", async () => {
    const { client, prefix, store, sent } = setup(redis!);
    const signal = AbortSignal.abort("not even an Error");
    const calls = [
      store.find("a", { signal }),
      store.commit("a", session("one"), { signal }),
      store.commit("a", session("one", "1"), { signal }),
      store.delete("a", { signal }),
      store.replace("a", bytes("one"), undefined, { signal }),
      store.touch("a", new Date(Date.now() + hour), { signal }),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "store-unavailable" });
    expect(sent).toEqual([]);

    const controller = new AbortController();
    const entering = asCluster(client, prefix, () => controller.abort());
    const entered = entering.commit("a", session("one", "1"), { signal: controller.signal });
    await expect(entered).rejects.toMatchObject({ code: "store-unavailable" });
    expect(await store.find("a")).toBeUndefined();
  });

  test("a key of another type is no session, and a fault that is named where one was found there before", async () => {
    const { client, prefix, store } = setup(redis!);
    await store.commit("b", session("two", "1"));
    await client.lpush(`${prefix}a`, "x");
    await client.pexpire(`${prefix}a`, hour);
    const nothing = { data: bytes(""), expiry: new Date(8.64e15) };
    expect(await store.find("a")).toEqual(nothing);
    expect(await store.find("a", { signal: new AbortController().signal, expiry: false })).toEqual(nothing);
    await expect(store.replace("a", bytes(""), session("y"))).rejects.toThrow(
      "The session store failed to run EVALSHA on Redis (WRONGTYPE).",
    );
    expect(await tokensOf(store.all())).toEqual(["b"]);
    await store.commit("a", session("one"));
    expect((await store.find("a"))?.data).toEqual(bytes("one"));
  });

  test("an index of another type is a fault that is named, and nothing is written", async () => {
    const { client, store, index } = setup(redis!);
    await client.set(index, "foreign", "PX", hour);
    await expect(store.commit("a", session("one", "1"))).rejects.toThrow("WRONGTYPE");
    expect(await store.find("a")).toBeUndefined();
    await expect(tokensOf(store.findBySubject("1"))).rejects.toThrow("WRONGTYPE");
  });

  test("prefix and subject are told apart in the key of an index", async () => {
    const { client, prefix } = setup(redis!);
    const [users, admins] = [prefix, `${prefix}admin:`].map((each) => new RedisStore(client, { prefix: each }));
    await users!.commit("user", session("one", "admin:1"));
    await admins!.commit("admin", session("one", "1"));
    expect(await tokensOf(users!.findBySubject("admin:1"))).toEqual(["user"]);
    expect(await tokensOf(admins!.findBySubject("1"))).toEqual(["admin"]);
    expect(await client.zrange(`subject:${prefix.length}:${prefix}admin:1`, "0", "-1")).toEqual(["user"]);
  });

  test("a prefix is not a pattern, and neither index nor foreign keys are sessions", async () => {
    const { client, prefix } = setup(redis!);
    const store = new RedisStore(client, { prefix: `${prefix}*[a]?\\` });
    await store.commit("a", session("one", "1"));
    await client.set(`${prefix}xxa-foreign`, "x", "PX", hour);
    await client.lpush(`${prefix}*[a]?\\list`, "x");
    await client.pexpire(`${prefix}*[a]?\\list`, hour);
    expect(await tokensOf(store.all())).toEqual(["a"]);
    expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
  });
});

describe.skipIf(redis === undefined)("the index by subject", () => {
  test("lives as long as the session that may live longest, and no longer", async () => {
    const { client, store, index } = setup(redis!);
    const longest = session("two", "1", hour, 9 * hour);
    await store.commit("a", session("one", "1"));
    await store.commit("b", longest);
    await store.commit("c", session("three", "1", hour, 2 * hour));
    expect(await client.pexpiretime(index)).toBe(longest.deadline.getTime());
  });

  test("forgets with each login what has ended", async () => {
    const { client, store, index } = setup(redis!);
    await store.commit("a", session("one", "1"));
    await client.zadd(index, String(Date.now() - 1_000), "long-gone");
    await store.commit("b", session("two", "1"));
    expect((await client.zrange(index, "0", "-1")).sort()).toEqual(["a", "b"]);
  });

  test("forgets a minute later what a reader has found missing", async () => {
    const { client, store, index } = setup(redis!);
    await store.commit("a", session("one", "1"));
    await store.commit("b", session("two", "1"));
    await store.delete("b");
    expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
    expect(Number(await client.zscore(index, "b"))).toBeLessThan(0);
    expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
    expect(await client.zcard(index)).toBe(2);
    await client.zadd(index, String(62_000 - Date.now()), "b");
    expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
    expect(await client.zrange(index, "0", "-1")).toEqual(["a"]);
  });

  test("goes with its last session", async () => {
    const { client, store, index } = setup(redis!);
    await store.commit("a", session("one", "1"));
    await store.delete("a");
    await client.zadd(index, String(62_000 - Date.now()), "a");
    expect(await tokensOf(store.findBySubject("1"))).toEqual([]);
    expect(await client.exists(index)).toBe(0);
  });

  test.each<[what: string, next: SessionToStore | undefined]>([
    ["created", undefined],
    ["changed", session("two", "1")],
    ["given an earlier deadline", session("two", "1", 2_000)],
    ["made a marker, which ends before it", session("marker", "1", 500)],
    ["given another user", session("two", "2")],
  ])(
    "on a cluster, holds a session that is %s wherever the process dies, for as long as the session lasts",
    async (_what, next) => {
      const { client, prefix, store, index } = setup(redis!);
      let points = 0;
      for (let survives = 0; ; survives++) {
        let commands = 0;
        const crashing = asCluster(client, prefix, () => {
          if (commands++ === survives) throw new Error("the process died");
        });
        const token = `token-${survives}`;
        if (next !== undefined) await store.commit(token, session("one", "1"));
        const written =
          next === undefined
            ? crashing.commit(token, session("one", "1"))
            : crashing.replace(token, bytes("one"), next);
        const died = await written.then(
          () => false,
          () => true,
        );
        if (!died) break;
        points++;
        if ((await store.find(token)) === undefined) continue;
        expect(Number(await client.zscore(index, token))).toBeGreaterThan(Date.now() + hour - 60_000);
      }
      expect(points).toBeGreaterThanOrEqual(2);
    },
  );

  test("is whole again with the next write of a session, where the server has lost it", async () => {
    const { client, prefix, store, index } = setup(redis!);
    for (const each of [store, asCluster(client, prefix, () => undefined)]) {
      await store.commit("a", session("one", "1"));
      await client.del(index);
      expect(await tokensOf(store.findBySubject("1"))).toEqual([]);
      expect(await each.replace("a", bytes("one"), session("two", "1"))).toBe("replaced");
      expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
    }
  });

  test("on a cluster, keeps a session that is stored after a reader has missed it", async () => {
    const { client, prefix, store } = setup(redis!);
    let write: () => void = () => undefined;
    const written = new Promise<void>((resolve) => (write = resolve));
    let enteredAndWaiting: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => (enteredAndWaiting = resolve));
    const slow = asCluster(client, prefix, async (command) => {
      if (command !== "setBuffer") return;
      enteredAndWaiting();
      await written;
    });
    const committed = slow.commit("a", session("one", "1"));
    await entered;
    expect(await tokensOf(store.findBySubject("1"))).toEqual([]);
    expect(await tokensOf(store.findBySubject("1"))).toEqual([]);
    write();
    await committed;
    expect(await tokensOf(store.findBySubject("1"))).toEqual(["a"]);
  });
});

test("clients of no known shape are refused, with a list of those that it takes", () => {
  for (const client of [undefined, null, {}, "redis://localhost", { send: () => undefined }]) {
    expect(() => new RedisStore(client as never)).toThrow(
      "RedisStore takes a client, pool, Sentinel or Cluster of redis (node-redis), ioredis, iovalkey, or an object { sendCommand(command, { signal }) }",
    );
  }
});

test("clients that change keys or read from replicas are refused, with the remedy", () => {
  const client = (options: object) => ({ options, callBuffer: async () => null });
  expect(() => new RedisStore(client({ keyPrefix: "app:" }))).toThrow("use the option prefix of RedisStore instead");
  expect(() => new RedisStore(client({ scaleReads: "slave" }))).toThrow("sessions are read from masters");
});

test("a client of one's own may answer what only has `then`, as query builders do, or at once", async () => {
  const thenable = { then: (use: (answer: Buffer) => void) => use(bytes("one")) };
  for (const answer of [thenable, bytes("one")]) {
    const store = new RedisStore({ sendCommand: () => answer as never });
    const signal = new AbortController().signal;
    expect((await store.find("a", { signal, expiry: false }))?.data).toEqual(bytes("one"));
  }
});

test("a client that answers text is told so, before it spoils data", async () => {
  const store = new RedisStore({ sendCommand: async () => ["text", 5] });
  await expect(store.find("a")).rejects.toThrow("The client of Redis answers text; RedisStore needs bytes.");
});

test.skipIf(redis === undefined)("errors of Redis tell neither token nor data", async () => {
  const { client, prefix } = setup(redis!);
  const failing = {
    options: {},
    callBuffer: () => undefined,
    setBuffer: () => client.callBuffer("SET", "do-not-show"),
    getBuffer: () => client.callBuffer("UNKNOWN", "do-not-show"), // which repeats it
  };
  const events: SessionEvent[] = [];
  onTestFinished(subscribe((event) => events.push(event)));
  const store = new RedisStore(failing as never, { prefix });
  const sessions = new SessionManager<{ secret: string }>({ store, cookie: { name: "errors-of-redis" } });
  const draft = await sessions.load();
  draft.put("secret", "do-not-show");
  const error: unknown = await sessions.commit(draft).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "store-unavailable", status: 503, cause: { name: "ReplyError" } });
  expect(error).toMatchObject({ message: "The session store failed to run SET on Redis (ERR)." });
  const signal = new AbortController().signal;
  const direct: unknown = await store.find("do-not-show", { signal, expiry: false }).catch((reason: unknown) => reason);
  expect(direct).toMatchObject({ message: "The session store failed to run GET on Redis (ERR)." });
  expect(inspect([error, direct, events], { depth: 10, showHidden: true })).not.toContain("do-not-show");
});
