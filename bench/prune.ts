/**
 * Deletes a million expired sessions beside 200 users, by two pruners at once, and tells what that does to the users: their
 * p99 must stay within 1.2 of what it is before and after, and no call may fail.
 * `npm run bench:prune -- postgres mysql sqlite --expired 1000000`
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SessionManager } from "scs-session";
import { startMariaDB } from "../test/servers/mariadb.ts";
import { startPostgres } from "../test/servers/postgres.ts";
import { open, type Backend } from "../test/stores/backends.ts";
import { fill } from "../test/stores/strangers.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { expired: { type: "string", default: "1000000" }, seconds: { type: "string", default: "20" } },
});
const expired = Number(options.expired);
const kinds = positionals.length === 0 ? ["postgres", "mysql", "sqlite"] : positionals;

const users = 200;
/** How much longer the slowest hundredth of the commits may take meanwhile. */
const limit = 1.2;

type Sessions = SessionManager<{ userId: number; n: number }>;

/** Users who log in, write, and log out, until told otherwise; `taken` answers how long each commit took since it was asked. */
function visit(managers: readonly Sessions[]): { taken: () => number[]; stop: () => Promise<unknown> } {
  let [durations, isStopped]: [number[], boolean] = [[], false];
  const timed = async (work: () => Promise<unknown>): Promise<void> => {
    const start = performance.now();
    await work();
    durations.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 100 * Math.random())); // users, not loops
  };
  const running = Array.from({ length: users }, async (_, user) => {
    const sessions = managers[user % managers.length]!;
    while (!isStopped) {
      const first = await sessions.load();
      first.put("userId", user % 50);
      let token = "";
      await timed(async () => ({ token } = await sessions.commit(first)));
      for (let i = 0; i < 5; i++) {
        const session = await sessions.load(token, { touch: true });
        session.update("n", (n = 0) => n + 1);
        await timed(() => sessions.commit(session));
      }
      const last = await sessions.load(token);
      if (user % 4 !== 0) last.destroy(); // the others leave theirs to expire
      await timed(() => sessions.commit(last));
    }
  });
  const taken = (): number[] => {
    const sorted = durations.sort((a, b) => a - b);
    durations = [];
    return sorted;
  };
  return { taken, stop: () => ((isStopped = true), Promise.all(running)) };
}

const at = (sorted: readonly number[], part: number): number => sorted[Math.floor(sorted.length * part)] ?? NaN;

async function measure(backend: Backend): Promise<void> {
  const opened = await Promise.all([open(backend), open(backend)]);
  await opened[0].store.migrate?.();
  await fill(backend, expired, true);
  // Some expire beside the pruners: writers and sweep meet at the same place of the index.
  const managers = opened.map(
    ({ store }, n): Sessions =>
      new SessionManager<{ userId: number; n: number }>({
        store,
        cookie: { name: `session-${n}` },
        subject: ({ userId }) => userId,
        idleTimeout: "3s",
        touchInterval: "1s",
        sweepInterval: false,
      }),
  );
  const { taken, stop } = visit(managers);
  const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const calm = async (): Promise<number[]> => {
    await wait(2);
    taken();
    await wait(Number(options.seconds));
    return taken();
  };
  const before = await calm();
  const start = performance.now();
  const counts = await Promise.all(managers.map((sessions) => sessions.prune()));
  const seconds = (performance.now() - start) / 1_000;
  const during = taken();
  const after = await calm();
  await stop();
  for (const { close } of opened) await close();
  const ratio = at(during, 0.99) / Math.max(at(before, 0.99), at(after, 0.99));
  const shown = (part: number): string =>
    [before, during, after].map((sorted) => at(sorted, part).toFixed(1)).join(" -> ");
  console.log(
    `${backend.kind}: ${counts.join(" + ")} deleted in ${seconds.toFixed(1)} s; commits before, meanwhile and after: ` +
      `p50 ${shown(0.5)} ms, p99 ${shown(0.99)} ms (${ratio.toFixed(2)}); ${before.length}, ${during.length}, ${after.length} commits`,
  );
  if (!(ratio <= limit)) {
    console.error(`${backend.kind}: the p99 of commits is beyond ${limit} of what it is without pruning`);
    process.exitCode = 1;
  }
}

for (const kind of kinds) {
  if (kind === "sqlite") {
    const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
    await measure({ kind, at: [join(folder, "sessions.db")], name: "sessions" });
    await rm(folder, { recursive: true });
  } else {
    const server = await (kind === "mysql" ? startMariaDB : startPostgres)({ durable: true });
    await measure({ kind: kind === "mysql" ? "mysql" : "postgres", at: [server.url], name: "sessions" });
    await server.stop();
  }
}
