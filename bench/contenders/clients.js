// The clients of the stores, the same for all contenders.
import pg from "pg";
import { createClient } from "redis";

export async function openRedis(url) {
  const client = createClient({ url });
  client.on("error", () => undefined);
  return client.connect();
}

export function openPostgres(url) {
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => undefined);
  return pool;
}
