/** What the adapters of Node's request and response share, on node:http, Express 5 and Express 4. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer, request as secureRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import busboy from "busboy";
import express, { type Express } from "express";
import express4 from "express-4";
import multer from "multer";
import { SessionManager, type SessionError } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { MemoryStore } from "scs-session/memory";
import { loadAndSave as onNode } from "scs-session/node";
import { FaultyStore, signIn } from "scs-session/testing";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ask,
  connectStyle,
  cookieOf,
  kinds,
  listen,
  settle,
  setup,
  site,
  stored,
  until,
  Wire,
  type Middleware,
} from "./support.ts";

const codeOf = (call: () => unknown): unknown => {
  try {
    call();
    return "nothing";
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

const own = ["writeHead", "write", "end", "flushHeaders", "setHeader"];

describe.each(kinds)("On %s,", (kind) => {
  test("a request without cookie whose session is not used costs nothing", async () => {
    const given = setup();
    let installed: string[] | undefined;
    const port = await site(kind, given, (_, res) => {
      installed = own.filter((name) => Object.hasOwn(res, name));
      res.end("hello");
    });
    const response = await ask(port).response();
    expect([response.text, installed, given.store.calls]).toEqual(["hello", [], []]);
    expect(["set-cookie", "vary", "cache-control"].map((name) => response.header(name))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("of() alone does not make the response depend on the session; reading does", async () => {
    const given = setup();
    const port = await site(kind, given, (req, res) => {
      const session = given.sessions.of(req);
      if (req.url === "/read") session.get("n");
      res.end("hello");
    });
    const [of, read] = [await ask(port).response(), await ask(port, "GET", "/read").response()];
    expect([of.header("vary"), of.header("cache-control")]).toEqual([undefined, undefined]);
    expect([read.header("vary"), read.header("cache-control")]).toEqual(["Cookie", "private"]);
    expect([read.header("content-length"), given.store.calls, cookieOf(read)]).toEqual(["5", [], undefined]);
  });

  test("a change after the first byte throws headers-sent, and nothing of it is stored", async () => {
    const given = setup();
    const codes: unknown[] = [];
    const port = await site(kind, given, (req, res) => {
      const session = given.sessions.of(req);
      res.write("hello");
      codes.push(
        codeOf(() => session.put("n", 1)),
        codeOf(() => session.destroy()),
        codeOf(() => session.get("n")),
      );
      res.end();
    });
    expect(cookieOf(await ask(port).response())).toBeUndefined();
    expect([codes, given.store.calls]).toEqual([["headers-sent", "headers-sent", "nothing"], []]);
  });

  test("a session that is used for the first time after the headers reads, and refuses changes", async () => {
    const given = setup();
    const codes: unknown[] = [];
    const port = await site(kind, given, (req, res) => {
      res.write("one ");
      const session = given.sessions.of(req);
      codes.push(
        codeOf(() => session.get("n")),
        codeOf(() => session.put("n", 1)),
      );
      res.write("two ");
      res.end("three");
    });
    const response = await ask(port).response();
    expect([response.text, codes, cookieOf(response)]).toEqual([
      "one two three",
      ["nothing", "headers-sent"],
      undefined,
    ]);
  });

  test("an explicit commit comes before streaming, and the response only looks whether the session is still there", async () => {
    const given = setup();
    const { sessions, store } = given;
    store.holds = (method) => method === "commit";
    const port = await site(kind, given, async (req, res) => {
      const session = sessions.of(req);
      session.put("n", 1);
      await sessions.commit(session);
      res.write("one ");
      res.end("two");
    });
    const wire = ask(port);
    await until(() => store.waiting.length === 1);
    await store.waiting[0]!.complete();
    const response = await wire.response();
    expect([response.text, store.calls, response.all("set-cookie").length]).toEqual(["one two", ["commit", "find"], 1]);
  });

  test.each([
    ["by method", false],
    ["through writeHead", true],
  ])("headers of the application's own are kept or merged: given %s", async (_, atOnce) => {
    const given = setup();
    const port = await site(kind, given, (req, res) => {
      const session = given.sessions.of(req);
      if (req.url === "/set") session.put("n", 1);
      else session.get("n");
      const headers = {
        "Set-Cookie": ["a=1", "b=2"],
        Vary: "Accept, Origin",
        "Cache-Control": "public, max-age=60",
        "CDN-Cache-Control": "max-age=60",
        "Surrogate-Control": "max-age=60",
      };
      if (!atOnce) for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
      res.writeHead(200, atOnce ? headers : {}).end("hello");
    });
    const set = await ask(port, "GET", "/set").response();
    expect(set.all("set-cookie").map((line) => line.split("=")[0])).toEqual(["a", "b", "session"]);
    expect(["vary", "cache-control", "cdn-cache-control", "surrogate-control"].map((name) => set.header(name))).toEqual(
      ["Accept, Origin, Cookie", 'no-store, no-cache="Set-Cookie"', undefined, undefined],
    );
    const read = await ask(port, "GET", "/read").response();
    expect(read.all("set-cookie")).toEqual(["a=1", "b=2"]);
    expect(["vary", "cache-control", "cdn-cache-control"].map((name) => read.header(name))).toEqual([
      "Accept, Origin, Cookie",
      "public, max-age=60",
      "max-age=60",
    ]);
  });

  test("a Vary that names the cookie, or everything, is left as it is", async () => {
    const given = setup();
    const port = await site(kind, given, (req, res) => {
      given.sessions.of(req).get("n");
      res.setHeader("Vary", req.url === "/all" ? "*" : "cookie, Accept");
      res.end();
    });
    expect((await ask(port).response()).header("vary")).toBe("cookie, Accept");
    expect((await ask(port, "GET", "/all").response()).header("vary")).toBe("*");
  });

  describe("a pending destroy is carried out", () => {
    const destroying = async (handler: (req: IncomingMessage, res: ServerResponse, end: () => void) => unknown) => {
      const given = setup();
      const headers = await signIn(given.sessions, { n: 1 });
      const seen: string[] = [];
      const port = await site(kind, given, (req, res) => {
        seen.push("called");
        res.on("close", () => seen.push("close"));
        return handler(req, res, () => given.sessions.of(req).destroy());
      });
      return { ...given, seen, wire: new Wire(port).send("GET", "/", headers) };
    };

    test("when the handler never answers and the client gives up", async () => {
      const { wire, seen, memory } = await destroying((_req, _res, end) => end());
      await until(() => seen.includes("called"));
      await settle();
      expect(await stored(memory)).toBe(1);
      wire.socket.destroy();
      await until(() => seen.includes("close"));
      await settle();
      expect(await stored(memory)).toBe(0);
    });

    test("when it comes after the client has gone", async () => {
      const { wire, seen, memory } = await destroying((_req, res, end) => {
        res.on("close", () => setImmediate(end));
      });
      await until(() => seen.includes("called"));
      wire.socket.destroy();
      await until(() => seen.includes("close"));
      await settle();
      expect(await stored(memory)).toBe(0);
    });

    test("once, when the handler answers", async () => {
      const { wire, memory, store, seen } = await destroying((_req, res, end) => {
        end();
        res.end("bye");
      });
      const response = await wire.response();
      expect(response.header("set-cookie")).toMatch(/^session=; .*Max-Age=0/);
      await until(() => seen.includes("close"));
      await settle();
      expect([await stored(memory), store.calls]).toEqual([0, ["commit", "find", "replace"]]);
    });

    test("when the handler throws", async () => {
      const { wire, memory, seen } = await destroying((_req, res, end) => {
        end();
        if (kind !== "node") throw new Error("broken");
        // node:http has no error handler: the process would end. What a handler of one's own does:
        res.destroy();
      });
      if (kind === "node") await until(() => wire.isClosed);
      else expect((await wire.response()).status).toBe(500);
      await until(() => seen.includes("close") || kind !== "node");
      await settle();
      expect(await stored(memory)).toBe(0);
    });

    test("but nothing else is stored when no response is sent", async () => {
      const given = setup();
      const port = await site(kind, given, (req, res) => {
        given.sessions.of(req).put("n", 1);
        res.destroy();
      });
      const wire = ask(port);
      await until(() => wire.isClosed);
      await settle();
      expect([await stored(given.memory), given.store.calls]).toEqual([0, []]);
    });
  });

  test("current is the session of each of 100 parallel requests, and closed once the response is over", async () => {
    const given = setup();
    const { sessions } = given;
    const late: unknown[] = [];
    const port = await site(kind, given, async (req, res) => {
      const session = sessions.current();
      session.put("user", req.url!);
      await settle();
      res.on("close", () => late.push(codeOf(() => sessions.current())));
      res.end(String(sessions.current() === sessions.of(req) && sessions.current().get("user") === req.url));
    });
    const wires = Array.from({ length: 100 }, (_, i) => ask(port, "GET", `/${i}`));
    const responses = await Promise.all(wires.map((wire) => wire.response()));
    expect(new Set(responses.map(({ text }) => text))).toEqual(new Set(["true"]));
    expect(new Set(responses.map((response) => cookieOf(response))).size).toBe(100);
    await until(() => late.length === 100);
    expect(new Set(late)).toEqual(new Set(["session-closed"]));
    expect(codeOf(() => sessions.current())).toBe("no-session");
  });

  test("current is still there where the body arrives, piece by piece", async () => {
    const given = setup();
    const { sessions } = given;
    const seen: unknown[] = [];
    const port = await site(kind, given, (req, res) => {
      const note = (): void => void seen.push(codeOf(() => sessions.current()));
      req.on("data", note);
      req.on("end", () => {
        note();
        res.end("hello");
      });
    });
    const wire = new Wire(port).send("POST", "/", { "content-length": "6" }, "one");
    await until(() => seen.length === 1);
    wire.socket.write("two");
    await wire.response();
    expect(new Set(seen)).toEqual(new Set(["nothing"]));
    expect(seen).toHaveLength(3);
  });

  test("a body that breaks off harms nobody", async () => {
    const given = setup();
    const seen: string[] = [];
    const port = await site(kind, given, (req, res) => {
      given.sessions.of(req).put("n", 1);
      req.on("data", () => seen.push("data"));
      req.on("error", () => undefined);
      req.on("close", () => {
        seen.push("close");
        res.end("too late");
      });
    });
    const wire = new Wire(port).send("POST", "/", { "content-length": "6" }, "one");
    await until(() => seen.includes("data"));
    wire.socket.destroy();
    await until(() => seen.includes("close"));
    await settle();
  });

  test("two managers hand out two cookies", async () => {
    const { port } = await two(kind, "neither");
    const response = await ask(port).response();
    expect(response.all("set-cookie").map((line) => line.split("=")[0])).toEqual(["a", "b"]);
    expect(response.header("vary")).toBe("Cookie");
  });

  test.each(["a", "b"] as const)(
    "of two managers the one that has stored hands out its token with the error response: %s fails",
    async (failing) => {
      const { port, memories } = await two(kind, failing);
      const response = await ask(port).response();
      const other = failing === "a" ? "b" : "a";
      expect([response.status, response.all("set-cookie").map((line) => line.split("=")[0])]).toEqual([503, [other]]);
      expect([await stored(memories[other]), await stored(memories[failing])]).toEqual([1, 0]);
    },
  );

  test("mounted twice it works once", async () => {
    const given = setup();
    const again: Middleware = kind === "node" ? onNode(given.sessions) : onExpress(given.sessions);
    const port = await site(
      kind,
      given,
      (req, res) => {
        given.sessions.of(req).put("n", 1);
        res.end();
      },
      { after: [again] },
    );
    expect((await ask(port).response()).all("set-cookie")).toHaveLength(1);
    expect(given.store.calls).toEqual(["commit"]);
  });
});

/** Two managers on one request, both of which have something to store. */
async function two(kind: (typeof kinds)[number], failing: "a" | "b" | "neither") {
  const memories = { a: new MemoryStore(), b: new MemoryStore() };
  const stores = { a: new FaultyStore(memories.a), b: new FaultyStore(memories.b) };
  const a = new SessionManager({ store: stores.a, cookie: { name: "a" } });
  const b = new SessionManager({ store: stores.b, cookie: { name: "b" } });
  if (failing !== "neither") stores[failing].failure = new Error("down");
  const inner: Middleware = kind === "node" ? onNode(b) : onExpress(b);
  const port = await site(
    kind,
    { ...setup(), sessions: a as never },
    (req, res) => {
      a.of(req).put("n", 1);
      b.of(req).put("n", 1);
      res.end("hello");
    },
    { after: [inner] },
  );
  return { port, memories };
}

test("mounting twice warns once for the process", async () => {
  const codes: unknown[] = [];
  const note = (warning: Error & { code?: string }): void => void codes.push(warning.code);
  process.on("warning", note);
  onTestFinished(() => void process.off("warning", note));
  const { vi } = await import("vitest");
  vi.resetModules();
  const fresh = await import("scs-session");
  const { loadAndSave } = await import("scs-session/node");
  const sessions = new fresh.SessionManager();
  const port = await listen(
    createServer(
      loadAndSave(
        sessions,
        loadAndSave(sessions, (_, res: ServerResponse) => res.end()),
      ),
    ),
  );
  await ask(port).response();
  await ask(port).response();
  await until(() => codes.length > 0);
  expect(codes.filter((code) => code === "SCS_MOUNTED_TWICE")).toHaveLength(1);
});

describe.each([
  ["Express 5", express],
  ["Express 4", express4 as unknown as typeof express],
] as const)("With %s", (_, create) => {
  const serve = (app: Express): Promise<string> => listen(createServer(app as never));

  test("current is there after the body parsers", async () => {
    const { sessions } = setup();
    const app = create();
    app.use(onExpress(sessions));
    app.use(express.json(), express.urlencoded(), multer().any());
    app.post("/", (req, res) => {
      sessions.current().put("n", 1);
      const body = req.body as Record<string, string>;
      const files = req.files as Express.Multer.File[] | undefined;
      res.json({ ...body, file: files?.[0]?.buffer.toString(), same: sessions.current() === sessions.of(req) });
    });
    const port = await serve(app);
    const form = new FormData();
    form.set("a", "1");
    form.set("upload", new Blob(["x".repeat(200_000)]), "x.txt");
    const post = async (body: string | FormData, type?: string): Promise<unknown> => {
      const headers = type === undefined ? {} : { "content-type": type };
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body, headers });
      expect(response.headers.getSetCookie()).toHaveLength(1);
      return response.json();
    };
    expect(await post('{"a":"1"}', "application/json")).toEqual({ a: "1", same: true });
    expect(await post("a=1", "application/x-www-form-urlencoded")).toEqual({ a: "1", same: true });
    expect(await post(form)).toEqual({ a: "1", file: "x".repeat(200_000), same: true });
  });

  test("Secure follows the trusted proxy, and an untrusted one may raise it", async () => {
    const secure = async (trust: boolean, headers: Record<string, string>): Promise<boolean> => {
      const { sessions } = setup();
      const app = create();
      app.set("trust proxy", trust);
      app.use(onExpress(sessions));
      app.get("/", (req, res) => {
        sessions.of(req).put("n", 1);
        res.send("hello");
      });
      const response = await ask(await serve(app), "GET", "/", headers).response();
      return response.header("set-cookie")!.includes("; Secure");
    };
    expect(await secure(true, { "x-forwarded-proto": "https" })).toBe(true);
    expect(await secure(true, { "x-forwarded-proto": "http" })).toBe(false);
    expect(await secure(false, { "x-forwarded-proto": "https" })).toBe(true);
    expect(await secure(false, {})).toBe(false);
  });

  test("skip, property and routers work", async () => {
    const { sessions, store } = setup();
    const app = create();
    app.use(onExpress(sessions, { property: "session", skip: (req) => req.url.startsWith("/static") }));
    const router = create.Router();
    router.get("/inner", (req, res) => {
      const { session } = req as unknown as { session: unknown };
      sessions.of(req).put("n", 1);
      res.redirect(session === sessions.of(req) ? "/same" : "/other");
    });
    app.use("/outer", router);
    app.get("/static", (req, res) => res.send(String(sessions.lookup(req) === undefined && !("session" in req))));
    const port = await serve(app);
    expect((await ask(port, "GET", "/static", { cookie: `session=${"a".repeat(43)}` }).response()).text).toBe("true");
    expect(store.calls).toEqual([]);
    const redirect = await ask(port, "GET", "/outer/inner").response();
    expect([redirect.status, redirect.header("location"), cookieOf(redirect) !== undefined]).toEqual([
      302,
      "/same",
      true,
    ]);
    store.failure = new Error("down");
    const failed = await ask(port, "GET", "/outer/inner").response();
    expect([failed.status, failed.header("location")]).toEqual([503, undefined]);
  });
});

test("current is there in the events of a raw busboy on node:http", async () => {
  const { sessions } = setup();
  const handler = (req: IncomingMessage, res: ServerResponse): void => {
    const parser = busboy({ headers: req.headers });
    parser.on("field", (name: string, value: string) => sessions.current().put("user", name + value));
    parser.on("file", (_: string, file: NodeJS.ReadableStream) => {
      file.on("data", () => sessions.current().update("n", (n = 0) => n + 1));
    });
    parser.on("close", () => res.end(JSON.stringify(sessions.current().keys())));
    req.pipe(parser);
  };
  const port = await listen(createServer(onNode(sessions, handler)));
  const form = new FormData();
  form.set("a", "1");
  form.set("upload", new Blob(["x".repeat(200_000)]), "x.txt");
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: form });
  expect(await response.json()).toEqual(["n", "user"]);
});

test("a server with a certificate sets Secure", async () => {
  const folder = mkdtempSync(join(tmpdir(), "scs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const options = [
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-subj",
    "/CN=localhost",
  ];
  execFileSync("openssl", ["req", ...options, "-keyout", key, "-out", cert], { stdio: "ignore" });
  for (const onServer of ["node", "express"]) {
    const { sessions } = setup();
    const handler = (req: IncomingMessage, res: ServerResponse): void => {
      sessions.of(req).put("n", 1);
      res.end("hello");
    };
    const app = express();
    app.use(onExpress(sessions), handler);
    const credentials = { key: readFileSync(key), cert: readFileSync(cert) };
    const server = createSecureServer(credentials, onServer === "node" ? onNode(sessions, handler) : (app as never));
    const port = await listen(server);
    const cookies = await new Promise<string[] | undefined>((resolve, reject) => {
      const headers = { "x-forwarded-proto": "http" };
      secureRequest(
        { port: Number(port), host: "127.0.0.1", rejectUnauthorized: false, agent: false, headers },
        (answer) => {
          answer.resume();
          resolve(answer.headers["set-cookie"]);
        },
      )
        .on("error", reject)
        .end();
    });
    expect(cookies?.[0], onServer).toContain("; Secure");
  }
});

test("Connect-style use hands errors to next, and onError answers instead", async () => {
  const given = setup();
  const { sessions, store } = given;
  const handler: Middleware = (req, res) => {
    sessions.of(req).put("n", 1);
    res.end("hello");
  };
  const onError = (error: unknown, _: IncomingMessage, res: ServerResponse): void => {
    res.writeHead(502, { "x-code": (error as { code: string }).code }).end("sorry");
  };
  const plain = await listen(createServer(connectStyle([onNode(sessions), handler])));
  const custom = await listen(createServer(connectStyle([onNode(sessions, { onError }), handler])));
  expect(cookieOf(await ask(plain).response())).toBeDefined();
  store.failure = new Error("down");
  const [first, second] = [await ask(plain).response(), await ask(custom).response()];
  expect([first.status, first.text]).toEqual([503, "error"]);
  expect([second.status, second.text, second.header("x-code")]).toEqual([502, "sorry", "store-unavailable"]);
});

test("skip and property work on node:http", async () => {
  const { sessions, store } = setup();
  const handler = (req: IncomingMessage, res: ServerResponse): void => {
    const { session } = req as unknown as { session?: unknown };
    res.end(String(session === sessions.lookup(req) && session !== undefined));
  };
  const options = { property: "session", skip: (req: IncomingMessage) => req.url === "/static" };
  const port = await listen(createServer(onNode(sessions, handler, options)));
  expect((await ask(port, "GET", "/static", { cookie: `session=${"a".repeat(43)}` }).response()).text).toBe("false");
  expect(store.calls).toEqual([]);
  expect((await ask(port).response()).text).toBe("true");
});

test("requests to upgrade go to their own listener", async () => {
  const { sessions, store } = setup();
  const server = createServer(onNode(sessions, (_, res: ServerResponse) => res.end("hello")));
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"));
  const port = await listen(server);
  const wire = new Wire(port).send("GET", "/", { connection: "upgrade", upgrade: "x", cookie: "session=x" });
  expect((await wire.response()).status).toBe(101);
  expect(store.calls).toEqual([]);
});

test("called as another framework's it throws, naming the right import", async () => {
  const { sessions } = setup();
  const request = new Request("http://localhost/");
  const raw = { socket: {}, headers: {} };
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
  expect(await call(onNode(sessions, handler), request)).toMatch(/^wrong-adapter: .*"scs-session\/fetch"/);
  expect(await call(onExpress(sessions), request, {})).toMatch(/^wrong-adapter: .*"scs-session\/fetch"/);
  expect(await call(onFetch(sessions, handler), raw, {})).toMatch(/^wrong-adapter: .*"scs-session\/node".*express"/);
  expect(await call(onExpress(sessions), { req: {}, res: {} }, handler)).toMatch(/^wrong-adapter: .*Koa or Hono/);
  for (const adapter of [onNode, onExpress, onFetch]) {
    expect(await call(adapter as never, handler, handler)).toMatch(/^wrong-adapter: /);
    expect(await call(adapter as never)).toMatch(/^wrong-adapter: /);
  }
});

test("a request that was not served by loadAndSave has no session", async () => {
  const { sessions } = setup();
  const seen: unknown[] = [];
  const server = createServer((req, res) => {
    seen.push(
      codeOf(() => sessions.of(req)),
      sessions.lookup(req),
    );
    res.end();
  });
  await ask(await listen(server)).response();
  expect(seen).toEqual(["no-session", undefined]);
  expect((server.address() as AddressInfo).port).toBeGreaterThan(0);
});

test("an onError that throws lets the client know, and its error is not hidden", async () => {
  const given = setup();
  const unexpected = new Promise((resolve) => process.once("uncaughtException", resolve));
  // vitest has a listener of its own, which would fail the run.
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  const rejected = new Promise((resolve) => process.once("unhandledRejection", resolve));
  onTestFinished(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of others) process.on("unhandledRejection", listener);
  });
  const handler = onNode(
    given.sessions,
    (req: IncomingMessage, res: ServerResponse) => {
      given.sessions.of(req).put("n", 1);
      res.end("hello");
    },
    {
      onError: () => {
        throw new Error("broken page");
      },
    },
  );
  const port = await listen(createServer((req, res) => void handler(req, res)));
  given.store.failure = new Error("down");
  const wire = ask(port);
  await until(() => wire.isClosed);
  expect(wire.text).toBe("");
  expect(await Promise.race([rejected, unexpected])).toMatchObject({ message: "broken page" });
});

test("old code that ends a session its own way is told of ours", async () => {
  const given = setup();
  const app = express().set("env", "test");
  app.use(onExpress(given.sessions, { property: "session" }));
  const answers: string[] = [];
  const attempt = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      answers.push((error as SessionError).message);
    }
  };
  app.use((req, res) => {
    const old = req as unknown as { session: { destroy(callback?: unknown): void } | null };
    attempt(() => old.session?.destroy(() => res.end("never")));
    attempt(() => (old.session = null));
    res.send("done");
  });
  const port = await listen(createServer(app));
  await ask(port).response();
  expect(answers).toEqual([expect.stringContaining("takes no argument"), expect.stringContaining("destroy()")]);
});

test("destroy may be called again and again", async () => {
  const given = setup();
  let listeners = 0;
  const port = await site("node", given, (req, res) => {
    for (let i = 0; i < 20; i++) given.sessions.of(req).destroy();
    listeners = res.listenerCount("close");
    res.end("gone");
  });
  await ask(port).response();
  expect(listeners).toBeLessThan(5);
});
