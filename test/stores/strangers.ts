/** The sessions of many other users, made on the server itself. */

import { Cluster, Redis } from "ioredis";
import Database from "libsql";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import type { Backend } from "./backends.ts";

/** Adds sessions of other users: one for each. They last an hour, or have expired one ago. */
export async function fill({ kind, at, name }: Backend, number: number, expired = false): Promise<void> {
  const [url = ""] = at;
  const sign = expired ? "-" : "+";
  if (kind === "postgres") {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(`INSERT INTO ${name}
      SELECT 'stranger-' || n, 'x', now() ${sign} interval '1 hour', 'stranger-' || n FROM generate_series(1, ${number}) n`);
    await client.query(`VACUUM ANALYZE ${name}`);
    await client.end();
  } else if (kind === "mysql") {
    const client = await createConnection(url);
    const isMariaDB = JSON.stringify(await client.query("SELECT VERSION()")).includes("MariaDB");
    const most = isMariaDB ? "max_recursive_iterations" : "cte_max_recursion_depth";
    await client.query(`SET SESSION ${most} = 10000000`);
    await client.query(`INSERT INTO ${name}
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${number})
      SELECT CONCAT('stranger-', n), 'x', UTC_TIMESTAMP() ${sign} INTERVAL 1 HOUR, CONCAT('stranger-', n) FROM numbers`);
    await client.query(`ANALYZE TABLE ${name}`);
    await client.end();
  } else if (kind === "sqlite") {
    const database = new Database(url);
    database.exec(`INSERT INTO ${name}
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${number})
      SELECT 'stranger-' || n, x'00', julianday('now') ${sign} 1.0 / 24, 'stranger-' || n FROM numbers`);
    database.close();
  } else {
    const client = redisOf(kind, at);
    const expiry = Date.now() + 3_600_000;
    for (let n = 0; n < number; n += 2_000) {
      const writes = Array.from({ length: Math.min(2_000, number - n) }, async (_, i) => {
        const token = `stranger-${n + i}`;
        await client.set(`${name}${token}`, "x", "PXAT", expiry);
        const index = `subject:${name.length}:${name}${token}`;
        await client.zadd(index, String(expiry), token);
        await client.pexpireat(index, expiry);
      });
      await Promise.all(writes);
    }
    client.disconnect();
  }
}

/** A client of its own. */
export function redisOf(kind: "redis" | "cluster" | "sentinel", at: readonly string[]): Redis | Cluster {
  const addresses = at.map((each) => ({ host: "127.0.0.1", port: Number(new URL(each).port) }));
  if (kind === "cluster") return new Cluster(addresses);
  return kind === "sentinel" ? new Redis({ name: "main", sentinels: addresses }) : new Redis(at[0]!);
}
