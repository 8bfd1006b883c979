/** The h3 adapter: what the contract cannot say. */
/* eslint @typescript-eslint/no-unsafe-class-instance-assignment: "off" -- h3 types its responses more narrowly */

import {
  defineHandler,
  defineWebSocketHandler,
  EventStream,
  fromNodeHandler,
  H3,
  HTTPError,
  HTTPResponse,
  noContent,
  onError,
  onResponse,
  serve,
  type H3Event,
} from "h3";
import { toNodeHandler } from "h3/node";
import { createServer, type ServerResponse } from "node:http";
import { SessionManager } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { loadAndSave } from "scs-session/h3";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, signIn } from "scs-session/testing";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ask, listen, setup, type Data } from "./support.ts";

const names = (response: Response): string[] => response.headers.getSetCookie().map((line) => line.split("=")[0]!);
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
/** An application that answers "hello" once it has put something. */
function application(
  { sessions }: { sessions: SessionManager<Data> },
  config: ConstructorParameters<typeof H3>[0] = {},
) {
  const app = new H3({ silent: true, ...config }).use(loadAndSave(sessions));
  return app.get("/put", (event) => {
    sessions.of(event).put("n", 1);
    event.res.headers.set("x-own", "yes");
    event.res.headers.append("set-cookie", "own=1");
    event.res.errHeaders.set("x-own-error", "yes");
    event.res.status = 201;
    return "hello";
  });
}

describe("the wrong adapter", () => {
  test("without a manager it throws at once", () => {
    expect(() => loadAndSave({} as never)).toThrow(expect.objectContaining({ code: "wrong-adapter" }) as Error);
  });

  test.each([
    ["Express", [{ socket: {}, headers: {} }, {}, () => undefined], "scs-session/express"],
    ["fetch", [new Request("http://localhost/")], "scs-session/fetch"],
    ["h3 1", [{ __is_event__: true, node: {}, context: {} }], "none of the arguments"],
    ["nothing", [], "none of the arguments"],
  ])("called with the arguments of %s it names the right one", async (_, args, right) => {
    const middleware = loadAndSave(setup().sessions) as (...args: unknown[]) => Promise<unknown>;
    const error = await middleware(...args).catch((reason: unknown) => reason);
    expect([codeOf(error), (error as Error).message]).toEqual(["wrong-adapter", expect.stringContaining(right)]);
  });

  test("another one that is mounted in h3 names this one", async () => {
    const { sessions } = setup();
    for (const other of [onExpress(sessions), onFetch(sessions, () => new Response())]) {
      const app = new H3({ silent: true, onError: (error) => error.message })
        .use(other as never)
        .get("/", () => "hello");
      expect(await (await app.request("/")).text()).toContain('"scs-session/h3"');
    }
  });
});

describe("the session", () => {
  test("is event.context.session, or has the name that is given; of several managers, too", async () => {
    const { sessions } = setup();
    const others = new SessionManager<{ theme: string }>({ cookie: { name: "other" } });
    const app = new H3()
      .use(loadAndSave(sessions))
      .use(loadAndSave(others, { property: "other" }))
      .get("/", (event) => {
        const { session, other } = event.context as Record<string, unknown>;
        sessions.of(event).put("n", 1);
        others.of(event).put("theme", "dark");
        return [session === sessions.of(event.req), other === others.of(event), sessions.current() === session];
      });
    const response = await app.request("/");
    expect(await response.json()).toEqual([true, true, true]);
    expect(names(response)).toEqual(["other", "session"]);
  });

  test("cannot be replaced", async () => {
    const { sessions } = setup();
    const app = new H3({ silent: true, onError: ({ cause }) => codeOf(cause) });
    app.use(loadAndSave(sessions)).get("/", (event) => void (event.context["session"] = null));
    expect(await (await app.request("/")).text()).toBe("invalid-value");
  });

  test("is one for an application and those mounted in it, of which the fetch of one knows it by the request", async () => {
    const { sessions, store } = setup();
    const count = (key: (event: H3Event) => object) => (event: H3Event) => {
      const session = sessions.of(key(event));
      session.update("n", (n = 0) => n + 1);
      return [session.getNumber("n"), session === event.context["session"]];
    };
    const sub = new H3().get(
      "/count",
      count((event) => event),
    );
    const foreign = new H3().get(
      "/count",
      count((event) => event.req),
    );
    const app = new H3().use(loadAndSave(sessions)).mount("/sub", sub).mount("/foreign", { fetch: foreign.fetch });
    for (const path of ["/sub/count", "/foreign/count"]) {
      store.calls.length = 0;
      const response = await app.request(path);
      expect([await response.json(), names(response), store.calls]).toEqual([[1, true], ["session"], ["commit"]]);
    }
  });

  test.each([
    ["an application that is mounted", "/sub/put"],
    ["a path", "/path/put"],
    ["a route", "/route"],
  ])("can be had for %s only", async (_, path) => {
    const { sessions } = setup();
    const put = (event: H3Event): string => {
      sessions.of(event).put("n", 1);
      return "hello";
    };
    const app = new H3({ silent: true })
      .mount("/sub", new H3().use(loadAndSave(sessions)).get("/put", put))
      .use("/path/**", loadAndSave(sessions))
      .get("/path/put", put)
      .get("/route", put, { middleware: [loadAndSave(sessions)] })
      .get("/put", put);
    const response = await app.request(path);
    expect([response.status, await response.text(), names(response)]).toEqual([200, "hello", ["session"]]);
    expect((await app.request("/put")).status).toBe(500);
  });

  test("can be had by a handler that is served without an application", async () => {
    const { sessions, store } = setup();
    const log = vi.spyOn(console, "error").mockReturnValue();
    const handler = defineHandler({
      middleware: [loadAndSave(sessions)],
      handler: (event) => {
        sessions.of(event).put("n", 1);
        if (event.url.search !== "") throw new HTTPError({ status: 418 });
        return "hello";
      },
    });
    expect(names(await handler.fetch("/"))).toEqual(["session"]);
    const teapot = await handler.fetch("/?fail");
    expect([teapot.status, names(teapot)]).toEqual([418, ["session"]]);
    store.failure = new Error("down");
    expect((await handler.fetch("/")).status).toBe(503);
    expect(log).toHaveBeenCalledTimes(1);
    log.mockRestore();
  });

  test("is still read by work that event.waitUntil waits for, which finds it closed", async () => {
    const { sessions } = setup();
    let seen: unknown[] = [];
    const app = new H3().use(loadAndSave(sessions)).get("/", (event) => {
      const session = sessions.of(event);
      session.put("n", 1);
      const late = async (): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const attempt = (work: () => unknown): unknown => {
          try {
            return work();
          } catch (error) {
            return codeOf(error);
          }
        };
        seen = [session.get("n"), attempt(() => session.put("n", 2)), attempt(() => sessions.current())];
      };
      event.waitUntil(late());
      return "hello";
    });
    const waiting: Promise<unknown>[] = [];
    const request = Object.assign(new Request("http://localhost/"), { waitUntil: (each: Promise<unknown>) => void waiting.push(each) }); // prettier-ignore
    await app.fetch(request);
    await Promise.all(waiting);
    expect(seen).toEqual([1, "headers-sent", "session-closed"]);
  });

  test("is Secure over HTTPS", async () => {
    const app = application(setup());
    for (const scheme of ["https", "http"]) {
      const [line] = (await app.request(`${scheme}://localhost/put`)).headers.getSetCookie().slice(-1);
      expect(line!.includes("; Secure")).toBe(scheme === "https");
    }
  });
});

describe("a response", () => {
  test("keeps what the handler has prepared, and what earlier middleware has", async () => {
    const { sessions } = setup();
    const app = new H3();
    app.use((event) => {
      event.res.headers.set("x-early", "yes");
      event.res.headers.append("set-cookie", "early=1");
    });
    app.mount("/", application({ sessions }));
    const response = await app.request("/put");
    expect([response.status, await response.text()]).toEqual([201, "hello"]);
    expect([response.headers.get("x-own"), response.headers.get("x-early")]).toEqual(["yes", "yes"]);
    expect(names(response)).toEqual(["early", "own", "session"]);
    expect(response.headers.get("cache-control")).toContain("no-store");
  });

  test.each([
    ["a value", () => ({ a: 1 }), 200, '{"a":1}'],
    ["nothing", () => undefined, 200, ""],
    ["null", () => null, 200, ""],
    [
      "an HTTPResponse",
      () => new HTTPResponse("made", { status: 202, headers: { "cache-control": "public" } }),
      202,
      "made",
    ],
    ["noContent()", () => noContent(), 204, ""],
    ["bytes", () => new TextEncoder().encode("bytes"), 200, "bytes"],
    ["a Blob", () => new Blob(["blob"]), 200, "blob"],
    ["a Response", () => new Response("response", { status: 203 }), 203, "response"],
    ["a stream", () => new Response("stream").body, 200, "stream"],
    ["an error response", () => new Response("wrong", { status: 400 }), 400, "wrong"],
    [
      "an error that is returned",
      () => new HTTPError({ status: 409, message: "taken" }),
      409,
      '{"status":409,"message":"taken"}',
    ],
    [
      "an error that is thrown",
      () => {
        throw new HTTPError({ status: 401, headers: { "x-error": "yes" } });
      },
      401,
      '{"status":401,"message":"HTTPError 401"}',
    ],
  ])("that is %s has the cookie, and may not be cached", async (_, answer: () => unknown, status, text) => {
    // prettier-ignore
    const { sessions } = setup();
    const app = new H3({ silent: true }).use(loadAndSave(sessions)).get("/", (event) => {
      sessions.of(event).put("n", 1);
      event.res.headers.set("cdn-cache-control", "public");
      return answer();
    });
    const response = await app.request("/");
    expect([response.status, await response.text(), names(response)]).toEqual([status, text, ["session"]]);
    expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    expect(response.headers.get("cdn-cache-control")).toBe(null);
  });

  test("of a route that is not there is h3's own; with the session of an earlier middleware, too", async () => {
    const { sessions } = setup();
    const app = new H3({ silent: true }).use(loadAndSave(sessions));
    expect((await app.request("/nowhere")).status).toBe(404);
    app.use((event) => {
      sessions.of(event).put("n", 1);
    });
    const response = await app.request("/nowhere");
    expect([response.status, names(response)]).toEqual([404, ["session"]]);
  });

  test("is seen by the hooks onRequest and onResponse once, the latter with its cookie", async () => {
    const seen: unknown[] = [];
    const app = application(setup(), {
      onRequest: () => void seen.push("request"),
      onResponse: (response) => void seen.push(names(response)),
    });
    await app.request("/put");
    expect(seen).toEqual(["request", ["own", "session"]]);
  });

  test("of an event stream begins with the cookie", async () => {
    const { sessions } = setup();
    const app = new H3().use(loadAndSave(sessions)).get("/", async (event) => {
      sessions.of(event).put("n", 1);
      const stream = new EventStream(event);
      void stream.push("first").then(() => stream.close());
      return stream;
    });
    const response = await app.request("/");
    expect([names(response), await response.text()]).toEqual([["session"], "data: first\n\n"]);
  });

  test("to a WebSocket upgrade keeps its hooks when the session is read", async () => {
    const { sessions } = setup();
    const headers = await signIn(sessions, { user: "anna" });
    const app = new H3().use(loadAndSave(sessions)).get(
      "/",
      defineWebSocketHandler((event: H3Event) => {
        const user = sessions.of(event).getString("user");
        return { upgrade: () => ({ context: { user } }) };
      }),
    );
    const response = (await app.request("/", { headers })) as Response & { crossws?: { upgrade(): unknown } };
    expect(response.crossws?.upgrade()).toEqual({ context: { user: "anna" } });
  });

  test("that a handler of Node sends past h3 arrives as it is", async () => {
    const { sessions, store } = setup();
    const headers = await signIn(sessions, { user: "anna" });
    const app = new H3().use(loadAndSave(sessions)).use((event) => void sessions.of(event).get("user"));
    app.get(
      "/",
      fromNodeHandler((_, response) => {
        (response as ServerResponse).writeHead(203, { "x-own": "yes" }).end("past");
      }),
    );
    const port = await listen(createServer(toNodeHandler(app)));
    const response = await ask(port, "GET", "/", headers).response();
    expect([response.status, response.text, response.header("x-own")]).toEqual([203, "past", "yes"]);
    expect(store.calls).toEqual(["commit", "find"]);
  });

  test("of a value leaves h3's server with its length", async () => {
    const { sessions } = setup();
    const server = serve(application({ sessions }), { port: 0, hostname: "127.0.0.1", silent: true });
    await server.ready();
    onTestFinished(() => server.close(true));
    const response = await fetch(`${server.url!}put`);
    expect([response.status, await response.text(), names(response)]).toEqual([201, "hello", ["own", "session"]]);
    expect(response.headers.get("content-length")).toBe("5");
  });

  test.each(["the handler", "onError"])("that %s hands out twice gets its own cookie each time", async (who) => {
    const { sessions } = setup();
    const shared = new Response("shared");
    const app = new H3({ silent: true, onError: () => shared }).use(loadAndSave(sessions)).get("/", (event) => {
      sessions.of(event).put("n", 1);
      if (who === "the handler") return shared;
      // Found out when h3 makes the response of it.
      const circular: { self?: unknown } = {};
      circular.self = circular;
      return circular;
    });
    for (let visit = 0; visit < 2; visit++) expect(names(await app.request("/"))).toEqual(["session"]);
    expect(names(shared)).toEqual([]);
  });
});

describe("an error of the handler", () => {
  test.each([
    ["a Response", () => new Response("mine", { status: 500 }), 500, "mine"],
    ["a value", () => ({ mine: true }), 201, '{"mine":true}'],
    ["nothing", () => undefined, 500, '{"status":500,"unhandled":true,"message":"HTTPError"}'],
    [
      "an error of its own",
      () => {
        throw new HTTPError({ status: 502 });
      },
      502,
      '{"status":502,"message":"HTTPError 502"}',
    ],
  ])("has the cookie when onError answers with %s", async (_, answer: () => unknown, status, text) => {
    // prettier-ignore
    const { sessions } = setup();
    const app = new H3({ silent: true, onError: answer }).use(loadAndSave(sessions)).get("/", (event) => {
      sessions.of(event).put("n", 1);
      event.res.status = 201;
      throw new Error("wrong");
    });
    const response = await app.request("/");
    expect([response.status, await response.text(), names(response)]).toEqual([status, text, ["session"]]);
  });

  test("reaches the middleware onError() that is mounted later, and onResponse()", async () => {
    const { sessions } = setup();
    const seen: unknown[] = [];
    const app = new H3({ silent: true })
      .use(loadAndSave(sessions))
      .use(onError(({ message }) => new Response(message, { status: 500 })))
      .use(
        onResponse((response) => {
          seen.push(response.status);
        }),
      )
      .get("/", (event) => {
        sessions.of(event).put("n", 1);
        throw new Error("wrong");
      })
      .get("/fine", () => "hello");
    const response = await app.request("/");
    expect([response.status, await response.text(), names(response)]).toEqual([500, "wrong", ["session"]]);
    await app.request("/fine");
    expect(seen).toEqual([200]);
  });
});

describe("a session that cannot be loaded or stored", () => {
  test.each(["load", "commit"])("is h3's own 503 without a word of the store: %s", async (when) => {
    const { sessions, store } = setup();
    const headers: Record<string, string> = when === "load" ? await signIn(sessions, { n: 1 }) : {};
    store.failure = new Error("the store is down");
    const response = await application({ sessions }).request("/put", { headers });
    expect([response.status, names(response)]).toEqual([503, []]);
    expect(await response.json()).toEqual({ status: 503, unhandled: true, message: "HTTPError" });
  });

  test.each(["load", "commit"])("goes to onError, without anything of the handler's but with what came earlier: %s", async (when) => {
    const { sessions, store } = setup();
    const headers: Record<string, string> = when === "load" ? await signIn(sessions, { n: 1 }) : {};
    const seen: unknown[] = [];
    const app = new H3({
      silent: true,
      onError(error, event) {
        seen.push(codeOf(error.cause), event.url.pathname);
        return { code: codeOf(error.cause) };
      },
    });
    app.use((event) => {
      event.res.headers.set("x-early", "yes");
      event.res.headers.append("set-cookie", "early=1");
    });
    app.mount("/", application({ sessions }));
    store.failure = new Error("the store is down");
    const response = await app.request("/put", { headers });
    expect([response.status, await response.json()]).toEqual([200, { code: "store-unavailable" }]);
    expect([response.headers.get("x-early"), response.headers.get("x-own"), names(response)]).toEqual(["yes", null, ["early"]]);
    expect(response.headers.get("cache-control")).toBe(when === "load" ? null : "no-store");
    expect(seen).toEqual(["store-unavailable", "/put"]);
  }); // prettier-ignore

  test("of two managers: the one that has stored hands out its token", async () => {
    const stores = { outer: new FaultyStore(new MemoryStore()), inner: new FaultyStore(new MemoryStore()) };
    const outer = new SessionManager<Data>({ store: stores.outer, cookie: { name: "a" } });
    const inner = new SessionManager<Data>({ store: stores.inner, cookie: { name: "b" } });
    const app = new H3({ silent: true, onError: () => new Response("down", { status: 503 }) });
    app
      .use(loadAndSave(outer))
      .use(loadAndSave(inner))
      .get("/", (event) => {
        outer.of(event).put("n", 1);
        inner.of(event).put("n", 1);
        return "hello";
      });
    for (const [failing, cookies] of [
      ["inner", ["a"]],
      ["outer", ["b"]],
    ] as const) {
      // prettier-ignore
      stores[failing].failure = new Error("down");
      const response = await app.request("/");
      expect([response.status, await response.text(), names(response)]).toEqual([503, "down", cookies]);
      stores[failing].failure = undefined;
    }
  });
});
