/** Requests that are not as usual, the same for every adapter on Node: whatever its framework makes of them, the adapter neither hides it nor hangs. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import { SessionManager } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, signIn, type ContractApp, type ContractData } from "scs-session/testing";
import { describe, expect, onTestFinished, test } from "vitest";
import { cookieOf, until, Wire } from "../support.ts";
import type { Harness } from "./tools.ts";

interface Row {
  readonly what: string;
  /** The lines of the request, but for the empty one at the end. */
  readonly lines: (origin: string) => readonly string[];
  /** What stands on the request in the place of its URL. Undefined: it is left as it is. */
  readonly url?: { readonly is: string | undefined };
  /** Those that are not asked. */
  readonly without?: readonly string[];
  /** Undefined: as the framework likes. */
  readonly status?: number;
  /** Of frameworks that answer another one by themselves. */
  readonly statusOf?: Readonly<Record<string, number>>;
}

const host = (origin: string): string => `Host: ${new URL(origin).host}`;
const usual = (origin: string): string[] => ["GET /path HTTP/1.1", host(origin), "Connection: close"];

const rows: readonly Row[] = [
  { what: "as usual", lines: usual, status: 200 },
  {
    what: "in absolute form",
    lines: (origin) => [`GET ${origin}/path HTTP/1.1`, host(origin), "Connection: close"],
    status: 200,
    statusOf: { "Next 16": 308, "SvelteKit 2": 400 },
  },
  { what: "of HTTP/1.0", lines: (origin) => ["GET /path HTTP/1.0", host(origin)], status: 200 },
  {
    what: "for an upgrade that nobody listens to",
    lines: (origin) => [
      "GET /path HTTP/1.1",
      host(origin),
      "Connection: upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
  },
  { what: "whose line has no URL", lines: (origin) => ["GET  HTTP/1.1", host(origin)], status: 400 },
  { what: "whose URL is empty", lines: usual, url: { is: "" } },
  // The routers of some throw where nobody catches it, without any adapter.
  { what: "whose URL is undefined", lines: usual, url: { is: undefined }, without: ["Fastify 5", "SvelteKit 2"] },
];

/** What a client gets that sends these lines. */
interface Answer {
  readonly status: number;
  readonly text: string;
  readonly hasCookie: boolean;
}

/** Defines the tests of an adapter. */
export function testBadRequests({ name, serve, without = [], parsesFirst = false }: Harness): void {
  const start = async (managers: ContractApp["managers"], handle: ContractApp["handle"]): Promise<string> => {
    const { url, close } = await serve({
      managers,
      skips: () => false,
      property: undefined,
      trustProxy: false,
      handle,
    });
    onTestFinished(close);
    return url;
  };
  const manager = (store = new MemoryStore()): { sessions: SessionManager<ContractData>; store: FaultyStore } => {
    const faulty = new FaultyStore(store);
    return { store: faulty, sessions: new SessionManager<ContractData>({ store: faulty, sweepInterval: false }) };
  };

  describe(`a request to ${name}`, () => {
    test.each(rows.filter((row) => row.without?.includes(name) !== true))(
      "$what",
      async ({ lines, url, status, statusOf }) => {
        const answerOf = async (sessions?: SessionManager<ContractData>): Promise<Answer> => {
          const origin = await start(sessions === undefined ? [] : [sessions], ({ context, url }) => {
            sessions?.of(context).put("n", 1);
            return { body: `served ${url}` };
          });
          if (url !== undefined) withUrl(url.is);
          const wire = new Wire(new URL(origin).port);
          wire.socket.write([...lines(origin), "", ""].join("\r\n"));
          const response = await wire.response();
          const text = response.text.replace(origin, "");
          return { status: response.status, text, hasCookie: cookieOf(response) !== undefined };
        };
        const alone = await answerOf();
        const { sessions, store } = manager();
        const { hasCookie, ...answer } = await answerOf(sessions);
        expect({ ...answer, hasCookie: false }).toEqual(alone);
        if (status !== undefined) expect(answer.status).toBe(statusOf?.[name] ?? status);
        const isServed = answer.text.startsWith("served");
        expect([hasCookie, store.calls]).toEqual(isServed ? [true, ["commit"]] : [false, []]);
      },
    );

    test.skipIf(without.includes("aborts"))(
      "whose body breaks off: the handler learns it, a destroy is carried out, others are served",
      async () => {
        const { sessions, store } = manager();
        let isAsked = false;
        let ending: string | undefined;
        const origin = await start([sessions], async ({ context, method, body }) => {
          const session = sessions.of(context);
          if (method === "GET") return { body: String(session.getNumber("n")) };
          session.destroy();
          isAsked = true;
          ending = await body().then(
            (text) => `as if it were ${text}`,
            () => "broken off",
          );
          return { body: ending };
        });
        const cookie = await signIn(sessions, { n: 7 });
        const headers = { ...cookie, host: new URL(origin).host, "content-type": "text/plain", "content-length": "99" };
        const wire = new Wire(new URL(origin).port).send("POST", "/path", headers, "only this");
        await until(() => isAsked || (parsesFirst && store.calls.includes("find")));
        wire.socket.destroy();
        if (!parsesFirst) {
          await until(() => ending !== undefined && store.calls.includes("replace"));
          expect(ending).toBe("broken off");
        }
        const response = await fetch(`${origin}/path`, { headers: cookie });
        expect([response.status, await response.text()]).toEqual([200, parsesFirst ? "7" : "0"]);
      },
    );
  });
}

/** Has the servers of this process see another URL, until the test is over. */
function withUrl(url: string | undefined): void {
  const change = (message: unknown): void => {
    (message as { request: IncomingMessage }).request.url = url!;
  };
  subscribe("http.server.request.start", change);
  onTestFinished(() => void unsubscribe("http.server.request.start", change));
}
