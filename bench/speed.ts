/** Measures contenders beside each other: in each round each of them once, so that what disturbs one disturbs all. */

import { forge, login } from "./client.ts";
import { labelOf, type Contender } from "./contenders.ts";
import { load, type Load } from "./load.ts";
import { start, type Running, type Setup } from "./process.ts";
import type { Progress } from "./progress.ts";
import { applies, type Scenario } from "./scenarios.ts";

/** How many requests a server gets before it is measured, if there is time: its code is compiled meanwhile. */
const warmUp = 10_000;

/** How long a round may take that is so many requests long. */
const patience = 30;

/** One round of one contender. */
export interface Round {
  readonly requestsPerSecond: number;
  /** Microseconds of the server's processor time per request. */
  readonly cpu: number;
  readonly p50: number;
  readonly p99: number;
  /** Bytes. */
  readonly peak: number;
}

export interface Speed extends Contender {
  readonly scenario: string;
  readonly rounds: readonly Round[];
  readonly failures: number;
  readonly failure: string | undefined;
}

export interface SpeedOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly setup: Omit<Setup, "variant">;
  readonly progress: Progress;
}

/** Who is measured in what, and what was found so far. */
export interface Cell {
  readonly contender: Contender;
  readonly scenario: Scenario;
  readonly server: Running;
  readonly warming: Load;
  /** One for each round. */
  readonly loads: readonly Load[];
  readonly rounds: Round[];
  failures: number;
  failure: string | undefined;
}

/** In the order of the contenders; undefined for those that are not there. */
export type Servers = ReadonlyMap<Contender, Running | undefined>;

/** Contenders of one framework, in scenarios of one variant: their servers run together. */
export async function measureSpeed(
  contenders: readonly Contender[],
  scenarios: readonly Scenario[],
  options: SpeedOptions,
): Promise<Speed[]> {
  const [variant] = new Set(scenarios.map((scenario) => scenario.variant));
  if (variant === undefined) return [];
  return withServers(contenders, { ...options.setup, variant }, async (servers) => {
    const results: Speed[] = [];
    for (const scenario of scenarios) {
      results.push(...(await measureInTurns(await cellsOf(servers, scenario, options), options)));
    }
    return results;
  });
}

/** Runs the servers of contenders while something is measured. */
export async function withServers<T>(
  contenders: readonly Contender[],
  setup: Setup,
  work: (servers: Servers) => Promise<T>,
): Promise<T> {
  const servers = new Map<Contender, Running | undefined>(contenders.map((each) => [each, undefined]));
  try {
    const starting = contenders.map(async (contender) => {
      const server = await start(contender, setup);
      if (typeof server !== "string") servers.set(contender, server);
    });
    await Promise.all(starting);
    return await work(servers);
  } finally {
    await Promise.all([...servers.values()].map(async (server) => server?.stop()));
  }
}

/** The contenders to which a scenario applies, with their sessions. */
export async function cellsOf(
  servers: Servers,
  scenario: Scenario,
  { rounds, seconds }: Pick<SpeedOptions, "rounds" | "seconds">,
): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const [contender, server] of servers) {
    if (server === undefined || !applies(contender, scenario)) continue;
    const cookies = await cookiesFor(contender, server, scenario);
    const warming: Load = { port: server.port, paths: scenario.paths, cookies, seconds };
    const loads = Array.from({ length: rounds }, (_, round) => loadOf(warming, scenario, round, rounds));
    cells.push({ contender, scenario, server, warming, loads, rounds: [], failures: 0, failure: undefined });
  }
  return cells;
}

/** All that is to be compared: in each round each cell once. */
export async function measureInTurns(
  cells: readonly Cell[],
  { rounds, seconds, progress }: SpeedOptions,
): Promise<Speed[]> {
  for (let round = -1; round < rounds; round++) {
    // There and back, so that nobody always follows the same one.
    for (const cell of round % 2 === 0 ? cells : cells.toReversed()) {
      progress.step(`${cell.scenario.name}, ${labelOf(cell.contender)}`);
      if (round < 0) await load({ ...cell.warming, total: warmUp, seconds: 4 * seconds });
      else await measure(cell, round, seconds);
    }
  }
  return cells.map(({ contender, scenario, rounds, failures, failure }) => ({
    ...contender,
    scenario: scenario.name,
    rounds,
    failures,
    failure,
  }));
}

async function cookiesFor(
  contender: Contender,
  { port }: Running,
  { sessions, kilobytes = 0, forged }: Scenario,
): Promise<readonly string[]> {
  if (sessions === 0) return [""];
  const cookies = await login(contender, port, { sessions, kilobytes });
  return forged === undefined ? cookies : forge(cookies[0] ?? "", 1_000);
}

/** Forged cookies are made for each round: the server has seen none of them. */
function loadOf(warming: Load, { forged }: Scenario, round: number, rounds: number): Load {
  if (forged === undefined) return warming;
  const total = Math.floor(((round + 1) * forged) / rounds) - Math.floor((round * forged) / rounds);
  return { ...warming, cookies: forge(warming.cookies[0] ?? "", total), total, seconds: patience };
}

async function measure(cell: Cell, round: number, seconds: number): Promise<void> {
  const { server, warming } = cell;
  await load({ ...warming, seconds: seconds / 2 }); // V8 discards compiled code that has not run for a while
  const before = await server.usage();
  const answers = await load(cell.loads[round] ?? warming);
  const after = await server.usage();
  cell.failures += answers.failures;
  cell.failure ??= answers.failure;
  cell.rounds.push({
    requestsPerSecond: answers.requests / answers.seconds,
    cpu: (after.cpu - before.cpu) / answers.requests,
    p50: answers.p50,
    p99: answers.p99,
    peak: after.peak,
  });
}
