/** Counts what each contender asks of its store, by a proxy between them: exact, whatever else the machine does. */

import { setTimeout as wait } from "node:timers/promises";
import type { Counter } from "../test/servers/counter.ts";
import { forge, login } from "./client.ts";
import { labelOf, type Contender } from "./contenders.ts";
import { load } from "./load.ts";
import { start, type Variant } from "./process.ts";
import type { Progress } from "./progress.ts";
import { applies, scenarios, type Scenario } from "./scenarios.ts";

/** Per request. */
export interface Count extends Contender {
  readonly scenario: string;
  readonly commands: number;
  /** Both ways. */
  readonly bytes: number;
}

const requests = 20;

/** Not counted: the first may have to make a table, or tell the server a script. */
const warmUp = 4;

export async function count(
  contender: Contender,
  counters: Readonly<Record<"redis" | "postgres", Counter | undefined>>,
  progress: Progress,
): Promise<Count[]> {
  const counter = contender.store === "redis" || contender.store === "postgres" ? counters[contender.store] : undefined;
  if (counter === undefined) return [];
  progress.step(labelOf(contender));
  const results: Count[] = [];
  for (const variant of ["plain", "idle", "signed"] as const) {
    results.push(...(await countVariant(contender, variant, counter, counters)));
  }
  return results;
}

async function countVariant(
  contender: Contender,
  variant: Variant,
  counter: Counter,
  counters: Parameters<typeof count>[1],
): Promise<Count[]> {
  const wanted = scenarios.filter((scenario) => scenario.variant === variant && applies(contender, scenario));
  if (wanted.length === 0) return [];
  const setup = { variant, redis: counters.redis?.url, postgres: counters.postgres?.url };
  const server = await start(contender, setup);
  if (typeof server === "string") return [];
  const results: Count[] = [];
  const measure = async (scenario: string, work: () => Promise<unknown>): Promise<void> => {
    await wait(20); // some do not wait for their writes
    counter.take();
    await work();
    await wait(20);
    const { commands, bytesToStore, bytesFromStore } = counter.take();
    const bytes = (bytesToStore + bytesFromStore) / requests;
    results.push({ ...contender, scenario, commands: commands / requests, bytes });
  };
  try {
    await login(contender, server.port, { sessions: warmUp });
    if (variant === "plain" && contender.role !== "limit") {
      await measure("first write", () => login(contender, server.port, { sessions: requests }));
    }
    for (const scenario of wanted) {
      const cookies = await cookiesFor(contender, server.port, scenario);
      const given = { port: server.port, cookies, connections: 1 };
      await load({ ...given, paths: scenario.paths, total: warmUp });
      await measure(scenario.name, () => load({ ...given, paths: scenario.paths, total: requests }));
    }
  } finally {
    await server.stop();
  }
  return results;
}

async function cookiesFor(
  contender: Contender,
  port: number,
  { sessions, kilobytes = 0, forged }: Scenario,
): Promise<string[]> {
  if (sessions === 0) return [""];
  const cookies = await login(contender, port, { sessions: 1, kilobytes });
  return forged === undefined ? cookies : forge(cookies[0] ?? "", requests);
}
