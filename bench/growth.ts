/** How the cost grows: with what a session holds, and with the number of stored sessions. */

import pg from "pg";
import { createClient } from "redis";
import type { Contender } from "./contenders.ts";
import type { Setup } from "./process.ts";
import { amongMany, sizes, storedCounts } from "./scenarios.ts";
import { measureSpeed, type Speed, type SpeedOptions } from "./speed.ts";

/** The scenario of each result is a size. */
export async function measureSizes(contenders: readonly Contender[], options: SpeedOptions): Promise<Speed[]> {
  return measureSpeed(contenders, sizes, options);
}

/** The scenario of each result is a count. */
export async function measureCounts(contenders: readonly Contender[], options: SpeedOptions): Promise<Speed[]> {
  const results: Speed[] = [];
  for (const stored of storedCounts) {
    const setup = { ...options.setup, stored };
    const prepare = (): Promise<void> => fill(setup, stored);
    const speeds = await measureSpeed(contenders, [amongMany], { ...options, setup, prepare });
    results.push(...speeds.map((speed) => ({ ...speed, scenario: String(stored) })));
  }
  return results;
}

async function fill({ redis, postgres }: Omit<Setup, "variant">, count: number): Promise<void> {
  if (redis !== undefined) await fillRedis(redis, count);
  if (postgres !== undefined) await fillPostgres(postgres, count);
}

/** All contenders share its one dictionary of keys. */
async function fillRedis(url: string, count: number): Promise<void> {
  const client = createClient({ url });
  await client.connect();
  const batch = 10_000;
  const script = `for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    redis.call('SET', 'scs:session:filler-' .. n, ARGV[3], 'EX', 86400) end`;
  for (let n = 0; n < count; n += batch) {
    const last = Math.min(n + batch, count) - 1;
    await client.sendCommand(["EVAL", script, "0", String(n), String(last), "x".repeat(200)]);
  }
  await client.close();
}

/** Each contender has a table of its own. */
async function fillPostgres(url: string, count: number): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  const numbers = `generate_series(1, ${count}) AS n`;
  const token = "'filler-' || md5(n::text)";
  const bytes = "convert_to(repeat('x', 200), 'UTF8')";
  const json = `json_build_object('cookie', '{}'::json, 'data', repeat('x', 200))`;
  const expiry = "now() + interval '1 day'";
  const statements = {
    sessions: `INSERT INTO sessions (token, data, expiry) SELECT ${token}, ${bytes}, ${expiry} FROM ${numbers}`,
    session: `INSERT INTO session (sid, sess, expire) SELECT ${token}, ${json}, ${expiry} FROM ${numbers}`,
    limits: `INSERT INTO limits (token, data, expiry) SELECT ${token}, ${bytes}, ${expiry} FROM ${numbers}`,
  };
  for (const [table, statement] of Object.entries(statements)) {
    const { rows } = await client.query<{ found: string | null }>(`SELECT to_regclass('${table}') AS found`);
    if (rows[0]?.found === null) continue;
    await client.query(`${statement} ON CONFLICT DO NOTHING`);
    await client.query(`ANALYZE ${table}`);
  }
  await client.end();
}
