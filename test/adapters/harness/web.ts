/** The contract's application as a handler of fetch, for every server that takes one; test/runtimes runs it in other runtimes. */

import { Hono } from "hono";
// By file: what runs this without a bundler knows no paths of tsconfig.json.
import { loadAndSave as forFetch } from "../../../src/adapters/fetch.ts";
import { loadAndSave as forHono } from "../../../src/adapters/hono.ts";
import type { AdapterAbility, ContractApp, ContractReply } from "../../../src/testing/index.ts";
import { answerTo, pathOf } from "./tools.ts";

/** An adapter whose applications are handlers of fetch. */
export interface WebHarness {
  /** As it stands in the table: the adapter, and the framework's version. */
  readonly name: string;
  readonly without: readonly AdapterAbility[];
  handler(app: ContractApp): Handler;
}

/** A handler of fetch. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** What `loadAndSave` of scs-session/fetch is, and what tests put in its place. */
export type FetchAdapter = (
  manager: ContractApp["managers"][number],
  handler: Handler,
  options: { readonly skip: (request: Request) => boolean },
) => Handler;

/** No framework at all. */
export const fetchHandler: WebHarness = {
  name: "fetch",
  without: ["errors", "property", "proxy"],
  handler: (app) => fetchApp(app, forFetch),
};

/** The application with an adapter of this shape. */
export function fetchApp({ managers, skips, handle }: ContractApp, loadAndSave: FetchAdapter): Handler {
  let handler: Handler = async (request) => {
    const visit = {
      context: request,
      raw: request,
      method: request.method,
      url: pathOf(request),
      body: () => request.text(),
    };
    return webResponse(await handle(visit));
  };
  const skip = (request: Request): boolean => skips(pathOf(request));
  for (const manager of managers.toReversed()) handler = loadAndSave(manager, handler, { skip });
  return handler;
}

/** Hono 4. */
export const hono: WebHarness = {
  name: "Hono 4",
  // Hono's own c.req.url follows no X-Forwarded-Proto.
  without: ["proxy"],
  handler({ managers, skips, property, handle }) {
    const app = new Hono<{ Variables: Record<string, unknown> }>();
    for (const manager of managers) {
      app.use(forHono(manager, { skip: (c) => skips(c.req.path), property }));
    }
    app.all("*", async (c) => {
      const reply = await handle({
        context: c,
        raw: c.req.raw,
        method: c.req.method,
        url: pathOf(c.req),
        property: c.get(property ?? "session"),
        body: () => c.req.text(),
      });
      const { status = 200, headers = {}, body, redirect, response } = reply;
      if (response !== undefined) return response;
      if (redirect !== undefined) return c.redirect(redirect);
      c.status(status as 200);
      for (const [name, values] of Object.entries(headers)) {
        for (const value of [values].flat()) c.header(name, value, { append: true });
      }
      if (body === undefined) return c.body(null);
      if (typeof body === "string") return c.text(body);
      // Not by stream() of hono/streaming, which logs what the pieces throw and ends the response as if it were complete.
      return c.body(streamOf(body));
    });
    app.onError((error) => {
      const { status, headers, body } = answerTo(error);
      return new Response(body, { status, headers });
    });
    return (request) => app.fetch(request);
  },
};

/** A reply as a response of fetch. */
export function webResponse(reply: ContractReply): Response {
  const { status = 200, headers = {}, body, redirect, response } = reply;
  if (response !== undefined) return response;
  if (redirect !== undefined) return new Response(null, { status: 302, headers: { location: redirect } });
  const all = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((each): [string, string] => [name, each]),
  );
  return new Response(typeof body === "object" ? streamOf(body) : (body ?? null), { status, headers: all });
}

/** Pieces of text as a body, each made when it is asked for. */
function streamOf(pieces: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const piece = (await iterator.next()) as IteratorResult<string, undefined>;
        if (piece.done === true) controller.close();
        else controller.enqueue(encoder.encode(piece.value));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
