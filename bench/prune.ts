/**
 * Deletes a million expired sessions beside 200 writers, by two pruners at once, and tells what that does to the writers.
 * `npm run bench:prune -- postgres mysql sqlite --expired 1000000`
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SessionManager } from "scs-session";
import { startMariaDB } from "../test/servers/mariadb.ts";
import { startPostgres } from "../test/servers/postgres.ts";
import { open, type Backend, type OpenStore } from "../test/stores/backends.ts";
import { fill } from "../test/stores/strangers.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { expired: { type: "string", default: "1000000" }, seconds: { type: "string", default: "20" } },
});
const expired = Number(options.expired);
const kinds = positionals.length === 0 ? ["postgres", "mysql", "sqlite"] : positionals;

const writers = 200;
/** One session that is written all the time would have more dead versions than the table has expired rows. */
const sessionsEach = 50;

/** Runs writers until told otherwise; answers how long each commit took, in milliseconds, since the last time it was asked. */
function write({ store }: OpenStore): { taken: () => number[]; stop: () => Promise<unknown> } {
  let [durations, isStopped]: [number[], boolean] = [[], false];
  const expiry = new Date(Date.now() + 3_600_000);
  const session = (n: number) => ({ data: Buffer.from(`{"n":${n}}`), expiry, subject: "writer" });
  const running = Array.from({ length: writers }, async (_, writer) => {
    const tokens = Array.from({ length: sessionsEach }, (_each, n) => `writer-${writer}-${n}`);
    for (const token of tokens) await store.commit(token, session(0));
    for (let round = 0; !isStopped; round++) {
      for (const token of tokens) {
        const start = performance.now();
        const answer = await store.replace?.(token, session(round).data, session(round + 1));
        if (answer !== "replaced") throw new Error(`A writer was answered ${String(answer)}`);
        durations.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 50)); // 200 users, not 200 loops
      }
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
  const opened = await open(backend);
  const others = await open(backend);
  await opened.store.migrate?.();
  await fill(backend, expired, true);
  const { taken, stop } = write(opened);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  taken();
  await new Promise((resolve) => setTimeout(resolve, Number(options.seconds) * 1_000));
  const before = taken();
  const start = performance.now();
  const prune = ({ store }: OpenStore): Promise<number> => new SessionManager({ store }).prune();
  const counts = await Promise.all([prune(opened), prune(others)]);
  const seconds = (performance.now() - start) / 1_000;
  const during = taken();
  await stop();
  const ratio = at(during, 0.99) / at(before, 0.99);
  console.log(
    `${backend.kind}: ${counts.join(" + ")} deleted in ${seconds.toFixed(1)} s; commits p50 ${at(before, 0.5).toFixed(1)} -> ` +
      `${at(during, 0.5).toFixed(1)} ms, p99 ${at(before, 0.99).toFixed(1)} -> ${at(during, 0.99).toFixed(1)} ms (${ratio.toFixed(2)}), ` +
      `${before.length} and ${during.length} commits`,
  );
  await opened.close();
  await others.close();
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
