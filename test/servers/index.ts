/** What vitest runs before the tests: starts the servers that test files ask for, once for all, and stops them at the end. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { startMariaDB } from "./mariadb.ts";
import { startPostgres } from "./postgres.ts";
import { isAbsent } from "./programs.ts";
import { startRedis, startValkey } from "./redis.ts";
import type { Server } from "./server.ts";
import { isService, skipped, type Service } from "./services.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Answers the address of a service that is asked for, as soon as it runs. */
    servers: string;
  }
}

const start: Record<Service, () => Promise<Server>> = {
  redis: startRedis,
  postgres: startPostgres,
  mysql: startMariaDB,
  valkey: startValkey,
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const left = skipped();
  const started = new Map<Service, Promise<Server>>();
  const absent = new Map<Service, string>();
  const broker = createServer((request, response) => {
    const service = (request.url ?? "").slice(1);
    if (!isService(service)) {
      response.writeHead(404).end();
      return;
    }
    const server = started.get(service) ?? start[service]();
    started.set(service, server);
    server.then(
      ({ url }) => response.end(url),
      (error: unknown) => {
        if (isAbsent(service)) absent.set(service, String(error));
        response.writeHead(isAbsent(service) ? 404 : 500).end(String(error));
      },
    );
  });
  await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve));
  project.provide("servers", `http://127.0.0.1:${(broker.address() as AddressInfo).port}`);
  return async () => {
    broker.closeAllConnections();
    broker.close();
    await Promise.allSettled([...started.values()].map(async (server) => (await server).stop()));
    if (left.length > 0) console.log(`Left out, as TEST_SKIP says: ${left.length} (${left.join(", ")})`);
    if (absent.size > 0) console.log(`Left out, as it is not here: ${absent.size} (${[...absent.keys()].join(", ")})`);
    for (const why of absent.values()) console.log(why);
  };
}
