/** The Hono adapter: what the contract cannot say, and the middleware that may stand around it. */

import { AsyncResource } from "node:async_hooks";
import type { ServerResponse } from "node:http";
import { createAdaptorServer, upgradeWebSocket } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { compress } from "hono/compress";
import { contextStorage, getContext } from "hono/context-storage";
import { setCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { csrf } from "hono/csrf";
import { etag, RETAINED_304_HEADERS } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { jsx } from "hono/jsx";
import { jsxRenderer } from "hono/jsx-renderer";
import { methodOverride } from "hono/method-override";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { stream, streamSSE, streamText } from "hono/streaming";
import { testClient } from "hono/testing";
import { timeout } from "hono/timeout";
import { SessionManager } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { loadAndSave } from "scs-session/hono";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, signIn } from "scs-session/testing";
import { describe, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { ask, cookieOf, listen, settle, setup, stored, until, Wire } from "./support.ts";

const names = (response: Response): string[] => response.headers.getSetCookie().map((line) => line.split("=")[0]!);
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const statusOf = (error: unknown): 503 => (error as { status: 503 }).status;
/** Serves an application on Node until the test is over. */
const serve = ({ fetch }: Pick<Hono, "fetch">): Promise<string> => listen(createAdaptorServer({ fetch }));

describe("the wrong adapter", () => {
  test("without a manager it throws at once", () => {
    expect(() => loadAndSave({} as never)).toThrow(expect.objectContaining({ code: "wrong-adapter" }) as Error);
  });

  test.each([
    ["Express", [{ socket: {} }, {}, () => undefined], "scs-session/express"],
    ["fetch", [new Request("http://localhost/")], "scs-session/fetch"],
  ])("called with the arguments of %s it names the right one", async (_, args, right) => {
    const middleware = loadAndSave(setup().sessions) as (...args: unknown[]) => Promise<unknown>;
    const error = await middleware(...args).catch((reason: unknown) => reason);
    expect([codeOf(error), (error as Error).message]).toEqual(["wrong-adapter", expect.stringContaining(right)]);
  });

  test("another one that is mounted in Hono names this one", async () => {
    const { sessions } = setup();
    for (const other of [onExpress(sessions), onFetch(sessions, () => new Response())]) {
      const app = new Hono().use(other as never).get("/", (c) => c.text("hello"));
      app.onError((error, c) => c.text(error.message, 500));
      expect(await (await app.request("/")).text()).toContain('"scs-session/hono"');
    }
  });
});

describe("the session", () => {
  test("is c.var.session, or has the name that is given; of several managers, too", async () => {
    const { sessions } = setup();
    const others = new SessionManager<{ theme: string }>({ cookie: { name: "other" } });
    const app = new Hono()
      .use(loadAndSave(sessions))
      .use(loadAndSave(others, { property: "other" }))
      .get("/", (c) => {
        c.var.session.put("n", 1);
        c.var.other.put("theme", "dark");
        const own = [c.var.session === sessions.of(c), c.get("session") === sessions.of(c.req.raw)];
        return c.json([...own, c.var.other === others.of(c), sessions.current() === c.var.session]);
      });
    const response = await app.request("/");
    expect(await response.json()).toEqual([true, true, true, true]);
    expect(names(response)).toEqual(["other", "session"]);
  });

  test.each(["before", "after"])("is found by the context when c.req.raw is replaced %s loadAndSave", async (when) => {
    const { sessions, store } = setup();
    const headers = await signIn(sessions, { n: 1 });
    store.calls.length = 0;
    const swap: MiddlewareHandler = async (c, next) => {
      c.req.raw = new Request(c.req.raw, { headers: { ...c.req.header(), "x-swapped": "yes" } });
      await next();
    };
    const app = new Hono();
    if (when === "before") app.use(swap);
    app.use(loadAndSave(sessions));
    if (when === "after") app.use(swap);
    app.get("/", (c) => {
      sessions.of(c).update("n", (n = 0) => n + 1);
      if (when === "before") expect(sessions.of(c.req.raw)).toBe(sessions.of(c));
      return c.text(`${sessions.of(c).getNumber("n")} ${c.req.header("x-swapped")}`);
    });
    const response = await app.request("/", { headers });
    expect([await response.text(), names(response)]).toEqual(["2 yes", ["session"]]);
    expect(store.calls).toEqual(["find", "replace"]);
  });

  test("is one for an application, its sub-applications and their routes, wherever they mount loadAndSave again", async () => {
    const { sessions, store } = setup();
    const count = (c: Context): Response => {
      sessions.of(c).update("n", (n = 0) => n + 1);
      return c.text(String(sessions.of(c).getNumber("n")));
    };
    const sub = new Hono().use(loadAndSave(sessions)).get("/count", loadAndSave(sessions), count);
    sub.onError((_, c) => c.text("the sub-application's", 500));
    const app = new Hono().basePath("/api").use(loadAndSave(sessions)).route("/sub", sub).get("/count", count);
    for (const path of ["/api/sub/count", "/api/count"]) {
      store.calls.length = 0;
      const response = await app.request(path);
      expect([await response.text(), names(response), store.calls]).toEqual(["1", ["session"], ["commit"]]);
    }
  });

  test("costs nothing, and changes nothing, where it is not used", async () => {
    const { sessions, store } = setup();
    const made: Response[] = [];
    const app = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
      made.push(c.text("hello"));
      return made[0]!;
    });
    const response = await app.request("/");
    expect([response === made[0], store.calls, [...response.headers.keys()]]).toEqual([true, [], ["content-type"]]);
  });

  test("is not there where the request is skipped", async () => {
    const { sessions, store } = setup();
    const headers = await signIn(sessions, { n: 1 });
    store.calls.length = 0;
    const app = new Hono<{ Variables: { session?: unknown } }>()
      .use(loadAndSave(sessions, { skip: (c) => c.req.path === "/health" }) as MiddlewareHandler)
      .get("/health", (c) => c.text(`${sessions.lookup(c) === undefined} ${c.var.session === undefined}`));
    expect(await (await app.request("/health", { headers })).text()).toBe("true true");
    expect(store.calls).toEqual([]);
  });

  test("is current in work that is read out of forms, and no longer in waitUntil", async () => {
    const { sessions } = setup();
    const later: (() => unknown)[] = [];
    const waiting: Promise<unknown>[] = [];
    const app = new Hono().use(loadAndSave(sessions)).post("/", async (c) => {
      const form = await c.req.parseBody();
      sessions.current().put("user", form["user"] as string);
      later.push(AsyncResource.bind(() => sessions.current()));
      c.executionCtx.waitUntil(Promise.resolve());
      return c.text(sessions.current().getString("user"));
    });
    for (const body of [new FormData(), new URLSearchParams()]) {
      body.set("user", "anna");
      const context = { waitUntil: (work: Promise<unknown>) => void waiting.push(work), passThroughOnException() {}, props: {} }; // prettier-ignore
      const response = await app.request("/", { method: "POST", body }, {}, context);
      expect([await response.text(), names(response)]).toEqual(["anna", ["session"]]);
    }
    expect(waiting).toHaveLength(2);
    for (const look of later) expect(look).toThrow(expect.objectContaining({ code: "session-closed" }) as Error);
  });

  test("goes with every kind of response: not found, HEAD, JSX, redirects, proxied ones, the typed client's", async () => {
    const { sessions } = setup();
    const app = new Hono()
      .use(loadAndSave(sessions))
      .use(async (c, next) => {
        c.var.session.put("n", 1);
        await next();
      })
      .get("/text", (c) => c.json({ n: c.var.session.get("n") }))
      .get("/missing", (c) => c.notFound())
      .get("/redirect", (c) => c.redirect("/text", 303))
      .get("/static-redirect", () => Response.redirect("http://localhost/text", 303))
      .get("/proxied", () => fetch("data:text/plain,proxied"))
      .get(
        "/rendered",
        jsxRenderer(({ children }) => jsx("main", {}, children as never) as never),
        (c) => c.render(jsx(async () => jsx("b", {}, String(sessions.current().getNumber("n"))) as never, {}) as never),
      );
    const seen: unknown[] = [];
    for (const path of ["text", "missing", "nowhere", "redirect", "static-redirect", "proxied", "rendered"]) {
      const response = await app.request(`/${path}`);
      expect(names(response), path).toEqual(["session"]);
      seen.push([response.status, response.headers.get("location") ?? (await response.text())]);
    }
    expect(seen).toEqual([
      [200, '{"n":1}'],
      [404, "404 Not Found"],
      [404, "404 Not Found"],
      [303, "/text"],
      [303, "http://localhost/text"],
      [200, "proxied"],
      [200, "<!DOCTYPE html><main><b>1</b></main>"],
    ]);
    const head = await app.request("/text", { method: "HEAD" });
    expect([head.status, await head.text(), names(head)]).toEqual([200, "", ["session"]]);
    const typed = await testClient(app).text.$get();
    expect([await typed.json(), names(typed as unknown as Response)]).toEqual([{ n: 1 }, ["session"]]);
  });
});

describe("a failing store", () => {
  /** What handlers prepare, in each of Hono's ways, for a response that is not to be sent. */
  const handlers: Record<string, (c: Context) => Response> = {
    "c.header and c.status": (c) => {
      c.header("x-own", "yes");
      c.status(201);
      return c.text("done");
    },
    "c.redirect": (c) => c.redirect("/home"),
    setCookie: (c) => {
      setCookie(c, "app", "1");
      return c.json({});
    },
    "a Response": () => new Response("done", { status: 202, headers: { "x-own": "yes", "set-cookie": "app=1" } }),
    "c.res": (c) => {
      c.res.headers.set("x-own", "yes");
      return c.body("done", 201, { location: "/home" });
    },
  };
  const errorHandlers: Record<string, ((error: Error, c: Context) => Response) | undefined> = {
    "no onError": undefined,
    "an onError that answers with c.text": (error, c) => {
      c.header("x-error", "yes");
      return c.text(String(codeOf(error)), statusOf(error));
    },
    "an onError that does not say the status": (_, c) => c.text("oops"),
    "an onError that answers with a Response": (error) => new Response("down", { status: statusOf(error) }),
  };

  // The server of Hono replaces Request and Response, once and for all: what comes here first is tested without it.
  describe.each(["app.request", "a server"])("through %s", (way) => {
    describe.each(Object.entries(errorHandlers))("with %s", (how, onError) => {
      test.each(Object.entries(handlers))(
        "nothing of the handler's is sent, prepared by %s; what came before stays",
        async (_, handler) => {
          const { sessions, store } = setup();
          const app = new Hono();
          app.use(
            cors({ origin: "http://shop.test", credentials: true }),
            secureHeaders(),
            requestId({ generator: () => "r1" }),
          );
          app.use(async (c, next) => {
            setCookie(c, "early", "1");
            setCookie(c, "early-2", "2");
            await next();
          });
          app.use(loadAndSave(sessions));
          app.get("/", (c) => {
            sessions.of(c).put("n", 1);
            return handler(c);
          });
          if (onError !== undefined) app.onError(onError);
          store.failure = new Error("down");
          const init = { headers: { origin: "http://shop.test" } };
          const response =
            way === "a server"
              ? await fetch(`http://127.0.0.1:${await serve(app)}/`, init)
              : await app.request("/", init);
          expect(response.status).toBe(how.includes("does not say") ? 200 : 503);
          const { headers } = response;
          expect([headers.get("x-own"), headers.get("location")]).toEqual([null, null]);
          expect(names(response)).toEqual(["early", "early-2"]);
          const early = ["access-control-allow-origin", "x-request-id", "x-frame-options"];
          expect(early.map((name) => headers.get(name))).toEqual(["http://shop.test", "r1", "SAMEORIGIN"]);
          if (how.includes("c.text")) expect(headers.get("x-error")).toBe("yes");
          if (how === "no onError") {
            expect([headers.get("cache-control"), await response.text()]).toEqual([
              "no-store",
              "Service Unavailable\n",
            ]);
          }
        },
      );
    });
  });

  // Where no response was begun, the server's Response shares the headers that c.header has prepared.
  test.each(["app.request", "a server"])(
    "leaves alone what only c.header has prepared before, through %s",
    async (way) => {
      const { sessions, store } = setup();
      const app = new Hono();
      app.use(async (c, next) => {
        c.header("x-early", "yes");
        c.header("x-changed", "no");
        await next();
      });
      app.use(loadAndSave(sessions)).get("/", (c) => {
        sessions.of(c).put("n", 1);
        c.header("x-own", "yes");
        c.header("x-changed", "yes");
        return c.text("done");
      });
      store.failure = new Error("down");
      const response =
        way === "a server" ? await fetch(`http://127.0.0.1:${await serve(app)}/`) : await app.request("/");
      const headers = ["x-early", "x-changed", "x-own"].map((name) => response.headers.get(name));
      expect([response.status, ...headers]).toEqual([503, "yes", "no", null]);
    },
  );

  test("is a 503 for a load, too, and the handler does not run; a route can be served alone", async () => {
    const { sessions, store } = setup();
    const headers = await signIn(sessions, { n: 1 });
    const handler = vi.fn((c: Context) => c.text("hello"));
    const alone = new Hono().get("/", loadAndSave(sessions), handler);
    const onlyMiddleware = new Hono().use(loadAndSave(sessions));
    store.failure = new Error("down");
    for (const app of [alone, onlyMiddleware]) {
      const response = await app.request("/", { headers });
      expect([response.status, names(response)]).toEqual([503, []]);
    }
    expect(handler).not.toHaveBeenCalled();
  });

  test("goes to the onError of the application that mounted loadAndSave", async () => {
    const { sessions, store } = setup();
    const sub = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
      c.var.session.put("n", 1);
      return c.text("hello", 200, { "x-own": "yes" });
    });
    sub.onError((error, c) => c.text(`sub: ${String(codeOf(error))}`, 503));
    const app = new Hono().route("/sub", sub);
    app.onError((_, c) => c.text("outer", 500));
    store.failure = new Error("down");
    const response = await app.request("/sub");
    expect([response.status, await response.text(), response.headers.get("x-own")]).toEqual([
      503,
      "sub: store-unavailable",
      null,
    ]);
  });

  test("is no business of Hono's console, unlike a session that is too large", async () => {
    const { sessions, store } = setup({ maxBytes: 1_000 });
    const app = new Hono().use(loadAndSave(sessions)).get("/:size", (c) => {
      c.var.session.put("user", "x".repeat(Number(c.req.param("size"))));
      return c.text("hello");
    });
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    try {
      const large = await app.request("/2000");
      expect([large.status, await large.text(), names(large)]).toEqual([500, "Internal Server Error", []]);
      expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: "too-large" }));
      store.failure = new Error("down");
      expect((await app.request("/1")).status).toBe(503);
      expect(log).toHaveBeenCalledOnce();
    } finally {
      log.mockRestore();
    }
  });

  test.each([
    ["inner", ["a"]],
    ["outer", ["b"]],
    ["neither", ["b", "a"]],
  ])("of two managers the one that has stored hands out its token: %s fails", async (failing, tokens) => {
    const stores = { outer: new FaultyStore(new MemoryStore()), inner: new FaultyStore(new MemoryStore()) };
    const outer = new SessionManager({ store: stores.outer, cookie: { name: "a" } });
    const inner = new SessionManager({ store: stores.inner, cookie: { name: "b" } });
    for (const onError of [undefined, () => new Response("down", { status: 503 })]) {
      const app = new Hono().use(loadAndSave(outer)).use(loadAndSave(inner, { property: "inner" }));
      app.get("/", (c) => {
        outer.of(c).put("n", 1);
        inner.of(c).put("n", 1);
        return c.text("hello");
      });
      if (onError !== undefined) app.onError(onError);
      if (failing !== "neither") stores[failing as "inner" | "outer"].failure = new Error("down");
      const response = await app.request("/");
      expect([response.status, names(response)]).toEqual([failing === "neither" ? 200 : 503, tokens]);
    }
  });
});

describe("a handler that fails", () => {
  test.each(["an error", "an HTTPException", "a response that is taken back"])(
    "is answered with the session: %s",
    async (how) => {
      const { sessions } = setup();
      const app = new Hono().use(loadAndSave(sessions)).get("/", async (c) => {
        c.var.session.update("n", (n = 0) => n + 1);
        if (how === "an error") throw new Error("broken");
        if (how === "an HTTPException") throw new HTTPException(401, { message: "wrong password" });
        return c.notFound();
      });
      const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
      const response = await app.request("/");
      log.mockRestore();
      expect(response.status).toBe({ "an error": 500, "an HTTPException": 401 }[how] ?? 404);
      const headers = { cookie: response.headers.getSetCookie()[0]!.split(";")[0]! };
      let n: unknown;
      const reader = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
        n = c.var.session.get("n");
        return c.text("");
      });
      await reader.request("/", { headers });
      expect(n).toBe(1);
    },
  );

  test("and throws what is no Error, which Hono does not answer, stores nothing but a destroy", async () => {
    const { sessions, memory } = setup();
    const headers = await signIn(sessions, { n: 1 });
    const app = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
      if (c.req.header("cookie") === undefined) c.var.session.put("n", 2);
      else c.var.session.destroy();
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- that is the point
      throw "broken";
    });
    for (const init of [{}, { headers }]) {
      await expect((async () => app.request("/", init))()).rejects.toBe("broken");
    }
    expect(await stored(memory)).toBe(0);
  });

  test("to answer at all is told so, and nothing is stored", async () => {
    const { sessions, memory } = setup();
    const app = new Hono().use(loadAndSave(sessions)).get("/", ((c: Context) => {
      sessions.of(c).put("n", 1);
    }) as never);
    app.onError((error, c) => c.text(error.message, 500));
    const response = await app.request("/");
    expect([response.status, await response.text()]).toEqual([500, expect.stringContaining("no response")]);
    expect(await stored(memory)).toBe(0);
  });

  test("and never answers lets a destroy pass all the same, once the client is gone", async () => {
    const { sessions, memory } = setup();
    const headers = await signIn(sessions, { n: 1 });
    const client = new AbortController();
    const app = new Hono().use(loadAndSave(sessions)).get("/", async (c) => {
      c.var.session.destroy();
      return new Promise<Response>(() => undefined);
    });
    void app.request("/", { headers, signal: client.signal });
    await settle();
    expect(await stored(memory)).toBe(1);
    client.abort();
    await settle();
    expect(await stored(memory)).toBe(0);
  });

  test("because the client went amid its body leaves the server alive", async () => {
    const { sessions } = setup();
    let code: unknown;
    const app = new Hono().use(loadAndSave(sessions)).all("/", async (c) => {
      c.var.session.put("n", 1);
      await c.req.text().catch((error: unknown) => {
        code = error;
        throw error;
      });
      return c.text("hello");
    });
    app.onError((_, c) => c.text("broken", 500));
    const port = await serve(app);
    const wire = new Wire(port);
    wire.send("POST", "/", { "content-length": "100" }, "only this");
    await settle();
    wire.socket.destroy();
    await until(() => code !== undefined);
    const response = await ask(port).response();
    expect([response.status, cookieOf(response) !== undefined]).toEqual([200, true]);
  });
});

describe("streams", () => {
  test.each(["stream", "streamText", "streamSSE"])(
    "%s begins with the cookie; late changes are refused",
    async (how) => {
      const { sessions } = setup();
      const codes: unknown[] = [];
      const app = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
        const onError = async (error: Error): Promise<void> => void codes.push(codeOf(error));
        const work = async (out: { write(text: string): Promise<unknown> }): Promise<void> => {
          // Up to the first await the helper runs before there is a response.
          sessions.of(c).put("n", 1);
          await out.write("data: 1\n\n");
          await new Promise((resolve) => setImmediate(resolve));
          sessions.of(c).put("n", 2);
        };
        if (how === "stream") return stream(c, work, onError);
        return how === "streamText" ? streamText(c, work, onError) : streamSSE(c, work, onError);
      });
      const port = await serve(app);
      const response = await ask(port).response();
      expect([response.text.slice(0, 9), cookieOf(response) !== undefined]).toEqual(["data: 1\n\n", true]);
      expect(codes).toEqual(["headers-sent"]);
    },
  );

  test("what is answered past Hono, on Node's response, is left alone", async () => {
    const { sessions } = setup();
    const app = new Hono<{ Bindings: { outgoing: ServerResponse } }>();
    app.use(loadAndSave(sessions)).get("/", (c) => {
      sessions.of(c).put("n", 1);
      c.env.outgoing.end("by myself");
      return RESPONSE_ALREADY_SENT;
    });
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const wire = new Wire(await serve(app as never));
    for (let turn = 0; turn < 2; turn++) {
      wire.send();
      expect((await wire.response()).text).toBe("by myself");
    }
    expect(log).not.toHaveBeenCalled();
    log.mockRestore();
  });

  test("the answer to an upgrade is handed on as it is, also past middleware that has prepared headers", async () => {
    const { sessions } = setup();
    const upgrade = Object.create(Response.prototype, { status: { value: 101 }, headers: { value: new Headers() }, body: { value: null } }) as Response; // prettier-ignore
    const app = new Hono().use(loadAndSave(sessions)).get("/", (c) => {
      c.var.session.put("n", 1);
      return upgrade;
    });
    expect(await app.request("/")).toBe(upgrade);
  });

  test("a WebSocket of Hono's server opens with the session, and tells a new token", async () => {
    const { sessions } = setup();
    const headers = await signIn(sessions, { user: "anna" });
    const app = new Hono().use(loadAndSave(sessions)).get(
      "/",
      upgradeWebSocket((c) => {
        const session = sessions.of(c);
        const user = session.getString("user");
        session.renewToken();
        return { onOpen: (_, socket) => socket.send(`hello, ${user}`) };
      }),
    );
    const wss = new WebSocketServer({ noServer: true });
    const port = await listen(createAdaptorServer({ fetch: app.fetch, websocket: { server: wss as never } }));
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers });
    let cookies: string[] | undefined;
    socket.on("upgrade", (response) => (cookies = response.headers["set-cookie"]));
    const message = await new Promise((resolve, reject) => {
      socket.once("message", (data: Buffer) => resolve(data.toString())).once("error", reject);
    });
    expect([message, cookies?.length]).toEqual(["hello, anna", 1]);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.terminate();
    await closed;
  });
});

describe("beside other middleware, mounted before and after:", () => {
  /** The application with a middleware on one side of loadAndSave. */
  const around = (side: string, other: MiddlewareHandler, sessions: SessionManager<never>): Hono => {
    const app = new Hono();
    const own = loadAndSave(sessions) as MiddlewareHandler;
    app.use(...(side === "before" ? [other, own] : [own, other]));
    return app;
  };
  const sides = ["before", "after"];
  const page = "hello ".repeat(1_000);

  test.each(sides)("compress, %s", async (side) => {
    const { sessions } = setup();
    const app = around(side, compress(), sessions as never).get("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text(page);
    });
    const response = await fetch(`http://127.0.0.1:${await serve(app)}/`, { headers: { "accept-encoding": "gzip" } });
    expect([response.headers.get("content-encoding"), await response.text(), names(response)]).toEqual(["gzip", page, ["session"]]); // prettier-ignore
  });

  test.each([
    ["before", {}, []],
    ["before", { retainedHeaders: [...RETAINED_304_HEADERS, "set-cookie"] }, ["session"]],
    ["after", {}, ["session"]],
  ])("etag, %s, with %j: a 304 has the cookies %j", async (side, options, cookies) => {
    const { sessions } = setup();
    const app = around(side, etag(options), sessions as never).get("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text(page);
    });
    const tag = (await app.request("/")).headers.get("etag");
    expect(tag).not.toBeNull();
    const response = await app.request("/", { headers: { "if-none-match": tag! } });
    expect([response.status, names(response)]).toEqual([304, cookies]);
    expect(response.headers.get("cache-control")).toContain("no-store");
  });

  test.each(sides)("cors, %s, with the Vary of both", async (side) => {
    const { sessions } = setup();
    const app = around(side, cors({ origin: ["http://shop.test"], credentials: true }), sessions as never);
    app.get("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text("hello");
    });
    const response = await app.request("/", { headers: { origin: "http://shop.test" } });
    expect(response.headers.get("access-control-allow-origin")).toBe("http://shop.test");
    expect([response.headers.get("vary")?.split(", ").sort(), names(response)]).toEqual([["Cookie", "Origin"], ["session"]]); // prettier-ignore
  });

  test.each(sides)("csrf, %s, whose refusal is an answer like others", async (side) => {
    const { sessions, store } = setup();
    const app = around(side, csrf(), sessions as never).post("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text("hello");
    });
    const post = (origin: string) =>
      app.request("/", { method: "POST", body: new URLSearchParams({ a: "1" }), headers: { origin } });
    expect((await post("http://evil.test")).status).toBe(403);
    expect(store.calls).toEqual([]);
    const response = await post("http://localhost");
    expect([response.status, names(response)]).toEqual([200, ["session"]]);
  });

  test.each(sides)("secureHeaders, %s", async (side) => {
    const { sessions } = setup();
    const app = around(side, secureHeaders(), sessions as never).get("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text("hello");
    });
    const response = await app.request("/");
    expect([response.headers.get("x-frame-options"), names(response)]).toEqual(["SAMEORIGIN", ["session"]]);
  });

  test.each(sides)("bodyLimit, %s, which replaces c.req.raw", async (side) => {
    const { sessions } = setup();
    const app = around(side, bodyLimit({ maxSize: 100 }), sessions as never).post("/", async (c) => {
      const text = await c.req.text();
      sessions.of(c).put("user", text);
      return c.text(sessions.current().getString("user"));
    });
    const port = await serve(app);
    const post = (body: string) => {
      const pieces = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from(body));
          controller.close();
        },
      });
      return fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: pieces, duplex: "half" });
    };
    const response = await post("anna");
    expect([await response.text(), names(response)]).toEqual(["anna", ["session"]]);
    expect((await post("x".repeat(200))).status).toBe(413);
  });

  test.each(sides)("contextStorage, %s", async (side) => {
    const { sessions } = setup();
    const app = around(side, contextStorage(), sessions as never).get("/", async (c) => {
      await settle();
      return c.text(String(sessions.of(getContext()) === sessions.current()));
    });
    expect(await (await app.request("/")).text()).toBe("true");
  });

  test.each(sides)("methodOverride, %s, which asks the application once more", async (side) => {
    const { sessions } = setup();
    const app: Hono = around(side, (c, next) => methodOverride({ app })(c, next), sessions as never);
    app.delete("/", (c) => {
      sessions.of(c).put("n", 1);
      return c.text(String(sessions.current() === sessions.of(c)));
    });
    const response = await app.request("/", { method: "POST", body: new URLSearchParams({ _method: "DELETE" }) });
    expect([response.status, await response.text(), names(response)]).toEqual([200, "true", ["session"]]);
  });

  test("timeout, after: the session is stored with its answer, and later changes are refused", async () => {
    const { sessions } = setup();
    let code: unknown;
    let go = (): void => undefined;
    const late = new Promise<void>((resolve) => (go = resolve));
    const app = around("after", timeout(1), sessions as never).get("/", async (c) => {
      sessions.of(c).put("n", 1);
      await late;
      try {
        sessions.of(c).put("n", 2);
      } catch (error) {
        code = codeOf(error);
      }
      return c.text("late");
    });
    const response = await app.request("/");
    expect([response.status, names(response)]).toEqual([504, ["session"]]);
    go();
    await until(() => code !== undefined);
    expect(code).toBe("headers-sent");
  });

  test("an application that is mounted, or a handler of fetch, has the session as current", async () => {
    const { sessions } = setup();
    const inner = new Hono().get("/", (c) => {
      sessions.current().put("n", 1);
      return c.text(String(sessions.lookup(c) === undefined));
    });
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- what is to replace it is newer than most applications
    const app = new Hono().use(loadAndSave(sessions)).mount("/inner", inner.fetch);
    const response = await app.request("/inner");
    expect([await response.text(), names(response)]).toEqual(["true", ["session"]]);
  });
});
