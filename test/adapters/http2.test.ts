/** The node adapter over HTTP/2. */

import { randomBytes } from "node:crypto";
import {
  connect,
  createServer,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from "node:http2";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { loadAndSave } from "scs-session/node";
import { expect, onTestFinished, test } from "vitest";
import { settle, setup, stored, until } from "./support.ts";

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown;

const big = randomBytes(1_000_000);

/** An HTTP/2 site whose handler changes the session before it answers, and whose store waits. */
async function held(handler: Handler) {
  const given = setup();
  const { sessions, store } = given;
  store.holds = true;
  const server = createServer(
    loadAndSave(sessions, (request: Http2ServerRequest, response: Http2ServerResponse) => {
      sessions.of(request).put("n", 1);
      return handler(request, response);
    }),
  );
  const connections = new Set<ServerHttp2Session>();
  server.on("session", (connection) => connections.add(connection));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on("error", () => undefined);
  onTestFinished(async () => {
    client.destroy();
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { ...given, ask: (path = "/") => new Answer(client.request({ ":path": path })) };
}

class Answer {
  readonly stream: ClientHttp2Stream;
  headers: IncomingHttpHeaders = {};
  trailers: IncomingHttpHeaders = {};
  hints: IncomingHttpHeaders | undefined;
  body: Buffer = Buffer.alloc(0);
  hasEnded = false;

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    stream.on("headers", (headers) => (this.hints = headers));
    stream.on("response", (headers) => (this.headers = headers));
    stream.on("trailers", (headers: IncomingHttpHeaders) => (this.trailers = headers));
    stream.on("data", (data: Buffer) => (this.body = Buffer.concat([this.body, data])));
    stream.on("end", () => (this.hasEnded = true));
    stream.on("error", () => undefined);
  }

  get isUntouched(): boolean {
    return this.headers[":status"] === undefined && this.body.length === 0;
  }
}

const cases: [string, Handler, (answer: Answer) => void][] = [
  [
    "end",
    (_, res) => res.end("hello"),
    (answer) => expect([answer.headers[":status"], answer.body.toString()]).toEqual([200, "hello"]),
  ],
  [
    "writeHead, write and end",
    (_, res) => {
      res.writeHead(201, { "x-a": "1" });
      res.write("hel");
      res.end("lo");
    },
    ({ headers, body }) => expect([headers[":status"], headers["x-a"], body.toString()]).toEqual([201, "1", "hello"]),
  ],
  [
    "writeHead with a reason phrase",
    (_, res) => {
      res.writeHead(404, "Nowhere", { "x-a": "1" });
      res.end();
    },
    ({ headers }) => expect([headers[":status"], headers["x-a"]]).toEqual([404, "1"]),
  ],
  [
    "flushHeaders",
    (_, res) => {
      (res as unknown as { flushHeaders(): void }).flushHeaders();
      res.end("hello");
    },
    ({ body }) => expect(body.toString()).toBe("hello"),
  ],
  [
    "a pipeline",
    (_, res) =>
      pipeline(Readable.from([big.subarray(0, 10), big.subarray(10)]), res as unknown as NodeJS.WritableStream),
    ({ body }) => expect(body.equals(big)).toBe(true),
  ],
  [
    "trailers",
    (_, res) => {
      res.write("hello");
      res.addTrailers({ "x-sum": "42" });
      res.end();
    },
    ({ trailers }) => expect(trailers["x-sum"]).toBe("42"),
  ],
];

test.each(cases)("no frame of a response leaves before the store has answered: %s", async (_, handler, check) => {
  const { store, ask } = await held(handler);
  const answer = ask();
  await until(() => store.waiting.length === 1);
  await settle();
  expect(answer.isUntouched).toBe(true);
  await store.waiting[0]!.complete();
  await until(() => answer.hasEnded);
  check(answer);
  expect(answer.headers["set-cookie"]).toHaveLength(1);
});

test("early hints leave at once over HTTP/2", async () => {
  const { store, ask } = await held((_, res) => {
    res.writeEarlyHints({ link: "</style.css>; rel=preload" });
    res.end("hello");
  });
  const answer = ask();
  await until(() => store.waiting.length === 1 && answer.hints !== undefined);
  expect([answer.hints![":status"], answer.isUntouched]).toEqual([103, true]);
  await store.waiting[0]!.complete();
  await until(() => answer.hasEnded);
  expect(answer.body.toString()).toBe("hello");
});

test("a failed commit is a 503 over HTTP/2, and later writes are swallowed", async () => {
  let response: Http2ServerResponse | undefined;
  const { store, ask, memory } = await held((_, res) => {
    response = res;
    res.setHeader("etag", '"1"');
    res.writeHead(201, { "content-length": "100", "content-encoding": "br" });
    pipeline(Readable.from([big]), res as unknown as NodeJS.WritableStream).catch(() => undefined);
  });
  const answer = ask();
  await until(() => store.waiting.length === 1);
  await settle();
  expect(answer.isUntouched).toBe(true);
  store.failure = new Error("down");
  while (store.waiting.length > 0) await store.waiting[0]!.fail();
  await until(() => answer.hasEnded);
  response!.write("late");
  await settle();
  const { headers, body } = answer;
  expect([headers[":status"], body.toString()]).toEqual([503, "Service Unavailable\n"]);
  expect(["etag", "content-encoding", "set-cookie"].filter((name) => name in headers)).toEqual([]);
  expect(await stored(memory)).toBe(0);
});

test("a client that goes away breaks nothing over HTTP/2, and the commit is completed", async () => {
  let isGone = false;
  const { store, ask, memory } = await held((_, res) => {
    res.on("close", () => (isGone = true));
    res.write("hello");
    res.end("!");
  });
  const answer = ask();
  await until(() => store.waiting.length === 1);
  answer.stream.close();
  await until(() => isGone);
  await store.waiting[0]!.complete();
  await settle();
  expect(await stored(memory)).toBe(1);
  const failing = ask();
  await until(() => store.waiting.length === 1);
  isGone = false;
  failing.stream.close();
  await until(() => isGone);
  store.failure = new Error("down");
  while (store.waiting.length > 0) await store.waiting[0]!.fail();
  await settle();
  store.failure = undefined;
  store.holds = false;
  const last = ask();
  await until(() => last.hasEnded);
  expect(last.headers[":status"]).toBe(200);
});

test("a destroy that comes after the client has gone is carried out over HTTP/2", async () => {
  const { sessions, memory, ask, store } = await held(async (req, res) => {
    const session = sessions.of(req);
    store.holds = false;
    await sessions.commit(session);
    res.on("close", () => session.destroy());
  });
  const answer = ask();
  await until(() => store.calls.length > 0);
  await settle();
  expect(await stored(memory)).toBe(1);
  answer.stream.close();
  await until(() => store.calls.includes("replace"));
  await settle();
  expect(await stored(memory)).toBe(0);
});

// Node warns once for each process, in whichever test comes first.
const warnings: string[] = [];
process.on("warning", ({ message }) => warnings.push(message));

test("nothing warns about what HTTP/2 does not have", async () => {
  const { store, ask } = await held((_, res) => res.end("hello"));
  const answer = ask();
  await until(() => store.waiting.length === 1);
  await store.waiting[0]!.complete();
  await until(() => answer.hasEnded);
  await settle();
  expect(warnings.filter((warning) => warning.includes("HTTP/2"))).toEqual([]);
});

test("a held response looks as if it were sent over HTTP/2, and as it is afterwards", async () => {
  let response: Http2ServerResponse | undefined;
  const { store, ask } = await held((_, res) => (response = res).end("hello"));
  const look = (): unknown[] => {
    const { headersSent, writableEnded, finished } = response as unknown as Record<string, unknown>;
    return [headersSent, writableEnded, finished];
  };
  const answer = ask();
  await until(() => store.waiting.length === 1);
  expect(look()).toEqual([true, true, true]);
  store.failure = new Error("down");
  await store.waiting[0]!.fail();
  await until(() => answer.hasEnded);
  expect(answer.headers[":status"]).toBe(503);
  expect(look()).toEqual([true, true, true]);
});

test("the head of a held response is refused changes over HTTP/2, in Node's words", async () => {
  const refused: unknown[] = [];
  const { store, ask } = await held((_, res) => {
    res.setHeader("x-own", "before");
    res.end("hello");
    for (const change of [() => res.setHeader("x-own", "late"), () => res.removeHeader("x-own")]) {
      try {
        change();
      } catch (error) {
        refused.push((error as { code: unknown }).code);
      }
    }
  });
  const answer = ask();
  await until(() => store.waiting.length === 1);
  expect(refused).toEqual(["ERR_HTTP_HEADERS_SENT", "ERR_HTTP_HEADERS_SENT"]);
  await store.waiting[0]!.complete();
  await until(() => answer.hasEnded);
  expect(answer.headers["x-own"]).toBe("before");
});
