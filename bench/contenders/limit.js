// The limit: only the calls of the driver that the work cannot do without. Nothing is parsed, checked or merged.
import { openPostgres, openRedis } from "./clients.js";

const day = 86_400;

/**
 * `cookieOf(at)` answers the header: `session=`, and a key that the client chose. The client of Redis is as it comes, with a time
 * limit for each command, unless `isTimed` is false.
 */
export async function limit(setup, cookieOf, { isTimed = true } = {}) {
  const { redis, postgres } = setup;
  const { read, write } = setup.store === "redis" ? await inRedis(redis, isTimed) : await inPostgres(postgres);
  const keyOf = (at) => cookieOf(at).slice("session=".length);
  return {
    get: (at) => read(keyOf(at)),
    async put(at, key, value) {
      const found = await read(keyOf(at));
      const isNew = found === undefined || found === null || key === "cart";
      await write(keyOf(at), isNew ? JSON.stringify({ user: 123, [key]: value }) : found);
    },
  };
}

async function inRedis(url, isTimed) {
  const opened = await openRedis(url);
  const client = isTimed ? opened : opened.withCommandOptions({ timeout: undefined });
  return {
    read: (key) => client.get(`limit:${key}`),
    write: (key, data) => client.set(`limit:${key}`, data, { expiration: { type: "EX", value: day } }),
  };
}

async function inPostgres(url) {
  const pool = openPostgres(url);
  await pool.query(
    "CREATE TABLE IF NOT EXISTS limits (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ)",
  );
  const text = `INSERT INTO limits VALUES ($1, $2, now() + interval '1 day')
    ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data, expiry = EXCLUDED.expiry`;
  return {
    async read(key) {
      const select = { name: "read", text: "SELECT data FROM limits WHERE token = $1", values: [key] };
      return (await pool.query(select)).rows[0]?.data;
    },
    write: (key, data) => pool.query({ name: "write", text, values: [key, data] }),
  };
}
