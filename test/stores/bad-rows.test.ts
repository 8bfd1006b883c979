// Rows that are none of ours, on real servers: a visitor begins afresh, nobody else notices, and nothing of them is told.
import { inspect } from "node:util";
import Database from "libsql";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { SessionManager, subscribe, type SessionEvent, type SessionOptions } from "scs-session";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { allBackends, isRedis } from "./all-backends.ts";
import { open, type Backend, type OpenStore } from "./backends.ts";
import { redisOf } from "./strangers.ts";

interface Data {
  readonly userId: number;
  readonly secret: string;
  readonly fresh: boolean;
}

const secret = "do-not-show";
const inAnHour = (): number => Date.now() + 3_600_000;

/** Does something to the row of a session, on the server itself: a command of Redis, or what SQL sets. */
type Spoil = (key: string) => Promise<unknown>;

/** How the rows of a store are spoilt. `data`: those that there are. */
function spoiling({ kind, at, name }: Backend) {
  const [url = ""] = at;
  if (kind === "redis" || kind === "cluster" || kind === "sentinel") {
    const client = redisOf(kind, at);
    onTestFinished(() => client.disconnect());
    const put = async (key: string, command: string, ...parameters: (string | Buffer)[]): Promise<void> => {
      await client.del(name + key);
      await client.call(command, name + key, ...parameters);
      await client.pexpireat(name + key, inAnHour());
    };
    const bytes = (data: Buffer) => (key: string) => put(key, "SET", data);
    const others: Record<string, Spoil> = {
      "a list": (key) => put(key, "RPUSH", secret),
      "a hash": (key) => put(key, "HSET", secret, secret),
      "a set": (key) => put(key, "SADD", secret),
      "a sorted set": (key) => put(key, "ZADD", "1", secret),
      "a stream": (key) => put(key, "XADD", "*", secret, secret),
    };
    return { bytes, others };
  }
  const run = async (text: string): Promise<void> => {
    if (kind === "postgres") {
      const client = new pg.Client(url);
      await client.connect();
      await client.query(text);
      await client.end();
    } else if (kind === "mysql") {
      const client = await createConnection(url);
      await client.query(text);
      await client.end();
    } else {
      const database = new Database(url);
      database.exec(text);
      database.close();
    }
  };
  const set = (column: string, value: string) => (key: string) =>
    run(`UPDATE ${name} SET ${column} = ${value} WHERE token = '${key}'`);
  const literal = (data: Buffer): string =>
    kind === "postgres" ? `'\\x${data.toString("hex")}'` : `x'${data.toString("hex")}'`;
  const bytes = (data: Buffer): Spoil => set("data", literal(data));
  // Only in SQLite may a row hold what its column does not.
  const others: Record<string, Spoil> = {
    "text as data": set("data", `'${secret}'`),
    "a number as data": set("data", "5"),
    "text as expiry": set("expiry", `'${secret}'`),
  };
  return { bytes, others: kind === "sqlite" ? others : {} };
}

/** Everything that is told while a test runs: events, warnings, output. */
function told(): () => string {
  const heard: unknown[] = [];
  const hear = (each: unknown): number => heard.push(each);
  onTestFinished(subscribe(hear));
  process.on("warning", hear);
  onTestFinished(() => void process.off("warning", hear));
  for (const stream of [process.stdout, process.stderr]) {
    const spy = vi.spyOn(stream, "write").mockImplementation((text) => hear(text) > 0);
    onTestFinished(() => spy.mockRestore());
  }
  return () => inspect(heard, { depth: 10, showHidden: true });
}

describe.each(await allBackends())("on $on", { timeout: 60_000 }, (backend) => {
  let here: OpenStore;
  beforeAll(async () => {
    here = await open(backend);
    await here.store.migrate?.();
    return () => here.close();
  });

  const name = `bad-rows-${backend.kind}`;
  let users = 0;
  const setup = (options: SessionOptions<Data> = {}) => {
    const subject = ({ userId }: Partial<Data>) => userId;
    const sessions = new SessionManager<Data>({ store: here.store, cookie: { name }, subject, ...options });
    const events: SessionEvent[] = [];
    onTestFinished(subscribe((event) => event.manager === name && events.push(event)));
    onTestFinished(() => sessions.close());
    /** A visitor's token, and the key of the session. */
    const logIn = async (userId: number) => {
      const session = await sessions.load();
      session.put("userId", userId);
      session.put("secret", secret);
      const { token } = await sessions.commit(session);
      return { token, key: session.id! };
    };
    const list = async (userId: number): Promise<string[]> => {
      const ids: string[] = [];
      for await (const { id } of sessions.list({ subject: userId })) ids.push(id);
      return ids.sort();
    };
    const iterate = async (): Promise<string[]> => {
      const ids: string[] = [];
      for await (const { id, isNew } of sessions.iterate()) if (!isNew) ids.push(id!);
      return ids;
    };
    const revoke = (userId: number) => sessions.revoke({ subject: userId });
    return { sessions, events, logIn, list, iterate, revoke };
  };

  // Redis is asked in another way where the expiry is needed.
  test.each<[how: string, options: SessionOptions<Data>]>([
    ["without", {}],
    ["with", { idleTimeout: "20m" }],
  ])(
    "what is no session is a fresh one and an event, and stops neither lists nor the end of others, %s an idle timeout",
    async (_how, options) => {
      const heard = told();
      const { bytes, others } = spoiling(backend);
      const { sessions, events, logIn, list, iterate, revoke } = setup(options);
      const data = Buffer.from((await here.store.find((await logIn(0)).key))!.data);
      const spoils: Record<string, Spoil> = {
        "half of a session": bytes(data.subarray(0, data.length / 2)),
        "a session without its last byte": bytes(data.subarray(0, -1)),
        "no bytes": bytes(Buffer.of()),
        "what Go encodes": bytes(Buffer.from("2bff81030101", "hex")),
        "another library's session": bytes(Buffer.from(JSON.stringify({ cookie: { secret }, passport: { secret } }))),
        ...others,
      };
      for (const [what, spoil] of Object.entries(spoils)) {
        const user = ++users;
        const [before, spoilt, after] = [await logIn(user), await logIn(user), await logIn(user)];
        await spoil(spoilt.key);
        events.length = 0;

        const fresh = await sessions.load(spoilt.token);
        expect([fresh.isNew, fresh.keys()], what).toEqual([true, []]);
        const type = what === "text as expiry" ? "expired" : "undecodable";
        expect(events, what).toMatchObject([{ type, session: spoilt.key }]);
        fresh.put("fresh", true);
        const { token } = await sessions.commit(fresh);
        expect(token, what).not.toBe(spoilt.token);
        expect((await sessions.load(token)).get("fresh"), what).toBe(true);

        expect(await list(user), what).toEqual([before.key, after.key].sort());
        const all = await iterate();
        expect([before, spoilt, after].map(({ key }) => all.includes(key))).toEqual([true, false, true]);
        await revoke(user);
        expect(await list(user), what).toEqual([]);
        for (const each of [before, after]) expect((await sessions.load(each.token)).isNew, what).toBe(true);
        for (const text of [secret, spoilt.token, token]) expect(heard(), what).not.toContain(text);
      }
    },
  );

  if (!isRedis(backend)) return; // tables have no index apart
  test("an index that is none is a named fault for its user alone, who is not let in where no revoke would find them", async () => {
    const heard = told();
    const { sessions, logIn, list, iterate, revoke } = setup();
    const [user, another] = [++users, ++users];
    const [mine, other] = [await logIn(user), await logIn(another)];
    const client = redisOf(backend.kind as "redis", backend.at);
    onTestFinished(() => client.disconnect());
    await client.set(`subject:${backend.name.length}:${backend.name}${user}`, secret, "PXAT", inAnHour());

    const errors: unknown[] = [];
    const fault = (error: unknown): void => void errors.push(error);
    const draft = await sessions.load();
    draft.put("userId", user);
    await sessions.commit(draft).catch(fault);
    await list(user).catch(fault);
    await revoke(user).catch(fault);
    expect(errors).toHaveLength(3);
    for (const error of errors) {
      expect(error).toMatchObject({ code: "store-unavailable", status: 503 });
      expect(String(error)).toMatch(/^SessionError: The session store failed to run [A-Z]+ on Redis \(WRONGTYPE\)\.$/);
    }
    expect(inspect(errors, { depth: 10, showHidden: true }) + heard()).not.toMatch(secret);

    expect((await iterate()).filter((id) => [mine.key, other.key].includes(id))).toHaveLength(2);
    expect((await sessions.load(mine.token)).get("userId")).toBe(user);
    expect(await list(another)).toEqual([other.key]);
    await revoke(another);
    expect((await sessions.load(other.token)).isNew).toBe(true);
  });
});
