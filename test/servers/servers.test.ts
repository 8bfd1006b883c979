// The servers that the other tests use: they come up by themselves, are killed, and come back with what they had stored.
import { existsSync } from "node:fs";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import { describe, expect, onTestFinished, test } from "vitest";
import { startMariaDB } from "./mariadb.ts";
import { startPostgres } from "./postgres.ts";
import { startRedis, startValkey } from "./redis.ts";
import type { Server, StartOptions } from "./server.ts";
import type { Service } from "./services.ts";
import { addressOf } from "./shared.ts";

/** One connection, for one command: each answers "1" to the first, and remembers 7. */
interface Probe {
  readonly start: (options?: StartOptions) => Promise<Server>;
  readonly ping: (url: string) => Promise<unknown>;
  readonly write: (url: string) => Promise<unknown>;
  readonly read: (url: string) => Promise<unknown>;
}

async function redis(url: string, ...command: string[]): Promise<unknown> {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  await client.connect();
  try {
    return await client.sendCommand(command);
  } finally {
    client.destroy();
  }
}

async function postgres(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows[0]?.["n"];
  } finally {
    await client.end();
  }
}

async function mysql(url: string, sql: string): Promise<unknown> {
  const client = await createConnection(url);
  try {
    const [rows] = await client.query(sql);
    return (rows as Record<string, unknown>[])[0]?.["n"];
  } finally {
    client.destroy();
  }
}

const ofRedis: Omit<Probe, "start"> = {
  ping: async (url) => (await redis(url, "PING")) === "PONG",
  write: (url) => redis(url, "SET", "n", "7"),
  read: async (url) => Number(await redis(url, "GET", "n")),
};

const probes: Record<Service, Probe> = {
  redis: { start: startRedis, ...ofRedis },
  valkey: { start: startValkey, ...ofRedis },
  postgres: {
    start: startPostgres,
    ping: async (url) => (await postgres(url, "SELECT 1 AS n")) === 1,
    write: (url) => postgres(url, "CREATE TABLE kept AS SELECT 7 AS n"),
    read: (url) => postgres(url, "SELECT n FROM kept"),
  },
  mysql: {
    start: startMariaDB,
    ping: async (url) => (await mysql(url, "SELECT 1 AS n")) === 1,
    write: async (url) => {
      await mysql(url, "CREATE TABLE kept (n int)");
      await mysql(url, "INSERT INTO kept VALUES (7)");
    },
    read: (url) => mysql(url, "SELECT n FROM kept"),
  },
};

for (const service of Object.keys(probes) as Service[]) {
  const { start, ping, write, read } = probes[service];
  const shared = await addressOf(service);

  describe.skipIf(shared === undefined)(service, () => {
    test("is shared by all test files", async () => {
      expect(await ping(shared!)).toBe(true);
      expect(await addressOf(service)).toBe(shared);
    });

    test(
      "keeps what it acknowledged when it is killed, and comes back at the same port",
      { timeout: 60_000 },
      async () => {
        const server = await start({ durable: true });
        onTestFinished(() => server.stop());
        const { url, process } = server;
        await write(url);
        await server.kill();
        expect(process.signalCode).toBe("SIGKILL");
        await expect(ping(url)).rejects.toThrow();
        await server.restart();
        expect(server.url).toBe(url);
        expect(await read(url)).toBe(7);
        await server.restart();
        expect(await read(url)).toBe(7);
      },
    );

    test("leaves nothing when it stops", { timeout: 60_000 }, async () => {
      const server = await start();
      const { data, process, url } = server;
      expect(existsSync(data)).toBe(true);
      await server.stop();
      expect([existsSync(data), process.exitCode === null && process.signalCode === null]).toStrictEqual([
        false,
        false,
      ]);
      await expect(ping(url)).rejects.toThrow();
    });
  });
}
