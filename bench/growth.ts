/** How the cost grows: with what a session holds, and with the number of stored sessions. */

import pg from "pg";
import { createClient } from "redis";
import type { Contender } from "./contenders.ts";
import type { Setup } from "./process.ts";
import { amongMany, sizes, storedCounts } from "./scenarios.ts";
import {
  cellsOf,
  measureInTurns,
  withServers,
  type Cell,
  type Servers,
  type Speed,
  type SpeedOptions,
} from "./speed.ts";

/**
 * One contender after the other: each is compared with itself, and a server that waits long for its next turn is cold by then.
 * The scenario of each result is a size.
 */
export async function measureSizes(contenders: readonly Contender[], options: SpeedOptions): Promise<Speed[]> {
  const results: Speed[] = [];
  for (const contender of contenders) {
    const measure = async (servers: Servers): Promise<Speed[]> => {
      const cells: Cell[] = [];
      for (const size of sizes) cells.push(...(await cellsOf(servers, size, options)));
      return measureInTurns(cells, options);
    };
    results.push(...(await withServers([contender], { ...options.setup, variant: "plain" }, measure)));
  }
  return results;
}

/** Likewise; the scenario of each result is a count. Each count has servers, and databases, of its own. */
export async function measureCounts(contenders: readonly Contender[], options: SpeedOptions): Promise<Speed[]> {
  const setups: Setup[] = [];
  for (const stored of storedCounts) {
    setups.push({ ...(await databasesFor(stored, options.setup)), variant: "plain", stored });
  }
  const results: Speed[] = [];
  for (const contender of contenders) {
    const cells: Cell[] = [];
    const measureAll = async ([setup, ...more]: readonly Setup[]): Promise<Speed[]> => {
      if (setup === undefined) return measureInTurns(cells, options);
      return withServers([contender], setup, async (servers) => {
        cells.push(...(await cellsOf(servers, { ...amongMany, name: String(setup.stored) }, options)));
        await fill(contender, setup);
        return measureAll(more);
      });
    };
    results.push(...(await measureAll(setups)));
  }
  return results;
}

async function databasesFor(count: number, { redis, postgres }: SpeedOptions["setup"]): Promise<SpeedOptions["setup"]> {
  if (postgres !== undefined) await inPostgres(postgres, (client) => client.query(`CREATE DATABASE with_${count}`));
  return {
    redis: redis && `${redis}/${storedCounts.indexOf(count) + 1}`,
    postgres: postgres?.replace(/[^/]+$/, `with_${count}`),
  };
}

/** Those in memory fill themselves. */
async function fill({ name, store }: Contender, { redis, postgres, stored = 0 }: Setup): Promise<void> {
  if (store === "redis" && redis !== undefined) await fillRedis(redis, stored);
  if (store === "postgres" && postgres !== undefined) await fillPostgres(postgres, name, stored);
}

/** All contenders share its one dictionary of keys. */
async function fillRedis(url: string, count: number): Promise<void> {
  const client = createClient({ url });
  client.on("error", () => undefined); // the command rejects, too
  await client.connect();
  const batch = 10_000;
  const script = `for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    redis.call('SET', 'scs:session:filler-' .. n, ARGV[3], 'EX', 86400) end`;
  try {
    for (let n = 0; n < count; n += batch) {
      const last = Math.min(n + batch, count) - 1;
      await client.sendCommand(["EVAL", script, "0", String(n), String(last), "x".repeat(200)]);
    }
  } finally {
    client.destroy();
  }
}

/** Each contender has a table of its own. */
async function fillPostgres(url: string, name: string, count: number): Promise<void> {
  const numbers = `generate_series(1, ${count}) AS n`;
  const token = "'filler-' || md5(n::text)";
  const bytes = "convert_to(repeat('x', 200), 'UTF8')";
  const json = `json_build_object('cookie', '{}'::json, 'data', repeat('x', 200))`;
  const expiry = "now() + interval '1 day'";
  const statements: Record<string, string> = {
    "scs-session": `INSERT INTO sessions (token, data, expiry) SELECT ${token}, ${bytes}, ${expiry} FROM ${numbers}`,
    "express-session": `INSERT INTO session (sid, sess, expire) SELECT ${token}, ${json}, ${expiry} FROM ${numbers}`,
    limit: `INSERT INTO limits (token, data, expiry) SELECT ${token}, ${bytes}, ${expiry} FROM ${numbers}`,
  };
  const statement = statements[name];
  if (statement === undefined) throw new Error(`It is not known how to fill the table of ${name}`);
  await inPostgres(url, async (client) => {
    await client.query(statement);
    await client.query("VACUUM ANALYZE"); // or the server would do it while it is measured
    await client.query("CHECKPOINT");
  });
}

async function inPostgres(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(url);
  client.on("error", () => undefined); // the query rejects, too
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
