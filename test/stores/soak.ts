/** Runs a manager on a store for 24 hours of a test clock, and says what is left of it in memory, timers and connections. */

import { SessionManager, type SessionToStore, type Store, type StoredSession } from "scs-session";
import { TestClock } from "scs-session/testing";
import { open, type Backend } from "./backends.ts";

const backend = JSON.parse(process.argv[2] ?? "") as Backend;
const { store, close, asked } = await open(backend);
await store.migrate?.();
const clock = new TestClock();

/** How much faster the day goes by than on the clocks of servers, which sweep by theirs: 24 hours take 10 seconds. */
const speed = 8_640;
const start = { here: clock.now(), there: Date.now() };
const there = (date: Date): Date => new Date(Math.ceil(start.there + (date.getTime() - start.here) / speed));
const here = (date: Date): Date => new Date(start.here + (date.getTime() - start.there) * speed);

let swept = 0;
const sent = <Session extends SessionToStore | undefined>(session: Session): Session =>
  session && { ...session, expiry: there(session.expiry), deadline: session.deadline && there(session.deadline) };
const got = ({ data, expiry }: StoredSession): StoredSession => ({ data, expiry: here(expiry) });
async function* gotAll(rows: AsyncIterable<[string, StoredSession]>): AsyncGenerator<[string, StoredSession]> {
  for await (const [token, session] of rows) yield [token, got(session)];
}
const { replace, touch, all, findBySubject, deleteExpired } = store as Required<Store>;
const hasty: Store = {
  async find(token, options) {
    const found = await store.find(token, options);
    return found && got(found);
  },
  commit: (token, session, options) => store.commit(token, sent(session), options),
  delete: (token, options) => store.delete(token, options),
  replace: (token, expected, next, options) => replace.call(store, token, expected, sent(next), options),
  touch: (token, expiry, options) => touch.call(store, token, there(expiry), options),
  all: () => gotAll(all.call(store)),
  findBySubject: (subject) => gotAll(findBySubject.call(store, subject)),
  async deleteExpired(limit) {
    const deleted = await deleteExpired.call(store, limit);
    swept += deleted;
    return deleted;
  },
};
const sessions = new SessionManager<{ userId: number; n: number; at: Date }>({
  store: hasty,
  clock,
  lifetime: "2h",
  idleTimeout: "20m",
  subject: ({ userId }) => userId,
});

const live: string[] = [];
/** What is reachable: some is freed only by the collection after the one that found it unreachable. */
async function heap(): Promise<number> {
  const sizes: number[] = [];
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    global.gc?.();
    sizes.push(process.memoryUsage().heapUsed);
  }
  return Math.min(...sizes);
}

/** What users do within a minute. */
async function visits(now: number): Promise<void> {
  const draft = await sessions.load();
  draft.put("userId", now % 50);
  const { token } = await sessions.commit(draft);
  live.push(token);
  if (live.length > 30) live.shift(); // is left to expire
  const each = live.slice(-5).map(async (token, which) => {
    const session = await sessions.load(token);
    session.update("n", (n = 0) => n + 1);
    if (which === 1) session.put("at", new Date(clock.now()));
    if (which === 2 && now % 7 === 0) session.renewToken();
    if (which === 3 && now % 11 === 0) session.destroy();
    await sessions.commit(session);
  });
  await Promise.all(each);
  if (now % 30 === 0) await sessions.revoke({ subject: now % 50 });
}

let [early, created] = [0, 0];
const [minute, day] = [60_000, 24 * 60 * 60_000];
for (let time = 0; time <= day - minute; time = clock.now() - start.here) {
  const passed = Math.min(day, (Date.now() - start.there) * speed) - time;
  if (passed < minute) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    continue;
  }
  clock.advance(`${passed}ms`);
  await visits(++created);
  if (early === 0 && time > day / 3) early = await heap();
}
const left = { rows: 0, resources: [] as string[] };
for await (const row of all.call(store)) left.rows += row.length / 2;
const late = await heap();
await sessions.close();
await close();
const resources = (): string[] =>
  process.getActiveResourcesInfo().filter((each) => !/^(TTY|Pipe|FSReq|TickObject|Immediate)/.test(each));
left.resources = resources();
for (let turn = 0; turn < 100 && left.resources.length > 0; turn++) {
  await new Promise((resolve) => setTimeout(resolve, 20)); // sockets say goodbye
  left.resources = resources();
}
console.log(JSON.stringify({ early, late, left, created, swept, calls: asked.calls }));
