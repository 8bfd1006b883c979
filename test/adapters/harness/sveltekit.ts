/** SvelteKit 2 itself, built once, whose routes and hooks hand requests on to applications of the tests. */

import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { fileURLToPath } from "node:url";
import { loadAndSave } from "scs-session/sveltekit";
import type { Session } from "scs-session";
import { install } from "../../examples/drive.ts";
import { listen, pathOf, propertyOf, type Harness } from "./tools.ts";
import { webResponse } from "./web.ts";

/** What the tests use of an event; SvelteKit is installed in its example only. */
export interface Event {
  readonly request: Request;
  readonly url: URL;
  readonly locals: { session: Session<{ n: number; user: string }> };
  readonly cookies: {
    get(name: string): string | undefined;
    set(name: string, value: string, options: object & { readonly path: string }): void;
  };
  readonly isSubRequest: boolean;
  readonly isDataRequest: boolean;
  readonly fetch: typeof fetch;
  setHeaders(headers: Record<string, string>): void;
}
export type Resolve = (event: Event) => Response | Promise<Response>;
export type Hook = (input: { event: Event; resolve: Resolve }) => Response | Promise<Response>;

/** What an application of a test answers. */
export interface Application {
  readonly hooks: readonly Hook[];
  /** Of every path but those of the pages. */
  endpoint?(event: Event): Response | Promise<Response>;
  /** Of the page /page. */
  load?(event: Event): object | Promise<object>;
  action?(event: Event): unknown;
  onError?(error: unknown, event: Event): { message: string };
}

/** The functions of @sveltejs/kit. */
interface Kit {
  redirect(status: number, location: string): never;
  error(status: number, message: string): never;
}
const shared = globalThis as typeof globalThis & { applications?: Map<string, Application>; sveltekit?: Kit };
const applications = (shared.applications ??= new Map<string, Application>());

/** The functions of @sveltejs/kit, once `build` is done. */
export const kit = (): Kit => shared.sveltekit!;

const example = fileURLToPath(new URL("../../../examples/sveltekit/", import.meta.url));
const folder = `${example}node_modules/.contract`;
let handler: RequestListener;

/** Builds the application with the packages of the example, and loads it. */
export async function build(): Promise<void> {
  await install("sveltekit");
  rmSync(folder, { recursive: true, force: true });
  cpSync(fileURLToPath(new URL("../sveltekit-app", import.meta.url)), folder, { recursive: true });
  execFileSync(`${example}node_modules/.bin/vite`, ["build", "--logLevel", "error"], { cwd: folder, stdio: "pipe" });
  process.env["PROTOCOL_HEADER"] = "x-protocol";
  ({ handler } = (await import(`${folder}/build/handler.js`)) as { handler: RequestListener });
}

/** Serves an application. A proxy stands before it, which tells the protocol: as its own client says, if that is trusted. */
export async function serve(
  application: Application,
  trustProxy = false,
): Promise<{ url: string; close(): Promise<void> }> {
  const protocolOf = ({ headers }: IncomingMessage): string =>
    trustProxy ? String(headers["x-forwarded-proto"]) : "http";
  const { url, close } = await listen(
    createServer((request, response) => {
      request.headers["x-protocol"] = protocolOf(request);
      handler(request, response);
    }),
  );
  const { host } = new URL(url);
  applications.set(host, application);
  const end = async (): Promise<void> => {
    await close();
    applications.delete(host);
  };
  return { url, close: end };
}

/** The harness of the adapter contract. */
export const sveltekit: Harness = {
  name: "SvelteKit 2",
  // Its handleError decides on the message of an error page, not on a response. The head leaves with the first piece of the body.
  without: ["errors", "flush"],
  serve({ managers, skips, property, trustProxy, handle }) {
    const hooks = managers.map((manager) =>
      loadAndSave<object, Event>(manager as never, { skip: ({ url }) => skips(url.pathname), property }),
    );
    const endpoint = async (event: Event): Promise<Response> => {
      const reply = await handle({
        context: event,
        raw: event.request,
        method: event.request.method,
        url: pathOf(event.request),
        property: propertyOf(event.locals, property ?? "session"),
        body: () => event.request.text(),
      });
      if (reply.redirect !== undefined) kit().redirect(302, reply.redirect);
      return webResponse(reply);
    };
    return serve({ hooks, endpoint, onError: () => ({ message: "wrong" }) }, trustProxy);
  },
};
