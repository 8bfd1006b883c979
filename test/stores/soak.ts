/** Runs a manager on a store for 24 hours of a test clock, and says what is left of it in memory, timers and connections. */

import { SessionManager } from "scs-session";
import { TestClock } from "scs-session/testing";
import { open, type Backend } from "./backends.ts";

const backend = JSON.parse(process.argv[2] ?? "") as Backend;
const { store, close, asked } = await open(backend);
await store.migrate?.();
const clock = new TestClock();
const sessions = new SessionManager<{ userId: number; n: number; at: Date }>({
  store,
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
async function minute(now: number): Promise<void> {
  clock.advance("1m");
  const draft = await sessions.load();
  draft.put("userId", now % 50);
  const { token } = await sessions.commit(draft);
  live.push(token);
  if (live.length > 30) live.shift(); // is left to expire
  const visits = live.slice(-5).map(async (each, which) => {
    const session = await sessions.load(each);
    session.update("n", (n = 0) => n + 1);
    if (which === 1) session.put("at", new Date(clock.now()));
    if (which === 2 && now % 7 === 0) session.renewToken();
    if (which === 3 && now % 11 === 0) session.destroy();
    await sessions.commit(session);
  });
  await Promise.all(visits);
  if (now % 30 === 0) await sessions.revoke({ subject: now % 50 });
}

let early = 0;
for (let now = 1; now <= 24 * 60; now++) {
  await minute(now);
  if (now === 3 * 60) early = await heap();
}
const late = await heap();
await sessions.close();
await close();
await new Promise((resolve) => setTimeout(resolve, 50)); // sockets say goodbye
const left = process.getActiveResourcesInfo().filter((each) => !/^(TTY|Pipe|FSReq|TickObject|Immediate)/.test(each));
console.log(JSON.stringify({ early, late, left, calls: asked.calls }));
