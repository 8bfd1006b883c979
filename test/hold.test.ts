/** G3: nothing of a response leaves before its sessions are stored. */

/* eslint-disable @typescript-eslint/no-deprecated -- Middleware still reads response.finished. */

import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, createServer as createNetServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { gunzipSync } from "node:zlib";
import compression from "compression";
import type { NextFunction, Request, Response as ExpressResponse } from "express";
import { header, SessionError } from "scs-session";
import { signIn, type FaultyStore } from "scs-session/testing";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ask,
  cookieOf,
  kinds,
  listen,
  settle,
  setup,
  site,
  stored,
  until,
  Wire,
  type Handler,
  type Kind,
  type Middleware,
  type RawResponse,
  type Surroundings,
} from "./adapters/support.ts";

const big = randomBytes(3_000_000);
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const inPieces = (size = 50_000): Readable =>
  Readable.from(Array.from({ length: Math.ceil(big.length / size) }, (_, i) => big.subarray(i * size, (i + 1) * size)));
const compress = compression({ threshold: 0 }) as unknown as Middleware;

/** A site whose handler changes the session before it answers, and whose store waits. */
async function held(kind: Kind, handler: Handler, around: Surroundings = {}) {
  const given = setup();
  const { sessions, store } = given;
  store.holds = true;
  // The first use installs the hold: before what is mounted after.
  const use: Middleware = (request, _, next) => {
    sessions.of(request).put("n", 1);
    next();
  };
  const port = await site(kind, given, handler, { ...around, after: [use, ...(around.after ?? [])] });
  return { ...given, port };
}

/** Nothing answers any more: neither the calls that wait, nor those that ask what has become of them. */
async function breakDown(store: FaultyStore): Promise<void> {
  store.failure = new Error("The store is down.");
  while (store.waiting.length > 0) await store.waiting[0]!.fail();
}

describe.each(kinds)("While the store is asked, on %s,", (kind) => {
  const cases: [string, Handler, (response: RawResponse) => void, method?: string][] = [
    [
      "end",
      (_, res) => res.end("hello"),
      (response) => {
        expect([response.status, response.text, response.header("content-length")]).toEqual([200, "hello", "5"]);
      },
    ],
    [
      "write and end",
      (_, res) => {
        res.setHeader("X-A", "1");
        res.write("hel");
        res.write(Buffer.from("lo"));
        res.end("!");
      },
      (response) => {
        expect([response.text, response.header("x-a"), response.header("transfer-encoding")]).toEqual([
          "hello!",
          "1",
          "chunked",
        ]);
      },
    ],
    [
      "writeHead with an object",
      (_, res) => {
        res.setHeader("X-Before", "1");
        res.writeHead(201, { "X-A": "1", "Set-Cookie": ["a=1", "b=2"], "Content-Length": 5 }).end("hello");
      },
      (response) => {
        expect([response.status, response.reason, response.text]).toEqual([201, "Created", "hello"]);
        expect([response.header("x-a"), response.header("x-before")]).toEqual(["1", "1"]);
        expect(response.all("set-cookie").slice(0, 2)).toEqual(["a=1", "b=2"]);
      },
    ],
    [
      "writeHead with a flat array",
      (_, res) => {
        res.setHeader("X-A", "before");
        res.writeHead(202, ["X-A", "1", "Set-Cookie", "a=1", "Set-Cookie", "b=2"]);
        res.end("hello");
      },
      (response) => {
        expect([response.status, response.header("x-a"), response.text]).toEqual([202, "1", "hello"]);
        expect(response.all("set-cookie").slice(0, 2)).toEqual(["a=1", "b=2"]);
        expect(response.header("content-length") ?? response.header("transfer-encoding")).toBeDefined();
      },
    ],
    [
      "writeHead with an array of pairs",
      (_, res) => {
        const pairs = [
          ["X-A", "1"],
          ["X-B", "2"],
        ];
        res.writeHead(200, pairs as never);
        res.end("hello");
      },
      (response) => {
        expect([response.header("x-a"), response.header("x-b"), response.text]).toEqual(["1", "2", "hello"]);
      },
    ],
    [
      "writeHead with a reason phrase",
      (_, res) => res.writeHead(404, "Nowhere", { "X-A": "1" }).end("hello"),
      (response) => {
        expect([response.status, response.reason, response.header("x-a")]).toEqual([404, "Nowhere", "1"]);
      },
    ],
    [
      "a status set by property",
      (_, res) => {
        Object.assign(res, { statusCode: 418, statusMessage: "Short and stout" });
        res.end();
        Object.assign(res, { statusCode: 500, statusMessage: "too late" });
      },
      (response) => {
        expect([response.status, response.reason]).toEqual([418, "Short and stout"]);
      },
    ],
    [
      "flushHeaders",
      (_, res) => {
        res.setHeader("X-A", "1");
        res.flushHeaders();
        res.end("hello");
      },
      (response) => {
        expect([response.header("x-a"), response.text]).toEqual(["1", "hello"]);
      },
    ],
    [
      "a piped stream of 3 MB",
      (_, res) => {
        inPieces().pipe(res);
      },
      (response) => {
        expect(digest(response.body)).toBe(digest(big));
      },
    ],
    [
      "a pipeline of 3 MB",
      async (_, res) => pipeline(inPieces(1000), res),
      (response) => {
        expect(digest(response.body)).toBe(digest(big));
      },
    ],
    [
      "an answer to HEAD",
      (_, res) => {
        res.setHeader("Content-Length", 5);
        res.end("hello");
      },
      (response) => {
        expect([response.status, response.header("content-length")]).toEqual([200, "5"]);
      },
      "HEAD",
    ],
    ["status 204", (_, res) => res.writeHead(204).end(), (response) => expect(response.status).toBe(204)],
    [
      "status 304",
      (_, res) => {
        res.setHeader("ETag", '"1"');
        res.statusCode = 304;
        res.end();
      },
      (response) => {
        expect([response.status, response.header("etag")]).toEqual([304, '"1"']);
      },
    ],
    [
      "trailers",
      (_, res) => {
        res.writeHead(200, { Trailer: "X-Sum" });
        res.write("hello");
        res.addTrailers({ "X-Sum": "42" });
        res.end();
      },
      (response) => {
        expect([response.text, response.trailers]).toEqual(["hello", "X-Sum: 42"]);
      },
    ],
  ];

  test.each(cases)("no byte leaves; then all is right: %s", async (_, handler, check, method = "GET") => {
    const { port, store, memory } = await held(kind, handler);
    const wire = ask(port, method);
    await until(() => store.waiting.length === 1);
    await settle();
    expect(wire.bytes).toHaveLength(0);
    await store.waiting[0]!.complete();
    const response = await wire.response(method);
    check(response);
    expect(cookieOf(response)).toBeDefined();
    expect(response.header("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    await until(() => wire.isClosed);
    expect(wire.bytes).toHaveLength(0);
    expect([store.calls, await stored(memory)]).toEqual([["commit"], 1]);
  });

  test("write refuses more, drain arrives once it may go on, and callbacks are called in order", async () => {
    const seen: string[] = [];
    const { port, store } = await held(kind, (_, res) => {
      res.on("drain", () => seen.push("drain"));
      seen.push(String(res.write("one ", () => seen.push("one"))), String(res.writableNeedDrain));
      seen.push(String(res.write("two ", "utf8", () => seen.push("two"))));
      res.once("drain", () => res.end("three", () => seen.push("end")));
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await settle();
    expect(seen).toEqual(["false", "true", "false"]);
    await store.waiting[0]!.complete();
    expect((await wire.response()).text).toBe("one two three");
    await until(() => seen.includes("end"));
    expect(seen.filter((entry) => entry === "drain")).toHaveLength(1);
    expect(seen.filter((entry) => !["drain", "true", "false"].includes(entry))).toEqual(["one", "two", "end"]);
  });

  test("server-sent events wait, and later ones leave at once", async () => {
    let send = (_: string): unknown => undefined;
    const { port, store } = await held(kind, (_, res) => {
      res.setHeader("Content-Type", "text/event-stream");
      res.flushHeaders();
      send = (event) => (event === "" ? res.end() : res.write(`data: ${event}\n\n`));
      send("1");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    send("2");
    await settle();
    expect(wire.bytes).toHaveLength(0);
    await store.waiting[0]!.complete();
    await until(() => wire.text.includes("data: 2"));
    send("3");
    await until(() => wire.text.includes("data: 3"));
    expect(wire.isClosed).toBe(false);
    send("");
    expect((await wire.response()).text).toBe("data: 1\n\ndata: 2\n\ndata: 3\n\n");
  });

  test("early hints leave at once and do not use up the commit", async () => {
    const { port, store, sessions } = await held(kind, (req, res) => {
      res.writeEarlyHints({ link: "</style.css>; rel=preload" });
      sessions.of(req).put("n", 2);
      res.end("hello");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1 && wire.bytes.length > 0);
    await settle();
    const hints = await wire.response();
    expect([hints.status, wire.bytes.length]).toEqual([103, 0]);
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.status, response.text, cookieOf(response) !== undefined]).toEqual([200, "hello", true]);
  });

  test("the response behaves as if it were sent", async () => {
    const seen: Record<string, unknown> = {};
    const { port, store } = await held(kind, (_, res) => {
      seen["before"] = [res.headersSent, res.writableEnded, res.finished];
      res.setHeader("X-A", "1");
      res.write("hello");
      seen["written"] = [res.headersSent, res.writableEnded, res.getHeader("x-a")];
      const late: Record<string, () => unknown> = {
        setHeader: () => res.setHeader("X-B", "1"),
        setHeaders: () => res.setHeaders(new Headers({ "X-B": "1" })),
        appendHeader: () => res.appendHeader("X-A", "2"),
        removeHeader: () => res.removeHeader("X-A"),
        writeHead: () => res.writeHead(500),
      };
      for (const [name, call] of Object.entries(late)) {
        expect(call, name).toThrow(expect.objectContaining({ code: "ERR_HTTP_HEADERS_SENT" }) as Error);
      }
      res.end();
      res.end();
      seen["ended"] = [res.headersSent, res.writableEnded, res.finished, res.writableFinished];
      res.on("finish", () => (seen["finished"] = [res.writableEnded, res.finished, res.writableFinished]));
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.status, response.text, response.header("x-a"), response.header("x-b")]).toEqual([
      200,
      "hello",
      "1",
      undefined,
    ]);
    await until(() => "finished" in seen);
    expect(seen).toEqual({
      before: [false, false, false],
      written: [true, false, "1"],
      ended: [true, true, true, false],
      finished: [true, true, true],
    });
  });

  test("what Node refuses is refused at once, and the answer after it is right", async () => {
    const refused: unknown[] = [];
    const { port, store } = await held(kind, (_, res) => {
      const refuse = (call: () => unknown): void => {
        try {
          call();
          refused.push("nothing");
        } catch (error) {
          refused.push((error as { code?: string }).code);
        }
      };
      refuse(() => res.write(123));
      refuse(() => res.write(null));
      refuse(() => res.end({} as never));
      refuse(() => res.writeHead(99));
      refuse(() => res.writeHead("abc" as never));
      refuse(() => res.writeHead(200, { "X-A": "\n" }));
      refuse(() => res.writeHead(200, ["X A", "1"]));
      refuse(() => res.writeHead(200, ["X-A"]));
      refuse(() => res.writeHead(200, "new\nline"));
      Object.assign(res, { statusCode: 1000, statusMessage: undefined });
      refuse(() => res.end("hello"));
      Object.assign(res, { statusCode: 200, statusMessage: "new\nline" });
      refuse(() => res.flushHeaders());
      Object.assign(res, { statusMessage: "Fine" });
      res.end("hello");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    expect(refused).toEqual([
      "ERR_INVALID_ARG_TYPE",
      "ERR_STREAM_NULL_VALUES",
      "ERR_INVALID_ARG_TYPE",
      "ERR_HTTP_INVALID_STATUS_CODE",
      "ERR_HTTP_INVALID_STATUS_CODE",
      "ERR_INVALID_CHAR",
      "ERR_INVALID_HTTP_TOKEN",
      "ERR_INVALID_ARG_VALUE",
      "ERR_INVALID_CHAR",
      "ERR_HTTP_INVALID_STATUS_CODE",
      "ERR_INVALID_CHAR",
    ]);
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.status, response.reason, response.text]).toEqual([200, "Fine", "hello"]);
  });

  test("a chunk that is refused while held is refused at once", async () => {
    const refused: unknown[] = [];
    const { port, store } = await held(kind, (_, res) => {
      res.write("one ");
      for (const chunk of [123, null, undefined, {}]) {
        try {
          res.write(chunk);
        } catch (error) {
          refused.push((error as { code?: string }).code);
        }
      }
      res.end("two");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    expect(refused).toEqual([
      "ERR_INVALID_ARG_TYPE",
      "ERR_STREAM_NULL_VALUES",
      "ERR_INVALID_ARG_TYPE",
      "ERR_INVALID_ARG_TYPE",
    ]);
    await store.waiting[0]!.complete();
    expect((await wire.response()).text).toBe("one two");
  });

  test("a client that goes away breaks nothing, and the commit is completed", async () => {
    const seen: string[] = [];
    const { port, store, memory } = await held(kind, (_, res) => {
      res.on("close", () => seen.push("close"));
      pipeline(inPieces(), res).catch(() => seen.push("failed"));
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    wire.socket.destroy();
    await until(() => seen.includes("close"));
    await store.waiting[0]!.complete();
    await until(() => seen.includes("failed"));
    expect(await stored(memory)).toBe(1);
    store.holds = false;
    expect((await ask(port, "HEAD").response("HEAD")).status).toBe(200);
  });

  test("the next requests of the connection are served in their order", async () => {
    const { port, store, sessions } = await held(kind, (req, res) =>
      res.end(`${req.url!} ${sessions.of(req).keys().join()}`),
    );
    const wire = new Wire(port).send("GET", "/1").send("GET", "/2");
    await until(() => store.waiting.length === 2);
    await store.waiting[1]!.complete();
    await settle();
    expect(wire.bytes).toHaveLength(0);
    await store.waiting[0]!.complete();
    const [first, second] = [await wire.response(), await wire.response()];
    expect([first.text, second.text]).toEqual(["/1 n", "/2 n"]);
    expect(cookieOf(first)).not.toBe(cookieOf(second));
    store.holds = false;
    expect((await wire.send("GET", "/3", { cookie: cookieOf(first)! }).response()).text).toBe("/3 n");
  });

  test.each([
    ["end", (res: ServerResponse) => res.end("hello")],
    [
      "write",
      (res: ServerResponse) => {
        res.write("hello");
        res.end();
      },
    ],
    [
      "flushHeaders",
      (res: ServerResponse) => {
        res.flushHeaders();
        res.end("hello");
      },
    ],
    ["writeHead", (res: ServerResponse) => res.writeHead(201).end("hello")],
  ])("middleware that wrapped writeHead later is asked once, before the session's headers: %s", async (_, send) => {
    let asked = 0;
    const wrap: Middleware = (_, res, next) => {
      const { writeHead } = res;
      res.writeHead = (...args: unknown[]) => {
        asked++;
        res.setHeader("Cache-Control", "public");
        return writeHead.apply(res, args as never);
      };
      next();
    };
    const { port, store } = await held(kind, (_, res) => send(res), { after: [wrap] });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.text, asked]).toEqual(["hello", 1]);
    expect(response.header("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
  });

  describe.each(["before", "after"] as const)("with compression mounted %s it,", (place) => {
    const sent: [string, Handler, string][] = [
      ["end", (_, res) => res.end("hello ".repeat(1000)), "hello ".repeat(1000)],
      [
        "small writes, each after a drain where one is due",
        (_, res) => {
          const finish = (): unknown => res.end("two");
          if (res.write("one ")) finish();
          else res.once("drain", finish);
        },
        "one two",
      ],
      [
        "flushHeaders before writes",
        (_, res) => {
          res.flushHeaders();
          res.write("one ");
          res.end("two");
        },
        "one two",
      ],
      ["a piped stream", (_, res) => void inPieces().pipe(res), big.toString("latin1")],
      ["a pipeline of small pieces", (_, res) => pipeline(inPieces(1000), res), big.toString("latin1")],
    ];

    test.each(sent)("the content decodes: %s", async (_, handler, content) => {
      const { port, store } = await held(
        kind,
        (req, res) => {
          res.setHeader("Content-Type", "text/plain");
          return handler(req, res);
        },
        { [place]: [compress] },
      );
      const wire = ask(port, "GET", "/", { "accept-encoding": "gzip" });
      await until(() => store.waiting.length === 1);
      await settle();
      expect(wire.bytes).toHaveLength(0);
      await store.waiting[0]!.complete();
      const response = await wire.response();
      expect(response.header("content-encoding")).toBe("gzip");
      expect(digest(gunzipSync(response.body))).toBe(digest(Buffer.from(content, "latin1")));
      expect(cookieOf(response)).toBeDefined();
      expect(response.header("vary")!.split(", ").sort()).toEqual(["Accept-Encoding", "Cookie"]);
    });

    test("the error response is whole, and none of the handler's", async () => {
      const { port, store } = await held(
        kind,
        (_, res) => {
          res.setHeader("Content-Type", "text/plain");
          res.end("hello ".repeat(1000));
        },
        { [place]: [compress] },
      );
      const wire = ask(port, "GET", "/", { "accept-encoding": "gzip" });
      await until(() => store.waiting.length === 1);
      await settle();
      await breakDown(store);
      const response = await wire.response();
      expect([response.status, cookieOf(response)]).toEqual([503, undefined]);
      const body = response.header("content-encoding") === "gzip" ? gunzipSync(response.body) : response.body;
      expect(body.toString()).not.toContain("hello");
      expect(body.length).toBeGreaterThan(0);
    });
  });
});

describe.each(kinds)("When the store fails, on %s,", (kind) => {
  test("the response is a 503 without anything of the handler's", async () => {
    const { port, store, memory } = await held(
      kind,
      (_, res) => {
        res.setHeader("ETag", '"1"');
        res.setHeader("X-Before", "changed");
        res.appendHeader("Set-Cookie", "app=1");
        res.writeHead(201, "Made", {
          "Content-Type": "image/png",
          "Content-Encoding": "br",
          "Content-Length": 3,
          "Last-Modified": "yesterday",
          Date: "never",
        });
        res.addTrailers({ "X-Sum": "42" });
        res.end("abc");
      },
      {
        before: [
          (_, res, next) => {
            res.setHeader("X-Before", "kept");
            res.setHeader("X-Removed", "kept");
            next();
          },
        ],
        after: [
          (_, res, next) => {
            res.removeHeader("X-Removed");
            next();
          },
        ],
      },
    );
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await settle();
    expect(wire.bytes).toHaveLength(0);
    await breakDown(store);
    const response = await wire.response();
    expect([response.status, response.reason]).toEqual([503, "Service Unavailable"]);
    expect(["etag", "content-encoding", "last-modified", "set-cookie"].map((name) => response.header(name))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([response.header("x-before"), response.header("x-removed")]).toEqual(["kept", "kept"]);
    expect(response.header("content-type")).toMatch(/^text\//);
    expect(response.header("cache-control")).toBe("no-store");
    expect(Date.parse(response.header("date")!)).not.toBeNaN();
    expect([response.text.includes("abc"), response.trailers]).toEqual([false, ""]);
    await until(() => wire.isClosed);
    expect([wire.bytes.length, await stored(memory)]).toEqual([0, 0]);
  });

  test("later writes of the handler are swallowed, and its callbacks are called", async () => {
    const seen: string[] = [];
    let goOn = (): void => undefined;
    const wait = new Promise<void>((resolve) => (goOn = resolve));
    const { port, store } = await held(kind, async (req, res) => {
      if (req.url === "/again") return res.end();
      res.write("one", () => seen.push("one"));
      await wait;
      seen.push(String(res.write("two", () => seen.push("two"))));
      res.writeHead(201);
      res.flushHeaders();
      return res.end("three", () => seen.push("three"));
    });
    const wire = new Wire(port).send();
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    const response = await wire.response();
    goOn();
    await until(() => seen.length === 4);
    await settle();
    expect(seen.sort()).toEqual(["one", "three", "true", "two"]);
    expect([response.status, /\b(one|two|three)\b/.test(response.text)]).toEqual([503, false]);
    expect(wire.bytes).toHaveLength(0);
    // The connection is still in step.
    store.failure = new Error("down");
    expect((await wire.send("GET", "/again").response()).status).toBe(503);
  });

  test.each([
    ["pipe", (source: Readable, res: ServerResponse) => void source.pipe(res)],
    ["pipeline", (source: Readable, res: ServerResponse) => void pipeline(source, res).catch(() => undefined)],
  ])("what a stream still sends by %s is swallowed, and the stream is let go", async (_, send) => {
    let isOver = false;
    const { port, store } = await held(kind, (_, res) => {
      const source = inPieces();
      for (const event of ["end", "close"]) source.on(event, () => (isOver = true));
      res.on("unpipe", () => (isOver = true));
      send(source, res);
    });
    const wire = new Wire(port).send();
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    const response = await wire.response();
    expect(response.status).toBe(503);
    expect(response.body.length).toBeLessThan(10_000);
    await until(() => isOver);
    await settle();
    expect(wire.bytes).toHaveLength(0);
  });

  test("a client that has gone away breaks nothing", async () => {
    const seen: string[] = [];
    const { port, store } = await held(kind, (_, res) => {
      res.on("close", () => seen.push("close"));
      res.end("hello");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    wire.socket.destroy();
    await until(() => seen.includes("close"));
    await breakDown(store);
    await settle();
    store.failure = new Error("down");
    expect((await ask(port).response()).status).toBe(503);
  });

  test("a session that cannot be loaded is a 503, and the handler does not run", async () => {
    const given = setup();
    const headers = await signIn(given.sessions, { n: 1 });
    let ran = false;
    const port = await site(kind, given, (_, res) => {
      ran = true;
      res.end();
    });
    given.store.failure = new Error("down");
    const response = await ask(port, "GET", "/", headers).response();
    expect([response.status, ran, cookieOf(response)]).toEqual([503, false, undefined]);
  });

  test("an explicit commit that failed is tried again with the response", async () => {
    const given = setup();
    const { sessions, store, memory } = given;
    store.holds = true;
    const codes: string[] = [];
    const port = await site(kind, given, async (req, res) => {
      const session = sessions.of(req);
      session.put("n", 1);
      await sessions.commit(session).catch((error: unknown) => codes.push((error as SessionError).code));
      await until(() => store.failure === undefined);
      res.end("hello");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    await until(() => codes.length === 1);
    store.failure = undefined;
    await until(() => store.waiting.length === 1);
    await settle();
    expect(wire.bytes).toHaveLength(0);
    store.holds = false;
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.text, codes, await stored(memory)]).toEqual(["hello", ["store-unavailable"], 1]);
    expect(cookieOf(response)).toBeDefined();
  });
});

describe.each(["express", "express-4"] as const)("The error handlers of %s", (kind) => {
  type Page = (error: unknown, req: Request, res: ExpressResponse, next: NextFunction) => unknown;
  const pages: [string, Page][] = [
    [
      "that is synchronous",
      (error, _req, res, _next) => {
        const { status, code } = error as SessionError;
        res.status(status).json({ code, isOurs: error instanceof SessionError });
      },
    ],
    [
      "that is asynchronous",
      async (error, _req, res, _next) => {
        await settle();
        const { status, code } = error as SessionError;
        res.status(status).json({ code, isOurs: error instanceof SessionError });
      },
    ],
    [
      "that streams",
      (error, _req, res, _next) => {
        const { status, code } = error as SessionError;
        res.status(status).type("json");
        Readable.from(['{"code":', JSON.stringify(code), ',"isOurs":true}']).pipe(res);
      },
    ],
  ];

  test.each(pages)("answer: one %s", async (_, page) => {
    const { port, store } = await held(
      kind,
      (_, res) => {
        (res as ExpressResponse).set("X-A", "1").send("hello");
      },
      { onError: (error, req, res, next) => void page(error, req, res, next) },
    );
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    const response = await wire.response();
    expect([response.status, JSON.parse(response.text)]).toEqual([503, { code: "store-unavailable", isOurs: true }]);
    expect([response.header("x-a"), response.header("etag")]).not.toContain("1");
    expect([cookieOf(response), response.header("cache-control")]).toEqual([undefined, "no-store"]);
  });

  test("answer alone while the handler goes on after the failed commit", async () => {
    let goOn = (): void => undefined;
    const wait = new Promise<void>((resolve) => (goOn = resolve));
    const seen: string[] = [];
    const { port, store } = await held(
      kind,
      (_, res) => {
        res.write("hello");
        res.once("drain", () => {
          (res as ExpressResponse).set("X-Late", "1").set("Content-Length", "4").send("late");
          seen.push("late");
        });
      },
      {
        onError: async (error, _req, res, _next) => {
          await wait;
          res.status((error as SessionError).status).send("sorry");
        },
      },
    );
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    await until(() => seen.length === 1);
    await settle();
    expect(wire.bytes).toHaveLength(0);
    goOn();
    const response = await wire.response();
    expect([response.status, response.text, response.header("x-late")]).toEqual([503, "sorry", undefined]);
  });

  test("answer alone while code that has lost its request writes on, as broadcasts do", async () => {
    let goOn = (): void => undefined;
    const wait = new Promise<void>((resolve) => (goOn = resolve));
    let response: ServerResponse | undefined;
    const seen: string[] = [];
    const { port, store } = await held(
      kind,
      (_, res) => {
        response = res;
        res.write("hello");
      },
      {
        onError: async (_error, _req, res, _next) => {
          seen.push("called");
          await wait;
          res.status(503).send("sorry");
        },
      },
    );
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    await until(() => seen.length === 1);
    response!.write("broadcast");
    await settle();
    expect(wire.bytes).toHaveLength(0);
    goOn();
    const answer = await wire.response();
    expect([answer.status, answer.text]).toEqual([503, "sorry"]);
    response!.write("broadcast");
    response!.end();
    await until(() => wire.isClosed);
    expect(wire.bytes).toHaveLength(0);
  });

  test("answer also from code that has lost its request, once the handler has ended", async () => {
    let answerLater = (): void => undefined;
    const { port, store } = await held(kind, (_, res) => res.end("hello"), {
      onError: (_error, _req, res, _next) => {
        answerLater = () => res.status(503).send("sorry");
      },
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    const before = answerLater;
    await breakDown(store);
    await until(() => answerLater !== before);
    answerLater();
    const answer = await wire.response();
    expect([answer.status, answer.text]).toEqual([503, "sorry"]);
  });

  test("answer also from a callback in the context of another request, which opened the connection", async () => {
    const calls: (() => void)[] = [];
    const database = await listen(createNetServer((socket) => socket.pipe(socket)));
    let shared: Socket | undefined;
    const query = (callback: () => void): void => {
      if (shared === undefined) {
        shared = connect(Number(database), "127.0.0.1");
        shared.on("data", () => calls.shift()?.());
      }
      calls.push(callback);
      shared.write("?");
    };
    onTestFinished(() => void shared?.destroy());
    const given = setup();
    const handler = (req: IncomingMessage, res: ServerResponse): void => {
      if (req.url === "/warm") {
        query(() => res.end("warm"));
        return;
      }
      given.sessions.of(req).put("n", 1);
      res.end("hello");
    };
    const port = await site(kind, given, handler, {
      onError: (_error, _req, res, _next) => query(() => res.status(503).send("sorry")),
    });
    expect((await ask(port, "GET", "/warm").response()).text).toBe("warm");
    given.store.failure = new Error("down");
    const answer = await ask(port, "GET", "/put").response();
    expect([answer.status, answer.text]).toEqual([503, "sorry"]);
  });

  test("hear of a transport that throws", async () => {
    const errors: string[] = [];
    const transport = { ...header("X-Session"), write: () => { throw new Error("no header today"); } }; // prettier-ignore
    const given = setup({ transport });
    const port = await site(
      kind,
      given,
      (req, res) => {
        given.sessions.of(req).put("n", 1);
        res.end("hello");
      },
      {
        onError: (error, _req, res, _next) => {
          errors.push((error as Error).message);
          res.status(500).send("sorry");
        },
      },
    );
    const response = await ask(port).response();
    expect([response.status, response.text, errors]).toEqual([500, "sorry", ["no header today"]]);
  });

  test("may look at the session although it could not be loaded", async () => {
    const given = setup();
    const cookie = (await signIn(given.sessions, { n: 1 }))["cookie"]!;
    const port = await site(kind, given, (_, res) => res.end("hello"), {
      onError: (error, req, res, _next) => {
        const session = given.sessions.of(req);
        res.status((error as SessionError).status).send(`${session.available}, ${String(session.get("n"))}`);
      },
    });
    given.store.failure = new Error("down");
    const response = await ask(port, "GET", "/", { cookie }).response();
    expect([response.status, response.text]).toEqual([503, "false, undefined"]);
  });

  test("answer alone where the handler fails after the commit has", async () => {
    let goOn = (): void => undefined;
    const wait = new Promise<void>((resolve) => (goOn = resolve));
    const errors: string[] = [];
    const { port, store } = await held(
      kind,
      (_, res) => {
        res.write("hello");
        res.once("drain", () => (res as ExpressResponse).req.next!(new Error("late")));
      },
      {
        onError: async (error, _req, res, _next) => {
          errors.push((error as SessionError).code);
          await wait;
          res.status(503).send("sorry");
        },
      },
    );
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await breakDown(store);
    await settle();
    expect(wire.bytes).toHaveLength(0);
    goOn();
    const response = await wire.response();
    expect([response.status, errors, response.text]).toEqual([503, ["store-unavailable"], "sorry"]);
    expect(response.header("content-security-policy")).toBeUndefined();
  });

  test("get what a handler throws after it has ended; the session is stored", async () => {
    const { port, store, memory } = await held(kind, (_, res) => {
      res.end("hello");
      throw new Error("late");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await store.waiting[0]!.complete();
    await until(() => wire.isClosed);
    expect(await stored(memory)).toBe(1);
    // As with every Express: the default error handler cuts the connection of a response that is on its way.
    expect(wire.text).not.toContain("HTTP/1.1 500");
  });

  test("store the session with the error response that they send", async () => {
    const given = setup();
    const port = await site(kind, given, (req) => {
      given.sessions.of(req).put("n", 1);
      throw new Error("broken");
    });
    const response = await ask(port).response();
    expect([response.status, cookieOf(response) !== undefined, await stored(given.memory)]).toEqual([500, true, 1]);
  });
});
