/** What the contract cannot say of Fastify: its plugins, hooks, replies, and its own way with errors. */

import { once } from "node:events";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { createGzip, gunzipSync } from "node:zlib";
import fastifyCookie from "@fastify/cookie";
import fastifyMultipart from "@fastify/multipart";
import fastifySession from "@fastify/session";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from "fastify";
import { SessionError, type Session } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave } from "scs-session/fastify";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { loadAndSave as onNode } from "scs-session/node";
import { signIn } from "scs-session/testing";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask, cookieOf, settle, setup, stored, until, Wire, type Data, type Setup } from "./support.ts";

/** An application with sessions, that ends with the test. */
function application(given: Setup, options: FastifyServerOptions = {}): FastifyInstance {
  const app = Fastify({ forceCloseConnections: true, ...options });
  onTestFinished(() => app.close());
  app.register(loadAndSave(given.sessions));
  return app;
}

/** Listens until the test is over; answers with the port. */
async function listen(app: FastifyInstance): Promise<string> {
  await app.listen({ host: "127.0.0.1", port: 0 });
  return String((app.server.address() as AddressInfo).port);
}

/** The codes and messages of what an application logs as warnings and errors. */
function logged(): { readonly lines: string[]; readonly logger: object } {
  const lines: string[] = [];
  const write = (line: string): void => {
    const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { code?: string } };
    if (level >= 40) lines.push(err?.code ?? msg);
  };
  return { lines, logger: { level: "warn", stream: { write } } };
}

describe("the plugin", () => {
  test("is not encapsulated: what is registered beside and below has sessions", async () => {
    const given = setup();
    const app = application(given);
    const handler = async (request: object): Promise<string> => String(given.sessions.of(request).isNew);
    app.get("/beside", handler);
    app.register(
      async (child) => {
        child.get("/", handler);
      },
      { prefix: "/below" },
    );
    for (const url of ["/beside", "/below"]) expect((await app.inject(url)).body).toBe("true");
    expect([app.hasPlugin("scs-session"), app.printPlugins()]).toEqual([true, expect.stringContaining("scs-session")]);
  });

  test("serves one part of an application when it is registered there", async () => {
    const { sessions } = setup();
    const app = Fastify();
    const handler = async (request: object): Promise<string> => String(sessions.lookup(request) !== undefined);
    app.get("/", handler);
    app.register(async (child) => {
      child.register(loadAndSave(sessions));
      child.get("/shop", handler);
    });
    expect([(await app.inject("/")).body, (await app.inject("/shop")).body]).toEqual(["false", "true"]);
  });

  test("decorates the request with the property, as other plugins expect it", async () => {
    const { sessions } = setup();
    const app = Fastify();
    app.register(loadAndSave(sessions, { property: "visit", skip: ({ url }) => url === "/skipped" }));
    app.get("/", async (request) => {
      const own = request.getDecorator<Session<Data>>("visit");
      own.put("n", 1);
      return String(own === sessions.of(request) && (request as unknown as { visit: unknown }).visit === own);
    });
    app.get("/skipped", async (request) => String(request.getDecorator("visit")));
    expect((await app.inject("/")).body).toBe("true");
    expect((await app.inject("/skipped")).body).toBe("undefined");
    expect(app.hasRequestDecorator("visit")).toBe(true);
  });

  test("a property that another plugin has taken is refused at the start", async () => {
    const app = Fastify();
    app.register(fastifyCookie);
    app.register(fastifySession, { secret: "s".repeat(32) });
    app.register(loadAndSave(setup().sessions, { property: "session" }));
    await expect(app.ready()).rejects.toMatchObject({ code: "FST_ERR_DEC_ALREADY_PRESENT" });
  });

  test("works beside @fastify/session", async () => {
    const given = setup();
    const app = application(given);
    app.register(fastifyCookie);
    app.register(fastifySession, { secret: "s".repeat(32), cookieName: "other", cookie: { secure: false } });
    app.get("/", async (request) => {
      given.sessions.of(request).put("user", "anna");
      request.session.set("user" as never, "bob" as never);
      return "both";
    });
    const { cookies } = await app.inject("/");
    expect(cookies.map(({ name }) => name).sort()).toEqual(["other", "session"]);
  });

  test("called with another framework's arguments, and others called with Fastify's, say which is the right one", async () => {
    const { sessions } = setup();
    const failure = async (fn: (...args: never[]) => unknown, ...args: unknown[]): Promise<string> => {
      try {
        await fn(...(args as never[]));
        return "nothing";
      } catch (error) {
        return error instanceof SessionError ? `${error.code}: ${error.message}` : "another error";
      }
    };
    const app = Fastify();
    const next = (): void => undefined;
    expect(await failure(loadAndSave(sessions), { socket: {} }, {}, next)).toMatch(
      /^wrong-adapter: .*"scs-session\/express"/,
    );
    expect(await failure(loadAndSave(sessions), { ctx: {} }, next)).toMatch(/^wrong-adapter: .*Koa or Hono/);
    expect(await failure(loadAndSave, next)).toMatch(/^wrong-adapter: /);
    // app.register(loadAndSave), app.register(loadAndSave(sessions))
    expect(await failure(loadAndSave, app, {})).toMatch(/^wrong-adapter: .*app\.register\(loadAndSave\(sessions\)\)/);
    for (const middleware of [onNode(sessions), onExpress(sessions)]) {
      expect(await failure(middleware, app, {}, next)).toMatch(/^wrong-adapter: .*"scs-session\/fastify"/);
    }
    expect(await failure(onFetch, app, {}, next)).toMatch(/^wrong-adapter: .*"scs-session\/fastify"/);
  });
});

describe("a failed commit", () => {
  type Answer = (reply: FastifyReply) => FastifyReply;
  const answers: Record<string, Answer> = {
    text: (reply) => reply.send("of the handler"),
    JSON: (reply) => reply.send({ of: "the handler" }),
    "JSON of a schema": (reply) => reply.code(201).send({ of: "the handler" }),
    bytes: (reply) => reply.type("image/png").send(Buffer.from("of the handler")),
    nothing: (reply) => reply.code(204).send(),
    "a redirect": (reply) => reply.redirect("/of-the-handler"),
    "a stream": (reply) => reply.header("content-length", 14).send(Readable.from(["of the", " handler"])),
    "a stream of the web": (reply) => reply.send(new Blob(["of the handler"]).stream()),
    "a Response": (reply) => reply.send(new Response("of the handler", { status: 201, headers: { "x-own": "2" } })),
    "a reply with trailers": (reply) => reply.trailer("x-sum", async () => "1").send("of the handler"),
    "a stream with trailers": (reply) =>
      reply.trailer("x-sum", async () => "1").send(Readable.from(["of the handler"])),
    "an error page": () => {
      throw Object.assign(new Error("of the handler"), { statusCode: 418 });
    },
  };
  const schema = { response: { 201: { type: "object", properties: { of: { type: "string" } } } } };

  function failing(given: Setup, answer: Answer, options: FastifyServerOptions = {}): FastifyInstance {
    const app = application(given, options);
    app.register(fastifyCookie);
    app.get("/", { schema }, async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.headers({ "x-own": "1", etag: '"1"', "set-cookie": "own=1" }).setCookie("app", "1");
      reply.raw.setHeader("x-raw", "1");
      return answer(reply);
    });
    given.store.failure = new Error("down");
    return app;
  }

  test.each(Object.entries(answers))(
    "of %s is a 503 of Fastify's own, with nothing of the handler's",
    async (what, answer) => {
      const { lines, logger } = logged();
      const port = await listen(failing(setup(), answer, { logger }));
      const response = await ask(port).response();
      await settle();
      // Fastify does not log an error that comes while it answers one.
      expect([response.status, lines]).toEqual([503, what === "an error page" ? [] : ["store-unavailable"]]);
      expect(JSON.parse(response.text)).toEqual({
        statusCode: 503,
        code: "store-unavailable",
        error: "Service Unavailable",
        message: expect.any(String) as string,
      });
      const names = response.head.split("\r\n").slice(1).map((line) => line.split(":")[0]!.toLowerCase()); // prettier-ignore
      expect(names.sort()).toEqual(["cache-control", "connection", "content-length", "content-type", "date"]);
      expect(response.header("content-type")).toBe("application/json; charset=utf-8");
    },
  );

  test.each(Object.entries(answers).filter(([name]) => name !== "an error page"))(
    "of %s goes to the error handler, which answers in its time",
    async (_, answer) => {
      const given = setup();
      const app = failing(given, answer);
      app.setErrorHandler<SessionError>(async (error, request, reply) => {
        await settle();
        const own = given.sessions.current() === given.sessions.of(request);
        return reply.code(error.statusCode).send(Readable.from([error.code, ` ${String(own)}`]));
      });
      const response = await ask(await listen(app)).response();
      expect([response.status, response.text]).toEqual([503, "store-unavailable true"]);
      expect([response.all("set-cookie"), response.header("x-own"), response.header("trailer")]).toEqual([
        [],
        undefined,
        undefined,
      ]);
    },
  );

  test("is no 200, even where the error handler forgets the status", async () => {
    const app = failing(setup(), answers["text"]!);
    app.setErrorHandler(async () => ({ oops: true }));
    const response = await app.inject("/");
    expect([response.statusCode, response.json()]).toEqual([503, { oops: true }]);
  });

  test("is answered by Fastify where the error handler throws itself", async () => {
    const app = failing(setup(), answers["text"]!);
    app.setErrorHandler(() => {
      throw new Error("the error handler is broken");
    });
    const response = await app.inject("/");
    expect([response.statusCode, response.json<{ message: string }>().message]).toEqual([
      503,
      "the error handler is broken",
    ]);
    expect(response.cookies).toEqual([]);
  });

  test("of an error page goes to the next error handler, as Fastify does it", async () => {
    const given = setup();
    const app = application(given);
    app.setErrorHandler(async (error: Error, _request, reply) =>
      reply.code(401).header("x-own", "1").send(error.message),
    );
    app.get("/", async (request) => {
      given.sessions.of(request).update("n", (n = 0) => n + 1);
      throw new Error("wrong password");
    });
    const counted = await app.inject("/");
    expect([counted.statusCode, counted.body, await stored(given.memory)]).toEqual([401, "wrong password", 1]);
    given.store.failure = new Error("down");
    const { statusCode, headers, json } = await app.inject("/");
    expect([statusCode, json<{ code: string }>().code, headers["x-own"]]).toEqual([
      503,
      "store-unavailable",
      undefined,
    ]);
  });

  test("leaves the headers that were there before loadAndSave, and no more of them", async () => {
    const given = setup();
    const app = Fastify();
    app.addHook("onRequest", async (_request, reply) => {
      reply.headers({ "x-frame-options": "DENY", "set-cookie": ["first=1"] });
      reply.raw.setHeader("x-raw", "1");
    });
    app.register(loadAndSave(given.sessions));
    app.get("/", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      return reply.removeHeader("x-frame-options").header("set-cookie", "second=2").header("x-raw", "2").send("hello");
    });
    const { headers: whole } = await app.inject("/");
    expect(whole["set-cookie"]).toEqual(["first=1", "second=2", expect.stringMatching(/^session=/)]);
    given.store.failure = new Error("down");
    const { headers } = await app.inject("/");
    expect(headers).toMatchObject({ "x-frame-options": "DENY", "x-raw": "1" });
    expect(headers["set-cookie"]).toEqual(["first=1"]);
  });

  test("lets the handler's stream go", async () => {
    const endless = new Readable({ read: () => void setImmediate(() => endless.push("x".repeat(10_000))) });
    const response = await failing(setup(), (reply) => reply.send(endless)).inject("/");
    expect(response.statusCode).toBe(503);
    await until(() => endless.destroyed);
  });

  test("is told to the onError hooks, and to the log", async () => {
    const { lines, logger } = logged();
    const app = failing(setup(), answers["text"]!, { logger });
    const seen: unknown[] = [];
    app.addHook("onError", async (_request, _reply, error) => void seen.push((error as { code?: string }).code));
    await app.inject("/");
    expect([seen, lines]).toEqual([["store-unavailable"], ["store-unavailable"]]);
  });

  test("after the client has gone harms nobody", async () => {
    const given = setup();
    const app = application(given);
    let closed: Promise<unknown> | undefined;
    app.get("/", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      closed = once(reply.raw, "close");
      return "hello";
    });
    app.get("/next", async () => "next");
    const port = await listen(app);
    given.store.holds = true;
    const wire = ask(port);
    await until(() => given.store.waiting.length === 1);
    wire.socket.destroy();
    await closed;
    await given.store.waiting[0]!.fail();
    await settle();
    expect((await ask(port, "GET", "/next").response()).text).toBe("next");
  });
});

describe("replies", () => {
  test("sent twice are Fastify's own error, while the session is being stored", async () => {
    const given = setup();
    const { lines, logger } = logged();
    const app = application(given, { logger });
    app.get("/", (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.send("first");
      reply.send("second");
    });
    given.store.holds = true;
    const asked = app.inject("/");
    await until(() => given.store.waiting.length === 1);
    expect(lines).toEqual(["FST_ERR_REP_ALREADY_SENT"]);
    await given.store.waiting[0]!.complete();
    expect([(await asked).body, lines]).toEqual(["first", ["FST_ERR_REP_ALREADY_SENT"]]);
  });

  test("of an async handler that does not return its reply are sent once", async () => {
    const given = setup();
    const { lines, logger } = logged();
    const app = application(given, { logger });
    app.get("/", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.send("first");
    });
    const response = await app.inject("/");
    expect([response.body, response.cookies.length, lines]).toEqual(["first", 1, []]);
  });

  test("that are hijacked are held, and break off with a bare 503 when the session cannot be stored", async () => {
    const given = setup();
    const { lines, logger } = logged();
    const app = application(given, { logger });
    app.get("/", (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream", "x-own": "1" });
      reply.raw.write("data: 1\n\n");
      reply.raw.end("data: 2\n\n");
    });
    const port = await listen(app);
    const response = await ask(port).response();
    expect([response.status, response.text]).toEqual([200, "data: 1\n\ndata: 2\n\n"]);
    expect(cookieOf(response)).toBeDefined();
    given.store.failure = new Error("down");
    const failed = await ask(port).response();
    expect([failed.status, failed.text, cookieOf(failed)]).toEqual([503, "Error\n", undefined]);
    expect([failed.header("content-type"), failed.header("x-own")]).toEqual(["text/plain", undefined]);
    expect(lines).toEqual(["store-unavailable"]);
  });

  test("written to reply.raw arrive as they are written, and their failure goes to the error handler", async () => {
    const given = setup();
    const app = application(given);
    const stream = new PassThrough();
    app.get("/", (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.raw.writeHead(200, { "content-type": "text/event-stream", "x-own": "1" });
      stream.pipe(reply.raw);
    });
    const port = await listen(app);
    const wire = ask(port);
    stream.write("data: 1\n\n");
    await until(() => wire.text.includes("data: 1\n\n"));
    expect(wire.text).toContain("set-cookie: session=".replace("set-cookie", "Set-Cookie"));
    stream.end("data: 2\n\n");
    expect((await wire.response()).text).toBe("data: 1\n\ndata: 2\n\n");
    given.store.failure = new Error("down");
    const failed = await ask(port).response();
    expect([failed.status, failed.header("x-own")]).toEqual([503, undefined]);
    expect(JSON.parse(failed.text)).toMatchObject({ code: "store-unavailable" });
  });

  test("with trailers keep them", async () => {
    const given = setup();
    const app = application(given);
    app.get("/", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      reply.trailer("x-sum", async () => "42");
      return reply.send(Readable.from(["one,", "two"]));
    });
    const response = await ask(await listen(app)).response();
    expect([response.text, response.trailers]).toEqual(["one,two", "x-sum: 42"]);
    expect(cookieOf(response)).toBeDefined();
  });

  test("whose stream breaks before its first byte are Fastify's error responses, and the session is stored", async () => {
    const given = setup();
    const app = application(given);
    app.get("/", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      const broken = new Readable({ read: () => void broken.destroy(new Error("no such file")) });
      return reply.send(broken);
    });
    const response = await ask(await listen(app)).response();
    expect([response.status, JSON.parse(response.text)]).toEqual([
      500,
      { statusCode: 500, error: "Internal Server Error", message: "no such file" },
    ]);
    expect([cookieOf(response) !== undefined, await stored(given.memory)]).toEqual([true, 1]);
  });

  test("to HEAD, to unknown routes and to refused bodies have the session's cookie", async () => {
    const given = setup();
    const app = application(given);
    app.addHook("preValidation", async (request) => {
      given.sessions.of(request).put("n", 1);
    });
    app.get("/", async () => "hello");
    app.post("/", { schema: { body: { type: "object", required: ["name"] } } }, async () => "hello");
    app.setNotFoundHandler(async (request, reply) =>
      reply.code(404).send(String(given.sessions.of(request).getNumber("n"))),
    );
    app.get("/missing", (_request, reply) => reply.callNotFound());
    const head = await app.inject({ method: "HEAD", url: "/" });
    expect([head.statusCode, head.headers["content-length"], head.cookies.length]).toEqual([200, "5", 1]);
    for (const url of ["/unknown", "/missing"]) {
      const missing = await app.inject(url);
      expect([missing.statusCode, missing.body, missing.cookies.length]).toEqual([404, "1", 1]);
    }
    const refused = await app.inject({ method: "POST", url: "/", payload: {} });
    expect([refused.statusCode, refused.cookies.length]).toEqual([400, 1]);
  });

  test("of HTTP/2 are held, and fail, like others", async () => {
    const given = setup();
    const app = Fastify({ http2: true });
    onTestFinished(() => app.close());
    app.register(loadAndSave(given.sessions));
    app.get("/", async (request) => {
      given.sessions.of(request).put("n", 1);
      return "hello";
    });
    const session = connect(await app.listen({ host: "127.0.0.1", port: 0 }));
    onTestFinished(() => session.destroy());
    const get = async (): Promise<unknown[]> => {
      const stream = session.request({ ":path": "/" });
      const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
      return [headers[":status"], (headers["set-cookie"] as string[] | undefined)?.length, await text(stream)];
    };
    expect(await get()).toEqual([200, 1, "hello"]);
    given.store.failure = new Error("down");
    expect(await get()).toEqual([503, undefined, expect.stringContaining("store-unavailable")]);
  });
});

describe("other plugins", () => {
  test.each(["before", "after"])("with onSend hooks %s it may change payload and session", async (place) => {
    const given = setup();
    const app = Fastify();
    if (place === "after") app.register(loadAndSave(given.sessions));
    app.addHook("onSend", async (request, reply, payload) => {
      await settle();
      given.sessions.of(request).put("user", "anna");
      reply.header("x-later", "1");
      return `${String(payload)}, anna`;
    });
    if (place === "before") app.register(loadAndSave(given.sessions));
    app.get("/", async (request) => {
      given.sessions.of(request).put("n", 1);
      return "hello";
    });
    const response = await app.inject("/");
    expect([response.body, response.headers["x-later"], response.cookies.length]).toEqual(["hello, anna", "1", 1]);
    const session = await given.sessions.load(response.cookies[0]!.value);
    expect([session.get("user"), session.get("n")]).toEqual(["anna", 1]);
  });

  test("whose onSend hooks fail lead to an error response, with which the session is stored", async () => {
    const given = setup();
    const app = application(given);
    app.addHook("onSend", async (_request, reply) => {
      if (reply.statusCode === 200) throw new Error("broken hook");
    });
    app.get("/", async (request) => {
      given.sessions.of(request).put("n", 1);
      return "hello";
    });
    const response = await app.inject("/");
    expect([response.statusCode, response.json<{ message: string }>().message]).toEqual([500, "broken hook"]);
    expect([response.cookies.length, await stored(given.memory)]).toEqual([1, 1]);
  });

  test.each(["before", "after"])("that compress, registered %s it, compress the error response, too", async (place) => {
    const given = setup();
    const app = Fastify();
    onTestFinished(() => app.close());
    if (place === "after") app.register(loadAndSave(given.sessions));
    app.addHook("onSend", async (_request, reply, payload) => {
      reply.header("content-encoding", "gzip").removeHeader("content-length");
      return (typeof payload === "string" ? Readable.from([payload]) : (payload as Readable)).pipe(createGzip());
    });
    if (place === "before") app.register(loadAndSave(given.sessions));
    const long = "of the handler ".repeat(10_000);
    app.get("/text", async (request) => {
      given.sessions.of(request).put("n", 1);
      return long;
    });
    app.get("/stream", async (request, reply) => {
      given.sessions.of(request).put("n", 1);
      return reply.send(Readable.from([long, long]));
    });
    const port = await listen(app);
    for (const path of ["/text", "/stream"]) {
      const response = await ask(port, "GET", path).response();
      expect(gunzipSync(response.body).toString()).toBe(path === "/text" ? long : long + long);
      expect(cookieOf(response)).toBeDefined();
    }
    given.store.failure = new Error("down");
    for (const path of ["/text", "/stream"]) {
      const failed = await ask(port, "GET", path).response();
      expect([failed.status, failed.header("content-encoding")]).toEqual([503, "gzip"]);
      expect(JSON.parse(gunzipSync(failed.body).toString())).toMatchObject({ code: "store-unavailable" });
    }
  });

  test("of which @fastify/multipart is one keep current(), while files come in and afterwards", async () => {
    const given = setup();
    const app = application(given);
    app.register(fastifyMultipart);
    const isOwn = (request: object): boolean => given.sessions.current() === given.sessions.of(request);
    app.post("/", async (request) => {
      const seen: unknown[] = [];
      for await (const part of request.parts()) {
        seen.push(isOwn(request));
        if (part.type !== "file") continue;
        await new Promise((resolve) => {
          part.file.on("data", () => void seen.push(isOwn(request)));
          part.file.on("end", resolve);
        });
        seen.push(isOwn(request));
      }
      given.sessions.current().put("n", seen.length);
      return seen;
    });
    const form = new FormData();
    form.set("name", "anna");
    form.set("file", new Blob(["x".repeat(200_000)]), "x.txt");
    form.set("last", "1");
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/`, { method: "POST", body: form });
    const seen = (await response.json()) as unknown[];
    expect([seen.length > 5, new Set(seen)]).toEqual([true, new Set([true])]);
    expect(response.headers.getSetCookie()).toHaveLength(1);
  });
});

describe("requests", () => {
  test("by inject work without a connection, streamed ones included", async () => {
    const given = setup();
    const app = application(given);
    app.get("/", async (request, reply) => {
      given.sessions.of(request).update("n", (n = 0) => n + 1);
      return reply.send(Readable.from(["visit ", String(given.sessions.of(request.raw).get("n"))]));
    });
    const headers = await signIn(given.sessions, { n: 1 });
    expect((await app.inject({ url: "/", headers })).body).toBe("visit 2");
    const streamed = await app.inject({ url: "/", headers, payloadAsStream: true });
    expect([await text(streamed.stream()), streamed.cookies.length]).toEqual(["visit 3", 1]);
    given.store.failure = new Error("down");
    expect((await app.inject({ url: "/", headers })).statusCode).toBe(503);
    expect((await app.inject({ url: "/", payloadAsStream: true })).statusCode).toBe(503);
  });

  test("whose body breaks off harm nobody, and a destroy before that is carried out", async () => {
    const given = setup();
    const app = application(given);
    let isRunning = false;
    app.addHook("preParsing", async (request) => {
      given.sessions.of(request).destroy();
      isRunning = true;
    });
    app.post("/", async () => "hello");
    const port = await listen(app);
    const headers = await signIn(given.sessions, { n: 1 });
    const wire = new Wire(port).send(
      "POST",
      "/",
      { ...headers, "content-type": "text/plain", "content-length": "9" },
      "abc",
    );
    await until(() => isRunning);
    wire.socket.destroy();
    while ((await stored(given.memory)) > 0) await settle();
    expect((await ask(port, "POST").response()).status).toBe(200);
  });

  test("that Fastify gives up are its error responses, with which the session is stored", async () => {
    const given = setup();
    const app = application(given);
    app.get("/", { handlerTimeout: 20 }, async (request) => {
      given.sessions.of(request).put("n", 1);
      await new Promise(() => undefined);
    });
    const response = await app.inject("/");
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([503, "FST_ERR_HANDLER_TIMEOUT"]);
    expect([response.cookies.length, await stored(given.memory)]).toEqual([1, 1]);
  });

  test("that Fastify gives up while their session is loaded are answered once, whatever becomes of the load", async () => {
    const given = setup();
    const { lines, logger } = logged();
    const app = application(given, { logger });
    let runs = 0;
    app.get("/", { handlerTimeout: 20 }, async () => {
      runs++;
      return "hello";
    });
    const port = await listen(app);
    const headers = await signIn(given.sessions, { n: 1 });
    given.store.holds = true;
    for (const end of ["complete", "fail"] as const) {
      const response = await ask(port, "GET", "/", headers).response();
      expect([response.status, response.text]).toEqual([503, expect.stringContaining("FST_ERR_HANDLER_TIMEOUT")]);
      await given.store.waiting[0]![end]();
      await settle();
    }
    expect(runs).toBe(0);
    expect(lines).toEqual(["FST_ERR_HANDLER_TIMEOUT", "FST_ERR_HANDLER_TIMEOUT", "store-unavailable"]);
  });

  test("whose load fails while the answer to a timeout still streams are not disturbed", async () => {
    const given = setup();
    const { lines, logger } = logged();
    const app = application(given, { logger });
    const stream = new PassThrough();
    app.setErrorHandler(async (_error, _request, reply) => reply.code(503).send(stream));
    app.get("/", { handlerTimeout: 20 }, async () => "hello");
    const headers = await signIn(given.sessions, { n: 1 });
    given.store.holds = true;
    const wire = ask(await listen(app), "GET", "/", headers);
    stream.write("too ");
    await until(() => wire.text.includes("too "));
    await given.store.waiting[0]!.fail();
    await settle();
    stream.end("late");
    expect((await wire.response()).text).toBe("too late");
    expect(lines).toEqual(["store-unavailable"]);
  });

  test("of several managers have their sessions independently, each under its property", async () => {
    const [shop, admin] = [setup({ cookie: { name: "shop" } }), setup({ cookie: { name: "admin" } })];
    const app = Fastify();
    app.register(loadAndSave(shop.sessions, { property: "shop" }));
    app.register(async (child) => {
      child.register(loadAndSave(admin.sessions, { property: "admin" }));
      child.get("/admin", async (request) => {
        request.getDecorator<Session<Data>>("shop").put("n", 1);
        request.getDecorator<Session<Data>>("admin").put("n", 2);
        return [shop.sessions.current().get("n"), admin.sessions.current().get("n")];
      });
    });
    app.get("/", async (request) => [
      shop.sessions.lookup(request)?.get("n"),
      admin.sessions.lookup(request)?.get("n"),
    ]);
    const first = await app.inject("/admin");
    expect([first.json(), first.cookies.map(({ name }) => name).sort()]).toEqual([
      [1, 2],
      ["admin", "shop"],
    ]);
    const cookies = Object.fromEntries(first.cookies.map(({ name, value }) => [name, value]));
    expect((await app.inject({ url: "/", cookies })).json()).toEqual([1, null]);
  });
});

test("errors have the shape of http-errors, by which Nest's exception filter knows their status", () => {
  const [down, gone] = [new SessionError("store-unavailable", "…"), new SessionError("gone", "…")];
  expect([down.status, down.statusCode, down.expose]).toEqual([503, 503, false]);
  expect([gone.status, gone.statusCode, gone.expose]).toEqual([409, 409, true]);
});
