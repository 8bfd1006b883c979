/** Next 16: an application, built once, whose route handler runs what a test has put on globalThis. */

import { execFile } from "node:child_process";
import { createServer, type RequestListener } from "node:http";
import { createRequire } from "node:module";
import { existsSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ContractApp, ContractServer } from "scs-session/testing";
import { install } from "../../examples/drive.ts";
import { listen, pathOf, type Harness } from "./tools.ts";
import { webResponse } from "./web.ts";

const folder = fileURLToPath(new URL("../next-app", import.meta.url));

interface Served {
  readonly managers: ContractApp["managers"];
  skip(request: Request): boolean;
  answer(request: Request): Promise<{ readonly redirectTo: string } | { readonly response: Response }>;
}

/** The application that each host and port stands for. */
const apps = new Map<string, Served>();
Object.assign(globalThis, { contractApps: apps });

let server: Promise<NextServer> | undefined;

/** Next's own server, and its request listener for others. */
interface NextServer extends ContractServer {
  readonly listener: RequestListener;
}

/** Builds the application, and starts it. */
export function nextServer(): Promise<NextServer> {
  return (server ??= build());
}

async function build(): Promise<NextServer> {
  await install("next");
  const modules = `${folder}/node_modules`;
  if (!existsSync(modules)) symlinkSync("../../../examples/next/node_modules", modules);
  const env = { ...process.env, NODE_ENV: "production" as const, NEXT_TELEMETRY_DISABLED: "1" };
  const require = createRequire(`${folder}/package.json`);
  await promisify(execFile)(process.execPath, [require.resolve("next/dist/bin/next"), "build"], { cwd: folder, env });
  Object.assign(process.env, env);
  // The client of the contract is in this process, too: it is not to get Next's fetch, which keeps a copy of each body.
  const { fetch } = globalThis;
  Object.defineProperty(globalThis, "fetch", { get: () => fetch, set: () => undefined });

  const server = createServer();
  const own = await listen(server);
  // Next asks itself for the pages that actions redirect to.
  const { hostname, port } = new URL(own.url);
  type Next = (options: object) => {
    prepare(): Promise<void>;
    getRequestHandler(): RequestListener;
    close(): Promise<void>;
  };
  const next = (require("next") as Next)({ dev: false, dir: folder, quiet: true, hostname, port: Number(port) });
  await next.prepare();
  const listener = next.getRequestHandler();
  server.on("request", listener);
  return {
    ...own,
    listener,
    async close() {
      await own.close();
      await next.close();
    },
  };
}

export const next: Harness = {
  name: "Next 16",
  // Next answers the errors of route handlers itself, when the adapter has done its work; as fetch, it has no request to put
  // a session on. It believes every proxy, and has no setting for that. The head leaves with the first piece of the body.
  without: ["errors", "property", "proxy", "flush"],
  async serve({ managers, skips, handle }) {
    const server = await listen(createServer((await nextServer()).listener));
    const answer: Served["answer"] = async (request) => {
      const { method } = request;
      const url = pathOf(request).replace(/=$/, ""); // Next writes ?anna as ?anna=
      const visit = { context: request, raw: request, method, url, body: () => request.text() };
      const reply = await handle(visit);
      return reply.redirect === undefined ? { response: webResponse(reply) } : { redirectTo: reply.redirect };
    };
    apps.set(new URL(server.url).host, { managers, skip: (request) => skips(pathOf(request)), answer });
    return server;
  },
};
