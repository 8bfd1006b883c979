/**
 * The benchmark: `npm run bench`. Installs the peers, starts private servers, measures, and writes docs/performance.md, its
 * pictures, and bench/results.json. `npm run bench -- --help` tells the options.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { startCounter } from "../test/servers/counter.ts";
import { startPostgres } from "../test/servers/postgres.ts";
import { startRedis } from "../test/servers/redis.ts";
import { chosen, frameworks, labelOf, untimedLimit, type Contender } from "./contenders.ts";
import { judge, type Correctness } from "./correctness.ts";
import { count, type Count } from "./counts.ts";
import { measureCounts, measureSizes } from "./growth.ts";
import { install } from "./install.ts";
import { measureMemory, memoryContenders, type MemoryUse } from "./memory.ts";
import { readOptions, type Options } from "./options.ts";
import { start, type Variant } from "./process.ts";
import { Progress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { describeMachine, versionsOfPackages, type Results } from "./results.ts";
import { applies, sizes, storedCounts, type Scenario } from "./scenarios.ts";
import { measureSpeed, type Speed } from "./speed.ts";

interface Servers {
  readonly redis: string | undefined;
  readonly postgres: string | undefined;
}

async function run(options: Options): Promise<Results> {
  const progress = new Progress();
  const redis = options.stores.includes("redis") ? await startRedis() : undefined;
  const postgres = options.stores.includes("postgres") ? await startPostgres() : undefined;
  const servers = { redis: redis?.url, postgres: postgres?.url };
  try {
    const { present, absent } = await lookFor(chosen(options), servers, progress);
    const doing = (part: string): readonly Contender[] => (options.parts.includes(part) ? present : []);
    const results = {
      date: new Date().toISOString().slice(0, 10),
      machine: describeMachine(),
      versions: versionsOfPackages(),
      rounds: options.rounds,
      secondsOfRound: options.seconds,
      absent,
      counts: await countAll(doing("counts"), servers, progress),
      correctness: await judgeAll(doing("correctness"), servers, progress),
      speeds: await measureSpeeds(doing("speed"), options, servers, progress),
      sizes: await measureAllSizes(doing("size"), options, servers, progress),
      stored: await measureAllCounts(doing("stored"), options, servers, progress),
      memory: await measureMemories(options, progress),
    };
    const secondsOfRun = Math.round(progress.end());
    progress.note(`The run took ${Math.floor(secondsOfRun / 60)} min ${secondsOfRun % 60} s.`);
    return { ...results, secondsOfRun };
  } finally {
    await redis?.stop();
    await postgres?.stop();
  }
}

/** Starts each of ours once: those whose adapter does not exist (yet) are left out, and named. */
async function lookFor(
  contenders: readonly Contender[],
  servers: Servers,
  progress: Progress,
): Promise<{ present: Contender[]; absent: string[] }> {
  const [present, absent]: [Contender[], string[]] = [[], []];
  progress.part("Who is there", contenders.filter(({ role }) => role === "ours").length);
  for (const contender of contenders) {
    if (contender.role !== "ours") {
      present.push(contender);
      continue;
    }
    progress.step(labelOf(contender));
    const server = await start(contender, { variant: "plain", ...servers });
    if (typeof server === "string") {
      absent.push(`${labelOf(contender)} (${server.replace(/ in .*/, "")})`);
      progress.note(`Left out: ${labelOf(contender)}. ${server}`);
    } else {
      present.push(contender);
      await server.stop();
    }
  }
  return { present, absent };
}

async function countAll(contenders: readonly Contender[], servers: Servers, progress: Progress): Promise<Count[]> {
  const outside = contenders.filter(({ store }) => store === "redis" || store === "postgres");
  if (outside.length === 0) return [];
  progress.part("Commands of the stores", outside.length);
  const counters = {
    redis: servers.redis === undefined ? undefined : await startCounter(servers.redis),
    postgres: servers.postgres === undefined ? undefined : await startCounter(servers.postgres),
  };
  const results: Count[] = [];
  for (const contender of outside) results.push(...(await count(contender, counters, progress)));
  await counters.redis?.stop();
  await counters.postgres?.stop();
  return results;
}

async function judgeAll(
  contenders: readonly Contender[],
  servers: Servers,
  progress: Progress,
): Promise<readonly Correctness[]> {
  const withSessions = contenders.filter(({ role }) => role === "ours" || role === "peer");
  if (withSessions.length === 0) return [];
  progress.part("Correctness", withSessions.length);
  return judge(withSessions, servers, progress);
}

async function measureSpeeds(
  contenders: readonly Contender[],
  { scenarios, rounds, seconds }: Options,
  setup: Servers,
  progress: Progress,
): Promise<Speed[]> {
  const groups = frameworks.flatMap((framework) => {
    const ofFramework = contenders.filter((contender) => contender.framework === framework);
    return (["plain", "idle", "signed"] as const).map((variant: Variant) => ({
      who: ofFramework,
      what: scenarios.filter((scenario) => scenario.variant === variant),
    }));
  });
  const steps = (who: readonly Contender[], what: readonly Scenario[]): number =>
    what.reduce((sum, scenario) => sum + who.filter((contender) => applies(contender, scenario)).length, 0);
  const total = groups.reduce((sum, { who, what }) => sum + steps(who, what), 0);
  if (total > 0) progress.part("Speed", total * (rounds + 1));
  const results: Speed[] = [];
  for (const { who, what } of groups) {
    results.push(...(await measureSpeed(who, what, { rounds, seconds, setup, progress })));
  }
  return results;
}

/** Of those with sessions in Redis: the framework's own share is the same for all of them. */
async function measureAllSizes(
  contenders: readonly Contender[],
  { rounds, seconds }: Options,
  setup: Servers,
  progress: Progress,
): Promise<Speed[]> {
  const inRedis = contenders.filter(({ store, name }) => store === "redis" && name !== untimedLimit);
  if (inRedis.length === 0) return [];
  progress.part("Growth with the size", inRedis.length * sizes.length * (rounds + 1));
  return measureSizes(inRedis, { rounds, seconds, setup, progress });
}

/** Of those on Express, which have every store. */
async function measureAllCounts(
  contenders: readonly Contender[],
  { rounds, seconds }: Options,
  setup: Servers,
  progress: Progress,
): Promise<Speed[]> {
  const onExpress = contenders.filter(
    ({ framework, role, name }) => framework === "express" && role !== "bare" && name !== untimedLimit,
  );
  if (onExpress.length === 0) return [];
  progress.part("Growth with the number of sessions", onExpress.length * storedCounts.length * (rounds + 1));
  return measureCounts(onExpress, { rounds, seconds, setup, progress });
}

async function measureMemories({ parts, peers, stores, sessions }: Options, progress: Progress): Promise<MemoryUse[]> {
  if (!parts.includes("memory") || !stores.includes("memory")) return [];
  const wanted = memoryContenders.filter((name) => name === "scs-session" || peers.includes(name));
  progress.part("Memory", wanted.length);
  const results: MemoryUse[] = [];
  for (const name of wanted) {
    progress.step(name);
    results.push(await measureMemory(name, sessions));
  }
  return results;
}

/** More digits than five say nothing, and take as much room as all the rest. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}

// The servers go when the process exits.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const options = readOptions();
if (options !== undefined) {
  const { out, results: file, render } = options;
  mkdirSync(out, { recursive: true });
  if (!render) {
    install();
    const results = await run(options);
    writeFileSync(file, await format(JSON.stringify(results, rounded), { parser: "json", printWidth: 120 }));
  }
  const template = fileURLToPath(new URL("../docs/performance.md", import.meta.url));
  await writeReport(JSON.parse(readFileSync(file, "utf8")) as Results, out, template);
  console.log(`Written: ${out}/performance.md`);
}
process.exit(); // connections of fetch would keep it for a while
