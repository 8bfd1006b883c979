/** What the contract cannot say of Koa: its context, its two ways with errors, its bodies, and middleware on both sides. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { connect, createServer as createHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { createGzip, gunzipSync } from "node:zlib";
import { bodyParser } from "@koa/bodyparser";
import Koa, { type Context } from "koa";
import koaSession from "koa-session";
import Koa2 from "koa-2";
import { SessionError } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { loadAndSave } from "scs-session/koa";
import { loadAndSave as onNode } from "scs-session/node";
import { signIn } from "scs-session/testing";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask, cookieOf, listen, settle, setup, stored, until, Wire, type Data, type Setup } from "./support.ts";

interface Options {
  readonly keys?: string[];
  readonly asyncLocalStorage?: boolean;
}

const down = new Error("the store is down");

/** How often a new session was to be stored; a commit that has failed looks for what became of it, too. */
const commits = ({ store }: Setup): number => store.calls.filter((call) => call === "commit").length;

describe.each([
  ["Koa 3", Koa],
  ["Koa 2", Koa2],
] as const)("On %s,", (_, Application) => {
  /** An application, and the codes or messages of what reaches its event "error". */
  function application(options?: Options): { readonly app: Koa; readonly errors: string[] } {
    const app: Koa = new Application(options);
    const errors: string[] = [];
    app.on("error", (error: { code?: string; message: string }) => errors.push(error.code ?? error.message));
    return { app, errors };
  }

  const serve = (app: Koa): Promise<string> => listen(createServer(app.callback() as RequestListener));

  /** Serves a handler behind loadAndSave, with middleware mounted before and after it. */
  async function site(
    { sessions }: Setup,
    handler: Koa.Middleware,
    { before = [], after = [] }: { before?: readonly Koa.Middleware[]; after?: readonly Koa.Middleware[] } = {},
  ): Promise<{ readonly port: string; readonly errors: string[] }> {
    const { app, errors } = application();
    for (const each of [...before, loadAndSave(sessions), ...after, handler]) app.use(each);
    return { port: await serve(app), errors };
  }

  describe("the session", () => {
    test("is stored by one call, and not looked at again by the response", async () => {
      const all = setup();
      const { port } = await site(all, (context) => {
        all.sessions.of(context).put("n", 1);
        context.body = "ok";
      });
      const cookie = cookieOf(await ask(port).response())!;
      all.store.calls.length = 0;
      await ask(port, "GET", "/", { cookie }).response();
      expect(all.store.calls).toEqual(["find", "replace"]);
    });

    test("stands on the context as ctx.session, under another name, or nowhere", async () => {
      const { sessions } = setup();
      const seen: unknown[] = [];
      for (const property of [undefined, "session", "visit", false] as const) {
        const { app } = application();
        app.use(loadAndSave(sessions, { property }));
        app.use((ctx: Context) => {
          const own = sessions.of(ctx);
          seen.push([property, ctx["session"] === own, ctx["visit"] === own, sessions.of(ctx.req) === own]);
        });
        await ask(await serve(app)).response();
      }
      expect(seen).toEqual([
        [undefined, true, false, true],
        ["session", true, false, true],
        ["visit", false, true, true],
        [false, false, false, true],
      ]);
    });

    test("cannot be replaced, as koa-session's is: the error says what to do", async () => {
      const { port, errors } = await site(setup(), (ctx: Context) => {
        ctx["session"] = null;
      });
      expect((await ask(port).response()).status).toBe(500);
      expect(errors).toEqual(["invalid-value"]);
    });

    test("stands beside that of koa-session under another name", async () => {
      const given = setup();
      const { app } = application({ keys: ["secret"] });
      app.use(koaSession({ key: "theirs" }, app));
      app.use(loadAndSave(given.sessions, { property: "visit" }));
      app.use((ctx: Context) => {
        (ctx["session"] as Data).n = 1;
        given.sessions.of(ctx).put("n", 2);
        ctx.body = "both";
      });
      const response = await ask(await serve(app)).response();
      expect(response.all("set-cookie").map((line) => line.split("=")[0])).toEqual(
        expect.arrayContaining(["theirs", "session"]),
      );
    });

    test("of two managers stand under two names", async () => {
      const [one, two] = [setup(), setup({ cookie: { name: "other" } })];
      const { app } = application();
      app.use(loadAndSave(one.sessions)).use(loadAndSave(two.sessions, { property: "other" }));
      app.use((ctx: Context) => {
        ctx.body = String(ctx["session"] === one.sessions.of(ctx) && ctx["other"] === two.sessions.of(ctx));
      });
      expect((await ask(await serve(app)).response()).text).toBe("true");
    });

    test("is current beside Koa's own current context, also after the body parser", async () => {
      const given = setup();
      const { app } = application({ asyncLocalStorage: true });
      app.use(loadAndSave(given.sessions));
      const seen: boolean[] = [];
      const look = (ctx: Context): void => {
        seen.push(given.sessions.current() === ctx["session"], app.currentContext === ctx);
      };
      app.use(async (ctx: Context, next) => {
        look(ctx);
        await next();
        look(ctx);
      });
      app.use(bodyParser());
      app.use(async (ctx: Context) => {
        look(ctx);
        const { user } = ctx.request.body as Data;
        given.sessions.current().put("user", user);
        await settle();
        look(ctx);
        ctx.body = given.sessions.current().getString("user");
      });
      const headers = { "content-type": "application/json", "content-length": "15" };
      const response = await ask(await serve(app), "POST", "/", headers, '{"user":"anna"}').response();
      expect([response.text, seen.length, seen.includes(false)]).toEqual(["anna", 8, false]);
    });

    test("is not loaded for requests that are skipped", async () => {
      const given = setup();
      const { app } = application();
      app.use(loadAndSave(given.sessions, { skip: ({ path, method }) => path === "/health" && method === "GET" }));
      app.use((ctx: Context) => {
        ctx.body = String(given.sessions.lookup(ctx) === undefined && ctx["session"] === undefined);
      });
      const port = await serve(app);
      const headers = await signIn(given.sessions, { n: 1 });
      const calls = given.store.calls.length;
      expect((await ask(port, "GET", "/health", headers).response()).text).toBe("true");
      expect(given.store.calls.length).toBe(calls);
      expect((await ask(port, "GET", "/", headers).response()).text).toBe("false");
    });

    test("leaves its name to what else sets it, on requests that are skipped and in applications that have it", async () => {
      const { sessions } = setup();
      const { app } = application();
      app.use(loadAndSave(sessions, { skip: ({ path }) => path === "/own" }));
      app.use((ctx: Context) => {
        if (ctx.path === "/own") ctx["session"] = "mine";
        ctx.body = typeof ctx["session"];
      });
      const port = await serve(app);
      for (const path of ["/", "/own", "/"]) {
        expect((await ask(port, "GET", path).response()).text).toBe(path === "/own" ? "string" : "object");
      }
      const { app: other } = application();
      Object.defineProperty(other.context, "session", { get: () => "theirs", configurable: true });
      other.use((ctx, next) => (ctx.path === "/" ? loadAndSave(sessions)(ctx, next) : next()));
      other.use((ctx: Context) => {
        ctx.body = typeof ctx["session"];
      });
      const second = await serve(other);
      for (const path of ["/", "/theirs"]) {
        expect((await ask(second, "GET", path).response()).text).toBe(path === "/" ? "object" : "string");
      }
    });

    test("has a Secure cookie where Koa calls the request secure", async () => {
      const given = setup();
      const { app } = application();
      let secure = true;
      Object.defineProperty(app.request, "secure", { get: () => secure });
      app.use(loadAndSave(given.sessions)).use((ctx) => given.sessions.of(ctx).put("n", 1));
      const port = await serve(app);
      expect((await ask(port).response()).header("set-cookie")).toContain("; Secure");
      secure = false;
      expect((await ask(port).response()).header("set-cookie")).not.toContain("; Secure");
    });

    test("is served over HTTP/2", async () => {
      const given = setup();
      const { app } = application();
      app.use(loadAndSave(given.sessions)).use((ctx: Context) => {
        given.sessions.of(ctx).put("n", 1);
        ctx.body = "two";
      });
      const server = createHttp2(app.callback() as never);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      onTestFinished(async () => {
        client.close();
        await new Promise((resolve) => server.close(resolve));
      });
      const sent = client.request({ ":path": "/" });
      const [headers] = (await once(sent, "response")) as [Record<string, string | string[]>];
      expect([await text(sent), headers["set-cookie"]?.length]).toEqual(["two", 1]);
    });
  });

  describe("an error of the handler", () => {
    const failing = (given: Setup, more = (_ctx: Context): void => undefined): Koa.Middleware =>
      function (ctx: Context) {
        given.sessions.of(ctx).update("n", (n = 0) => n + 1);
        more(ctx);
        ctx.set("x-own", "yes");
        ctx.throw(401, "wrong password");
      };

    test("is answered by Koa and stored with its answer: the counter counts", async () => {
      const given = setup();
      const { port, errors } = await site(given, failing(given));
      const first = await ask(port).response();
      expect([first.status, first.text, first.header("x-own")]).toEqual([401, "wrong password", undefined]);
      expect(first.header("cache-control")).toContain("no-store");
      const second = await ask(port, "GET", "/", { cookie: cookieOf(first)! }).response();
      expect([second.status, cookieOf(second)]).toEqual([401, cookieOf(first)]);
      const session = await given.sessions.load(cookieOf(first)!.split("=")[1]);
      expect([session.get("n"), errors]).toEqual([2, ["wrong password", "wrong password"]]);
    });

    test("is answered by error middleware, which may change the session, too", async () => {
      const given = setup();
      const before: Koa.Middleware = async (ctx: Context, next) => {
        try {
          await next();
        } catch (error) {
          given.sessions.of(ctx).put("user", (error as Error).message);
          ctx.redirect("/login");
        }
      };
      const { port, errors } = await site(given, failing(given), { before: [before] });
      const response = await ask(port).response();
      expect([response.status, response.header("location"), errors]).toEqual([302, "/login", []]);
      const session = await given.sessions.load(cookieOf(response)!.split("=")[1]);
      expect([session.get("n"), session.get("user"), commits(given)]).toEqual([1, "wrong password", 1]);
    });

    test("whose answer cannot be stored is followed by that of the store", async () => {
      const given = setup();
      given.store.failure = down;
      const { port, errors } = await site(given, failing(given));
      const response = await ask(port).response();
      expect([response.status, response.text, cookieOf(response)]).toEqual([503, "Service Unavailable", undefined]);
      expect(errors).toEqual(["wrong password", "store-unavailable"]);
    });

    test("that is no error at all is made one by Koa", async () => {
      const given = setup();
      const { port, errors } = await site(given, (ctx: Context) => {
        given.sessions.of(ctx).put("n", 1);
        // eslint-disable-next-line @typescript-eslint/only-throw-error
        throw "text";
      });
      const response = await ask(port).response();
      expect([response.status, cookieOf(response) !== undefined]).toEqual([500, true]);
      expect(errors).toEqual(['non-error thrown: "text"']);
    });
  });

  describe("a session that cannot be loaded", () => {
    test("is an error for the middleware before, or for Koa", async () => {
      const given = setup();
      const headers = await signIn(given.sessions, { n: 1 });
      given.store.failure = down;
      const caught: unknown[] = [];
      let runs = 0;
      const handler = (): number => runs++;
      const before: Koa.Middleware = async (ctx: Context, next) => {
        try {
          await next();
        } catch (error) {
          caught.push(error);
          if (ctx.path === "/caught") ctx.body = "maintenance";
          else throw error;
        }
      };
      const { port, errors } = await site(given, handler, { before: [before] });
      expect((await ask(port, "GET", "/caught", headers).response()).text).toBe("maintenance");
      expect(errors).toEqual([]);
      const response = await ask(port, "GET", "/", headers).response();
      expect([response.status, response.text, response.all("set-cookie"), runs]).toEqual([
        503,
        "Service Unavailable",
        [],
        0,
      ]);
      expect([errors, caught]).toEqual([
        ["store-unavailable"],
        [expect.any(SessionError), expect.objectContaining({ status: 503 })],
      ]);
    });
  });

  describe("a session that cannot be stored", () => {
    const putting: Koa.Middleware = (ctx: Context) => {
      (ctx["session"] as { put(key: string, value: number): void }).put("n", 1);
      ctx.set("x-own", "yes");
      ctx.cookies.set("own", "1");
      ctx.status = 201;
      ctx.body = ctx.path === "/stream" ? Readable.from(["stored"]) : ctx.path === "/json" ? { a: 1 } : "stored";
    };

    test.each(["/", "/json", "/stream"])("is answered by Koa, and told once: %s", async (path) => {
      const given = setup();
      given.store.failure = down;
      const { port, errors } = await site(given, putting);
      const response = await ask(port, "GET", path).response();
      expect([response.status, response.text, response.all("set-cookie")]).toEqual([503, "Service Unavailable", []]);
      expect([response.header("x-own"), response.header("cache-control")]).toEqual([undefined, "no-store"]);
      await settle();
      expect([errors, commits(given)]).toEqual([["store-unavailable"], 1]);
    });

    test.each(["/", "/json", "/stream"])("is caught by middleware that answers with a page: %s", async (path) => {
      const given = setup();
      given.store.failure = down;
      const before: Koa.Middleware = async (ctx: Context, next) => {
        ctx.set("x-before", "yes");
        ctx.cookies.set("before", "1");
        try {
          await next();
        } catch (error) {
          ctx.body = (error as SessionError).code;
        }
      };
      const { port, errors } = await site(given, putting, { before: [before] });
      const response = await ask(port, "GET", path).response();
      expect([response.status, response.text]).toEqual([503, "store-unavailable"]);
      expect([response.header("x-before"), response.header("x-own")]).toEqual(["yes", undefined]);
      expect(response.all("set-cookie")).toEqual(["before=1; path=/; httponly"]);
      expect([errors, commits(given)]).toEqual([[], 1]);
    });

    test("is no success, even when middleware swallows the error", async () => {
      const given = setup();
      given.store.failure = down;
      const before: Koa.Middleware = (_ctx, next) => next().catch(() => undefined);
      const { port } = await site(given, putting, { before: [before] });
      for (const path of ["/", "/stream"]) {
        const response = await ask(port, "GET", path).response();
        expect([response.status, response.text, response.header("x-own")]).toEqual([
          503,
          "Service Unavailable",
          undefined,
        ]);
      }
    });

    test("can be changed no more by the middleware that catches the error", async () => {
      const given = setup();
      given.store.failure = down;
      const before: Koa.Middleware = async (ctx: Context, next) => {
        try {
          await next();
        } catch {
          given.sessions.of(ctx).put("user", "try again");
        }
      };
      const { port, errors } = await site(given, putting, { before: [before] });
      expect((await ask(port).response()).status).toBe(500);
      expect(errors).toEqual(["headers-sent"]);
    });

    test("leaves that of another manager stored, whichever fails", async () => {
      for (const failing of [0, 1]) {
        const both = [setup(), setup({ cookie: { name: "other" } })] as const;
        both[failing]!.store.failure = down;
        const { app, errors } = application();
        app.use(loadAndSave(both[0].sessions)).use(loadAndSave(both[1].sessions, { property: "other" }));
        app.use((ctx: Context) => {
          for (const { sessions } of both) sessions.of(ctx).put("n", 1);
          ctx.body = "stored";
        });
        const response = await ask(await serve(app)).response();
        const names = response.all("set-cookie").map((line) => line.split("=")[0]);
        expect([response.status, names]).toEqual([503, [failing === 0 ? "other" : "session"]]);
        expect([errors, both.map(commits)]).toEqual([["store-unavailable"], [1, 1]]);
      }
    });

    test("destroys what was to be destroyed when the store is back", async () => {
      const given = setup();
      const headers = await signIn(given.sessions, { n: 1 });
      const { port } = await site(given, (ctx: Context) => {
        given.sessions.of(ctx).destroy();
        given.store.failure = down;
        ctx.body = "bye";
        ctx.res.prependOnceListener("close", () => (given.store.failure = undefined));
      });
      const response = await ask(port, "GET", "/", headers).response();
      expect([response.status, response.all("set-cookie")]).toEqual([503, []]);
      await settle();
      expect(await stored(given.memory)).toBe(0);
    });
  });

  describe("middleware mounted before", () => {
    test("may still change the session when the handler is done: it is stored with the response", async () => {
      const given = setup();
      const before: Koa.Middleware = async (ctx: Context, next) => {
        await next();
        given.sessions.of(ctx).update("n", (n = 0) => n + 1);
      };
      const { port, errors } = await site(
        given,
        (ctx: Context) => {
          if (ctx.path === "/put") given.sessions.of(ctx).put("n", 1);
          ctx.body = "done";
        },
        { before: [before] },
      );
      for (const [path, n] of [
        ["/put", 2],
        ["/", 1],
      ] as const) {
        const response = await ask(port, "GET", path).response();
        expect([response.text, response.all("set-cookie").length, errors]).toEqual(["done", 1, []]);
        expect((await given.sessions.load(cookieOf(response)!.split("=")[1])).get("n")).toBe(n);
      }
    });

    test("that changes it then, and cannot have it stored, costs the response, streams included", async () => {
      const given = setup();
      const before: Koa.Middleware = async (ctx: Context, next) => {
        await next();
        given.sessions.of(ctx).put("n", 1);
        given.store.failure = down;
      };
      for (const body of [() => "done", () => Readable.from(["done"]), () => ({ done: true })]) {
        const { port, errors } = await site(
          given,
          (ctx: Context) => {
            ctx.set("x-own", "yes");
            ctx.body = body();
          },
          { before: [before] },
        );
        const response = await ask(port).response();
        expect([response.status, response.text, response.header("x-own")]).toEqual([
          503,
          "Service Unavailable",
          undefined,
        ]);
        await settle();
        expect(errors.filter((code) => code === "store-unavailable")).toEqual(["store-unavailable"]);
        given.store.failure = undefined;
      }
    });

    test.each(["before", "after"] as const)(
      "answers 304 where nothing is new, with the cookie: mounted %s",
      async (where) => {
        const given = setup();
        const conditionalGet: Koa.Middleware = async (ctx: Context, next) => {
          await next();
          if (!ctx.fresh) return;
          ctx.status = 304;
          ctx.body = null;
        };
        const { port } = await site(
          given,
          (ctx: Context) => {
            given.sessions.of(ctx).update("n", (n = 0) => n + 1);
            ctx.etag = "1";
            ctx.body = "text";
          },
          { [where]: [conditionalGet] },
        );
        const first = await ask(port).response();
        expect([first.status, first.text, first.header("content-length")]).toEqual([200, "text", "4"]);
        const again = await ask(port, "GET", "/", { "if-none-match": '"1"' }).response();
        expect([again.status, again.text, cookieOf(again) !== undefined]).toEqual([304, "", true]);
        const head = await new Wire(port).send("HEAD", "/", { connection: "close" }).response("HEAD");
        expect([head.status, head.header("content-length"), cookieOf(head) !== undefined]).toEqual([200, "4", true]);
      },
    );

    test.each(["before", "after"] as const)("compresses what is sent: mounted %s", async (where) => {
      const given = setup();
      const compress: Koa.Middleware = async (ctx: Context, next) => {
        await next();
        const { body } = ctx;
        if (!ctx.acceptsEncodings("gzip") || ctx.request.method === "HEAD" || !body) return;
        ctx.set("Content-Encoding", "gzip");
        ctx.remove("Content-Length");
        const gzip = createGzip();
        ctx.body = gzip;
        if (body instanceof Readable) body.pipe(gzip);
        else gzip.end(body as string);
      };
      const { port, errors } = await site(
        given,
        (ctx: Context) => {
          given.sessions.of(ctx).put("n", 1);
          if (ctx.path === "/fail") given.store.failure = down;
          ctx.body = ctx.path === "/stream" ? Readable.from(["compressed"]) : "compressed";
        },
        { [where]: [compress] },
      );
      const headers = { "accept-encoding": "gzip" };
      for (const path of ["/text", "/stream"]) {
        const response = await ask(port, "GET", path, headers).response();
        expect([response.header("content-encoding"), cookieOf(response) !== undefined]).toEqual(["gzip", true]);
        expect(gunzipSync(response.body).toString()).toBe("compressed");
      }
      const failed = await ask(port, "GET", "/fail", headers).response();
      expect([failed.status, failed.text, failed.header("content-encoding")]).toEqual([
        503,
        "Service Unavailable",
        undefined,
      ]);
      expect(errors).toEqual(["store-unavailable"]);
    });
  });

  test("cookies of the application are kept, whoever sets them, also when they are signed", async () => {
    const given = setup();
    const { app } = application({ keys: ["secret"] });
    app.use(async (ctx: Context, next) => {
      ctx.cookies.set("first", "1", { signed: false });
      await next();
      ctx.cookies.set("last", "3", { signed: false });
    });
    app.use(loadAndSave(given.sessions));
    app.use((ctx: Context) => {
      given.sessions.of(ctx).put("n", 1);
      ctx.cookies.set("signed", "2", { signed: true });
      ctx.body = "cookies";
    });
    const response = await ask(await serve(app)).response();
    const names = response.all("set-cookie").map((line) => line.split("=")[0]);
    expect(names).toEqual(["first", "signed", "signed.sig", "last", "session"]);
  });

  describe("a handler that bypasses Koa", () => {
    const bypassing = (given: Setup, answer: (res: ServerResponse) => void, late: boolean): Koa.Middleware =>
      function (ctx: Context) {
        given.sessions.of(ctx).put("n", 1);
        if (!late) {
          if (ctx.path === "/bypass") ctx.respond = false;
          answer(ctx.res);
          return;
        }
        ctx.respond = false;
        setImmediate(() => {
          given.sessions.of(ctx).put("user", "late");
          ctx.res.statusCode = 200;
          answer(ctx.res);
        });
      };

    test.each([
      ["at once, with respond = false", "/bypass", false],
      ["at once, without", "/", false],
      ["later", "/bypass", true],
    ])("is held until its session is stored: %s", async (_name, path, late) => {
      const given = setup();
      given.store.holds = true;
      const handler = bypassing(given, (res) => res.writeHead(200, { "x-own": "yes" }).end("raw"), late);
      const { port, errors } = await site(given, handler);
      const wire = ask(port, "GET", path);
      await until(() => given.store.waiting.length === 1);
      await settle();
      expect(wire.text).toBe("");
      await given.store.waiting[0]!.complete();
      const response = await wire.response();
      expect([response.status, response.text, response.header("x-own"), cookieOf(response) !== undefined]).toEqual([
        200,
        "raw",
        "yes",
        true,
      ]);
      expect([errors, commits(given)]).toEqual([[], 1]);
    });

    test.each([
      ["at once, with respond = false", "/bypass", false],
      ["at once, without", "/", false],
      ["later", "/bypass", true],
    ])("sends nothing when it is not stored; Koa answers, and tells it once: %s", async (_name, path, late) => {
      const given = setup();
      given.store.failure = down;
      const handler = bypassing(given, (res) => res.writeHead(200, { "x-own": "yes" }).end("raw"), late);
      const { port, errors } = await site(given, handler);
      const response = await ask(port, "GET", path).response();
      expect([response.status, response.text, response.header("x-own")]).toEqual([
        503,
        "Service Unavailable",
        undefined,
      ]);
      await settle();
      expect([errors, commits(given)]).toEqual([["store-unavailable"], 1]);
    });

    test("sees while it is held that the response is on its way", async () => {
      const given = setup();
      const seen: unknown[] = [];
      const { port, errors } = await site(given, async (ctx: Context) => {
        given.sessions.of(ctx).put("n", 1);
        seen.push(ctx.headerSent, ctx.writable);
        ctx.res.write("one ");
        seen.push(ctx.headerSent, ctx.writable);
        ctx.res.end("two");
        seen.push(ctx.headerSent, ctx.writable);
        ctx.status = 500; // as with Koa alone, too late and not heeded
        ctx.body = "three";
      });
      const response = await ask(port).response();
      expect([response.status, response.text, seen]).toEqual([404, "one two", [false, true, true, true, true, false]]);
      await settle();
      expect([errors, commits(given)]).toEqual([[], 1]);
    });

    test("gets Node's own errors when it answers twice", async () => {
      const given = setup();
      const codes: unknown[] = [];
      const { port, errors } = await site(given, (ctx: Context) => {
        given.sessions.of(ctx).put("n", 1);
        ctx.res.end("one");
        try {
          ctx.res.setHeader("x-late", "1");
        } catch (error) {
          codes.push((error as { code: unknown }).code);
        }
        throw new Error("after the answer");
      });
      expect((await ask(port).response()).text).toBe("one");
      expect([codes, errors]).toEqual([["ERR_HTTP_HEADERS_SENT"], ["after the answer"]]);
    });
  });

  describe("a client that goes away", () => {
    test("while the handler works leaves what is answered stored, and ends what is destroyed", async () => {
      const given = setup();
      const headers = await signIn(given.sessions, { n: 1 });
      let proceed = (): void => undefined;
      let isThere = false;
      const { port } = await site(given, async (ctx: Context) => {
        const session = given.sessions.of(ctx);
        if (ctx.path === "/destroy") session.destroy();
        isThere = true;
        await new Promise<void>((resolve) => (proceed = resolve));
        if (ctx.path === "/put") session.put("n", 2);
        ctx.body = "done";
      });
      for (const path of ["/put", "/destroy"]) {
        const before = given.store.calls.length;
        isThere = false;
        const wire = new Wire(port).send("GET", path, headers);
        await until(() => isThere);
        wire.socket.destroy();
        await settle();
        proceed();
        await until(() => given.store.calls.slice(before).includes("replace"));
        await settle();
        const session = await given.sessions.load(headers["cookie"]!.split("=")[1]);
        expect(session.get("n")).toBe(path === "/put" ? 2 : undefined);
      }
    });

    test("while a body streams ends the stream", async () => {
      const given = setup();
      const body = new PassThrough();
      const { port } = await site(given, (ctx: Context) => {
        given.sessions.of(ctx).put("n", 1);
        ctx.body = body;
        body.write("begun");
      });
      const wire = new Wire(port).send();
      await until(() => wire.text.includes("begun"));
      wire.socket.destroy();
      await until(() => body.destroyed);
      expect(await stored(given.memory)).toBe(1);
    });

    test("while its body is parsed makes an error of the parser", async () => {
      const given = setup();
      const { port, errors } = await site(given, () => undefined, { after: [bodyParser()] });
      const headers = { "content-type": "application/json", "content-length": "100" };
      const wire = new Wire(port).send("POST", "/", headers, '{"user":');
      await settle();
      wire.socket.destroy();
      await until(() => errors.length === 1);
      expect([errors, await stored(given.memory)]).toEqual([[expect.any(String)], 0]);
    });
  });

  test("a body that the parser refuses is answered by Koa, with what was put before", async () => {
    const given = setup();
    const putting: Koa.Middleware = async (ctx: Context, next) => {
      given.sessions.of(ctx).put("n", 1);
      await next();
    };
    const { port } = await site(given, () => undefined, { after: [putting, bodyParser()] });
    const headers = { "content-type": "application/json", "content-length": "1" };
    const response = await ask(port, "POST", "/", headers, "{").response();
    expect([response.status, cookieOf(response) !== undefined, await stored(given.memory)]).toEqual([400, true, 1]);
  });
});

test("called as another framework's it throws, naming the right import", async () => {
  const { sessions } = setup();
  const call = async (fn: (...args: never[]) => unknown, ...args: unknown[]): Promise<string> => {
    try {
      await fn(...(args as never[]));
      return "nothing";
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      return `${code}: ${message}`;
    }
  };
  const handler = (): never => {
    throw new Error("not to be called");
  };
  const app = new Koa();
  const raw = { socket: {}, headers: {} };
  const ctx = app.createContext(raw as unknown as IncomingMessage, { writeHead() {} } as unknown as ServerResponse);
  const ours = loadAndSave(sessions);
  const express = { ...raw, res: { writeHead() {} } };
  expect(await call(ours, express, express.res, handler)).toMatch(/^wrong-adapter: .*"scs-session\/express"/);
  expect(await call(ours, new Request("http://localhost/"))).toMatch(/^wrong-adapter: .*"scs-session\/fetch"/);
  expect(await call(onExpress(sessions), ctx, handler)).toMatch(/^wrong-adapter: .*"scs-session\/koa"/);
  expect(await call(onNode(sessions, handler), ctx, handler)).toMatch(/^wrong-adapter: .*"scs-session\/koa"/);
  expect(await call(onFetch(sessions, handler), ctx, handler)).toMatch(/^wrong-adapter: .*"scs-session\/koa"/);
  for (const given of [app, handler, undefined]) {
    expect(await call(ours, given, handler)).toMatch(/^wrong-adapter: /);
    expect(await call(loadAndSave as never, given)).toMatch(/^wrong-adapter: /);
  }
  expect(() => (ours as (first: unknown) => unknown)(express)).toThrow("express"); // at once: Express 4 knows no promises
});
