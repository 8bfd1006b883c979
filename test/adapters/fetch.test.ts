/** The fetch adapter. */

import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, signIn } from "scs-session/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { settle, setup, stored, until } from "./support.ts";

const url = "http://localhost/";
const names = (response: Response): string[] => response.headers.getSetCookie().map((line) => line.split("=")[0]!);

test("the response is handed on once the session is stored", async () => {
  const { sessions, store } = setup();
  store.holds = true;
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    return new Response("hello", { status: 201, statusText: "Made", headers: { "x-a": "1" } });
  });
  let response: Response | undefined;
  void handle(new Request(url)).then((answer) => (response = answer));
  await until(() => store.waiting.length === 1);
  await settle();
  expect(response).toBeUndefined();
  await store.waiting[0]!.complete();
  await until(() => response !== undefined);
  expect([response!.status, response!.statusText, response!.headers.get("x-a")]).toEqual([201, "Made", "1"]);
  expect([await response!.text(), names(response!)]).toEqual(["hello", ["session"]]);
});

test("a failed commit is a 503 without anything of the handler's, whose body is let go", async () => {
  const { sessions, store } = setup();
  let isCancelled = false;
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    const body = new ReadableStream({ cancel: () => void (isCancelled = true) });
    return new Response(body, { headers: { etag: '"1"', "set-cookie": "app=1" } });
  });
  store.failure = new Error("down");
  const response = await handle(new Request(url));
  expect([response.status, response.headers.get("etag"), names(response)]).toEqual([503, null, []]);
  expect([response.headers.get("cache-control"), isCancelled]).toEqual(["no-store", true]);
});

test("onError answers instead, for loads and commits", async () => {
  const { sessions, store } = setup();
  const headers = await signIn(sessions, { n: 1 });
  const handle = loadAndSave(
    sessions,
    (request) => {
      sessions.of(request).put("n", 2);
      return new Response("hello");
    },
    { onError: (error) => Response.json({ code: (error as { code: string }).code }, { status: 502 }) },
  );
  store.failure = new Error("down");
  for (const request of [new Request(url), new Request(url, { headers })]) {
    const response = await handle(request);
    expect([response.status, await response.json()]).toEqual([502, { code: "store-unavailable" }]);
  }
});

test.each([
  ["inner", 503, ["a"]],
  ["outer", 503, ["b"]],
  ["neither", 200, ["b", "a"]],
])("of two managers the one that has stored hands out its token: %s fails", async (failing, status, tokens) => {
  const stores = { outer: new FaultyStore(new MemoryStore()), inner: new FaultyStore(new MemoryStore()) };
  const outer = new SessionManager({ store: stores.outer, cookie: { name: "a" } });
  const inner = new SessionManager({ store: stores.inner, cookie: { name: "b" } });
  const handle = loadAndSave(
    outer,
    loadAndSave(inner, (request) => {
      outer.of(request).put("n", 1);
      inner.of(request).put("n", 1);
      return new Response("hello");
    }),
  );
  if (failing !== "neither") stores[failing as "inner" | "outer"].failure = new Error("down");
  const response = await handle(new Request(url));
  expect([response.status, names(response)]).toEqual([status, tokens]);
});

test("a session that is used first while the body streams refuses changes", async () => {
  const { sessions, store } = setup();
  const codes: unknown[] = [];
  const handle = loadAndSave(sessions, (request) => {
    const body = new ReadableStream(
      {
        pull(controller) {
          try {
            sessions.of(request).put("n", 1);
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body);
  });
  const response = await handle(new Request(url));
  await response.text();
  expect([codes, store.calls, names(response)]).toEqual([["headers-sent"], [], []]);
});

test("the same Response can be handed out to everyone", async () => {
  const { sessions } = setup();
  const shared = new Response(null, { status: 204 });
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    return shared;
  });
  const [one, two] = [await handle(new Request(url)), await handle(new Request(url))];
  expect([names(one), names(two), names(shared)]).toEqual([["session"], ["session"], []]);
  const read = loadAndSave(sessions, (request) => {
    sessions.of(request).get("n");
    return shared;
  });
  expect((await read(new Request(url))).headers.get("vary")).toBe("Cookie");
  expect([...shared.headers]).toEqual([]); // routes without session hand it out, too
});

test("a response to a session that was only read is handed on itself, where its headers can be changed", async () => {
  const { sessions } = setup();
  const responses = [new Response("hello"), Response.redirect(url, 302)];
  for (const response of responses) {
    const handle = loadAndSave(sessions, (request) => {
      sessions.of(request).get("n");
      return response;
    });
    const answer = await handle(new Request(url));
    expect(answer === response).toBe(response.status === 200);
    expect([answer.status, answer.headers.get("vary"), answer.headers.get("cache-control")]).toEqual([
      ...[response.status, "Cookie", "private"],
    ]);
  }
});

test("what an outage has a response say does not stay on one that is handed out again", async () => {
  const { sessions, store } = setup({ outage: "anonymous" });
  const headers = await signIn(sessions, { n: 1 });
  const shared = new Response(null, { headers: { "cache-control": "public, max-age=60" } });
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).get("n");
    return shared;
  });
  const caching = async (): Promise<string | null> =>
    (await handle(new Request(url, { headers }))).headers.get("cache-control");
  store.failure = new Error("down");
  expect(await caching()).toBe("no-store");
  store.failure = undefined;
  expect(await caching()).toBe("public, max-age=60");
});

describe("where responses forget, once their body is looked at, what was changed in their headers", () => {
  // As those of @hono/node-server 1 do, which take the place of the runtime's.
  const Native = globalThis.Response;
  class Forgetful extends Native {
    constructor(...args: ConstructorParameters<typeof Response>) {
      super(...args);
      let changed: Headers | undefined;
      const native = (name: string): unknown => Reflect.get(Native.prototype, name, this);
      Object.defineProperties(this, {
        headers: { get: () => (changed ??= new Headers(native("headers") as Headers)) },
        body: { get: () => ((changed = undefined), native("body")) },
      });
    }
  }
  beforeEach(() => void (globalThis.Response = Forgetful));
  afterEach(() => void (globalThis.Response = Native));

  test("nothing is lost: neither the handler's headers nor the session's", async () => {
    const { sessions } = setup();
    const handle = loadAndSave(sessions, (request) => {
      const session = sessions.of(request);
      if (request.url.endsWith("put")) session.put("n", 1);
      else session.get("n");
      const response = new Response("hello");
      response.headers.set("x-a", "1");
      return response;
    });
    const put = await handle(new Request(`${url}put`));
    expect([put.body !== null, put.headers.get("x-a"), names(put)]).toEqual([true, "1", ["session"]]);
    const read = await handle(new Request(url));
    expect([read.body !== null, read.headers.get("x-a")]).toEqual([true, "1"]);
    expect([read.headers.get("cache-control"), read.headers.get("vary")]).toEqual(["private", "Cookie"]);
  });
});

test("a response without session is handed on as it is", async () => {
  const { sessions, store } = setup();
  const response = new Response("hello");
  const handle = loadAndSave(sessions, () => response);
  expect(await handle(new Request(url))).toBe(response);
  expect([store.calls, [...response.headers.keys()]]).toEqual([[], ["content-type"]]);
});

test("the answer to an upgrade is handed on as it is", async () => {
  const { sessions } = setup();
  for (const answer of [Object.create(Response.prototype, { status: { value: 101 } }), undefined] as Response[]) {
    const handle = loadAndSave(sessions, (request) => {
      sessions.of(request).get("n");
      return answer;
    });
    expect(await handle(new Request(url))).toBe(answer);
  }
});

test("a failed commit is told also where the answer to an upgrade is no Response at all", async () => {
  const { sessions, store } = setup();
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    return undefined as unknown as Response;
  });
  store.failure = new Error("down");
  expect((await handle(new Request(url))).status).toBe(503);
});

test("redirects, and several cookies of the application's own, survive", async () => {
  const { sessions } = setup();
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    return request.url.endsWith("/r")
      ? Response.redirect("http://localhost/elsewhere", 303)
      : new Response("", {
          headers: [
            ["set-cookie", "a=1"],
            ["set-cookie", "b=2"],
          ],
        });
  });
  const redirect = await handle(new Request(`${url}r`));
  expect([redirect.status, redirect.headers.get("location")]).toEqual([303, "http://localhost/elsewhere"]);
  expect(names(await handle(new Request(url)))).toEqual(["a", "b", "session"]);
});

test.each(["throws", "never answers", "destroys after the client has gone"])(
  "a pending destroy is carried out when the handler %s",
  async (how) => {
    const { sessions, memory } = setup();
    const headers = await signIn(sessions, { n: 1 });
    const client = new AbortController();
    const gone = new Promise<void>((resolve) => client.signal.addEventListener("abort", () => resolve()));
    const handle = loadAndSave(sessions, async (request) => {
      const session = sessions.of(request);
      if (how.startsWith("destroys")) await gone;
      session.destroy();
      if (how === "throws") throw new Error("broken");
      return new Promise<Response>(() => undefined);
    });
    const errors: unknown[] = [];
    handle(new Request(url, { headers, signal: client.signal })).catch((error: unknown) => errors.push(error));
    await settle();
    expect(errors).toEqual(how === "throws" ? [new Error("broken")] : []);
    client.abort();
    await settle();
    expect(await stored(memory)).toBe(0);
  },
);

test("a handler that throws is heard also when the store fails", async () => {
  const { sessions, store } = setup();
  const headers = await signIn(sessions, { n: 1 });
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).destroy();
    store.failure = new Error("down");
    throw new Error("broken");
  });
  await expect(handle(new Request(url, { headers }))).rejects.toThrow("broken");
});

test("current is the session of the handler, also after awaits and in parallel, and closed afterwards", async () => {
  const { sessions } = setup();
  let late: (() => unknown) | undefined;
  const handle = loadAndSave(sessions, async (request) => {
    sessions.current().put("user", request.url);
    await request.text();
    late = () => sessions.current();
    const own = sessions.current() === sessions.of(request) && sessions.current().get("user") === request.url;
    const { AsyncResource } = await import("node:async_hooks");
    late = AsyncResource.bind(late);
    return new Response(String(own));
  });
  const requests = Array.from({ length: 100 }, (_, i) => new Request(`${url}${i}`, { method: "POST", body: "x" }));
  const answers = await Promise.all(requests.map(async (request) => (await handle(request)).text()));
  expect(new Set(answers)).toEqual(new Set(["true"]));
  expect(late).toThrow(expect.objectContaining({ code: "session-closed" }) as Error);
});

test("skip leaves a request alone, and the arguments of the runtime are handed on", async () => {
  const { sessions, store } = setup();
  const headers = await signIn(sessions, { n: 1 });
  store.calls.length = 0;
  const handle = loadAndSave(
    sessions,
    (request, env: string) => new Response(`${env} ${sessions.lookup(request) === undefined}`),
    { skip: (request) => request.url.endsWith("/static") },
  );
  expect(await (await handle(new Request(`${url}static`, { headers }), "env")).text()).toBe("env true");
  expect(store.calls).toEqual([]);
  expect(await (await handle(new Request(url, { headers }), "env")).text()).toBe("env false");
});

test("mounted twice it works once", async () => {
  const { sessions, store } = setup();
  const handle = loadAndSave(
    sessions,
    loadAndSave(sessions, (request) => {
      sessions.of(request).put("n", 1);
      return new Response("hello");
    }),
  );
  expect([names(await handle(new Request(url))), store.calls]).toEqual([["session"], ["commit"]]);
});

test("Secure follows the scheme of the request", async () => {
  const { sessions } = setup();
  const handle = loadAndSave(sessions, (request) => {
    sessions.of(request).put("n", 1);
    return new Response("hello");
  });
  const lines = [];
  for (const [address, proto] of [[url], ["https://localhost/"], [url, "https"], ["https://localhost/", "http"]]) {
    const request = new Request(address!, { headers: proto === undefined ? {} : { "x-forwarded-proto": proto } });
    lines.push((await handle(request)).headers.getSetCookie()[0]!.includes("; Secure"));
  }
  expect(lines).toEqual([false, true, true, true]);
});
