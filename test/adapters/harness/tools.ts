/** What the harnesses of the adapter contract share. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { AdapterAbility, ContractApp, ContractReply, ContractServer } from "scs-session/testing";

/** One adapter on one version of its framework. */
export interface Harness {
  /** As it stands in the table: the adapter, and the framework's version. */
  readonly name: string;
  readonly without?: readonly AdapterAbility[];
  /** Whether a body is parsed before the handler is called. */
  readonly parsesFirst?: boolean;
  serve(app: ContractApp): Promise<ContractServer>;
}

/** Lets a server listen on the loopback. */
export async function listen(server: Pick<Server, "listen" | "close" | "address">): Promise<ContractServer> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      if ("closeAllConnections" in server) (server as Server).closeAllConnections();
      await closed;
    },
  };
}

/** What the error handler of every framework answers. */
export function answerTo(error: unknown): { status: number; headers: Record<string, string>; body: string } {
  const { status = 500, code, message } = error as { status?: number; code?: string; message?: string };
  return { status, headers: { "x-error-handler": "yes" }, body: String(code ?? message) };
}

/** A body as a stream of Node; text as it is. */
export function nodeBody({ body }: ContractReply): string | Readable | undefined {
  return body === undefined || typeof body === "string" ? body : Readable.from(body, { objectMode: false });
}

/** The path and query of a request of fetch. */
export function pathOf(request: { readonly url: string }): string {
  const { pathname, search } = new URL(request.url);
  return pathname + search;
}

/** What stands under a name, where an application would look for it. */
export function propertyOf(holder: object, name: string | undefined): unknown {
  return name === undefined ? undefined : Reflect.get(holder, name);
}
