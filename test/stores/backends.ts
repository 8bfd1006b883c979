/** The stores as processes of a site use them: each with one client, on a server that a test names. */

import { Cluster } from "ioredis";
import Database from "libsql";
import { createPool } from "mysql2/promise";
import pg from "pg";
import { createClient, createSentinel } from "redis";
import type { Store } from "scs-session";
import { MySqlStore } from "scs-session/mysql";
import { PostgresStore } from "scs-session/postgres";
import { RedisStore } from "scs-session/redis";
import { SqliteStore } from "scs-session/sqlite";

/** A store that another process can open, too. */
export interface Backend {
  readonly kind: "postgres" | "mysql" | "redis" | "cluster" | "sentinel" | "sqlite";
  /** Addresses of servers; a file. */
  readonly at: readonly string[];
  /** A table or a prefix. */
  readonly name: string;
  /** Whether the store pushes. */
  readonly push?: boolean;
}

/** An open store. */
export interface OpenStore {
  readonly store: Store & { migrate?(): Promise<void> };
  /** How many commands or statements were sent, and how many rows were answered. */
  readonly asked: { calls: number; rows: number };
  close(): Promise<unknown>;
}

/** How long a client waits for a server that does not answer: less than a load balancer would. */
const patience = 2_000;

/** Opens a store as docs/stores.md says. */
export async function open({ kind, at, name, push = false }: Backend): Promise<OpenStore> {
  const asked = { calls: 0, rows: 0 };
  const count = <Client extends object>(client: Client, ...methods: string[]): Client =>
    counted(client, methods, asked);
  const quiet = (): void => undefined;
  const [url = ""] = at;
  switch (kind) {
    case "postgres": {
      const pool = new pg.Pool({ connectionString: url, query_timeout: patience, connectionTimeoutMillis: patience });
      pool.on("error", quiet);
      const store = new PostgresStore(count(pool, "query"), { table: name, push });
      return { store, asked, close: () => pool.end() };
    }
    case "mysql": {
      const pool = createPool({ uri: url, connectTimeout: patience });
      return { store: new MySqlStore(count(pool, "execute"), { table: name }), asked, close: () => pool.end() };
    }
    case "redis": {
      const reconnectStrategy = (retries: number): number => Math.min(retries * 50, 1_000);
      const socket = { connectTimeout: patience, socketTimeout: patience, reconnectStrategy };
      const client = createClient({ url, socket });
      client.on("error", quiet);
      await client.connect();
      const store = new RedisStore(count(client, "sendCommand"), { prefix: name, push });
      return { store, asked, close: async () => client.destroy() };
    }
    case "sentinel": {
      const sentinelRootNodes = at.map((each) => ({ host: "127.0.0.1", port: Number(new URL(each).port) }));
      const client = createSentinel({ name: "main", sentinelRootNodes });
      client.on("error", quiet);
      await client.connect();
      const store = new RedisStore(count(client, "sendCommand"), { prefix: name, push });
      return { store, asked, close: () => client.destroy() };
    }
    case "cluster": {
      const nodes = at.map((each) => ({ host: "127.0.0.1", port: Number(new URL(each).port) }));
      const client = new Cluster(nodes, { redisOptions: { commandTimeout: patience, connectTimeout: patience } });
      client.on("error", quiet);
      const commands = ["getBuffer", "setBuffer", "delBuffer", "pexpireatBuffer", "evalshaBuffer", "zscanBuffer"];
      const store = new RedisStore(count(client, ...commands), { prefix: name, push });
      return { store, asked, close: async () => client.disconnect() };
    }
    case "sqlite": {
      const database = new Database(url);
      database.pragma(`busy_timeout = ${patience}`); // first: to change the mode takes a lock as well
      database.pragma("journal_mode = WAL");
      const prepare = (text: string) => count(database.prepare(text) as never, "all", "run");
      return { store: new SqliteStore({ prepare }, { table: name }), asked, close: async () => database.close() };
    }
  }
}

/** A client whose calls of some methods are counted. */
function counted<Client extends object>(client: Client, methods: readonly string[], asked: OpenStore["asked"]): Client {
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (!methods.includes(String(name))) return (value as (...given: unknown[]) => unknown).bind(target);
      return (...given: unknown[]): unknown => {
        asked.calls++;
        const answer: unknown = (value as (...all: unknown[]) => unknown).apply(target, given);
        if (Array.isArray(answer)) asked.rows += answer.length;
        if (answer instanceof Promise) {
          answer.then(
            (result: unknown) => (asked.rows += rowsOf(result)),
            () => undefined,
          );
        }
        return answer;
      };
    },
  });
}

function rowsOf(result: unknown): number {
  if (Array.isArray(result)) return Array.isArray(result[0]) ? result[0].length : 0;
  const { rows } = (result ?? {}) as { readonly rows?: unknown };
  return Array.isArray(rows) ? rows.length : 0;
}
