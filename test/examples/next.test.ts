// Next 16 passes the contract with its route handlers; what only Next has are server actions and server components.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore, TestClock } from "scs-session/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { testBadRequests } from "../adapters/harness/bad-requests.ts";
import { testContract } from "../adapters/harness/contract.ts";
import { next, nextServer } from "../adapters/harness/next.ts";
import { drive, start } from "./drive.ts";

const skip = isSkipped("examples");
const examples = fileURLToPath(new URL("../../examples", import.meta.url));

beforeAll(async () => {
  if (!skip) await nextServer();
}, 240_000);
afterAll(async () => {
  if (!skip) await (await nextServer()).close();
});

describe.skipIf(skip)("the route handlers", () => {
  testContract(next);
  testBadRequests(next);
});

/** A browser on the site of next-app. */
class Browser {
  readonly #url: string;
  readonly cookies: Map<string, string>;
  /** The actions of the page. */
  #ids: Map<string, string> | undefined;

  constructor(url: string, cookies: Iterable<[string, string]> = []) {
    this.#url = url;
    this.cookies = new Map(cookies);
  }

  /** Another one with the same cookies. */
  copy(): Browser {
    return new Browser(this.#url, this.cookies);
  }

  async ask(path: string, init: Init = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { origin: this.#url, ...(cookie !== "" && { cookie }), ...init.headers };
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  /** What the page shows. */
  async page(): Promise<string> {
    return shown(await (await this.ask("/site")).text());
  }

  /** Posts the form of an action, as a browser without scripts does. */
  async post(action: string, fields: Record<string, string> = {}): Promise<Response> {
    const form = new FormData();
    form.set(`$ACTION_ID_${await this.#idOf(action)}`, "");
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    return this.ask("/site", { method: "POST", body: form });
  }

  /** Calls an action, as Next's client does. */
  async call(action: string, fields?: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields ?? {})) form.set(`_1_${name}`, value);
    form.set("0", '["$K1"]');
    return this.ask("/site", {
      method: "POST",
      body: fields === undefined ? "[]" : form,
      headers: { "next-action": await this.#idOf(action), accept: "text/x-component", ...headers },
    });
  }

  async #idOf(action: string): Promise<string> {
    if (this.#ids === undefined) {
      const page = await (await fetch(`${this.#url}/site`)).text();
      const forms = page.matchAll(/<form[^>]* id="(\w+)".*?\$ACTION_ID_(\w+)"/g);
      this.#ids = new Map([...forms].map(([, name = "", id = ""]) => [name, id]));
    }
    return this.#ids.get(action)!;
  }
}

type Init = Omit<RequestInit, "headers"> & { readonly headers?: Record<string, string>; readonly duplex?: "half" };

const shown = (html: string): string => /user=\w* n=\d* put=[\w-]*/.exec(html)?.[0] ?? html;

describe.skipIf(skip)("on Next 16", () => {
  let server: { readonly url: string };
  let stores: Record<"session" | "admin" | "client", FaultyStore>;
  let clock: TestClock;
  const browser = (): Browser => new Browser(server.url);
  /** The Set-Cookie lines, without tokens and dates. */
  const cookiesOf = (response: Response): string[] =>
    response.headers.getSetCookie().map((line) => line.replace(/=[\w-]{43}/, "=<token>").replace(/Expires=[^;]*/, "Expires=<date>")); // prettier-ignore
  const attributes = "Path=/; Expires=<date>; Max-Age=1200; HttpOnly; SameSite=lax";

  beforeAll(async () => {
    server = await nextServer();
  });

  beforeEach(() => {
    clock = new TestClock();
    const store = (): FaultyStore => new FaultyStore(new MemoryStore({ clock }));
    stores = { session: store(), admin: store(), client: store() };
    Object.assign(globalThis, { siteStores: stores, siteClock: clock });
  });

  test("a page for a visitor without cookie asks no store, sets no cookie, and is not cached", async () => {
    const response = await browser().ask("/site");
    expect(shown(await response.text())).toBe("user= n=0 put=headers-sent");
    expect([response.status, cookiesOf(response), stores.session.calls]).toEqual([200, [], []]);
    expect(response.headers.get("cache-control")).toMatch(/private.*no-store/);
  });

  test.each(["post", "call"] as const)("a login by server action redirects with its cookie: %s", async (how) => {
    const anna = browser();
    const response = await anna[how]("login", { user: "anna" });
    expect(cookiesOf(response)).toEqual([`session=<token>; ${attributes}`]);
    expect(response.headers.get("cache-control")).toContain("no-store");
    if (how === "post") expect([response.status, response.headers.get("location")]).toEqual([303, "/site"]);
    else {
      expect([response.status, response.headers.get("x-action-redirect")]).toEqual([200, "/site;push"]);
      // Next renders the page in the same response, with the new cookie.
      expect(shown(await response.text())).toBe("user=anna n=0 put=headers-sent");
    }
    expect(await anna.page()).toBe("user=anna n=0 put=headers-sent");
  });

  test("a login ends the token that the visitor had before", async () => {
    const visitor = browser();
    await visitor.post("add");
    const old = visitor.copy();
    await visitor.call("login", { user: "anna" });
    expect(await visitor.page()).toBe("user=anna n=1 put=headers-sent");
    expect(await old.page()).toBe("user= n=0 put=headers-sent");
  });

  test("the redirect of a login leaves once the session is stored", async () => {
    const anna = browser();
    await anna.call("look");
    stores.session.holds = true;
    let isThere = false;
    const asked = anna.post("login", { user: "anna" }).finally(() => (isThere = true));
    await expect.poll(() => stores.session.waiting.length).toBe(1);
    expect(isThere).toBe(false);
    await stores.session.waiting[0]!.complete();
    expect((await asked).status).toBe(303);
  });

  test("an action that changes the session answers with the page as it is now", async () => {
    const anna = browser();
    const response = await anna.call("add");
    const text = await response.text();
    expect(text).toContain("n is 1");
    expect(shown(text)).toBe("user= n=1 put=headers-sent");
    expect(cookiesOf(response)).toHaveLength(1);
    expect(shown(await (await anna.post("add")).text())).toBe("user= n=2 put=headers-sent");
  });

  test("an action that only reads sets no cookie", async () => {
    const anna = browser();
    await anna.call("login", { user: "anna" });
    stores.session.calls.length = 0;
    const response = await anna.call("look");
    expect(await response.text()).toContain("user is anna");
    expect([cookiesOf(response), stores.session.calls]).toEqual([[], ["find"]]);
  });

  test.each(["post", "call"] as const)("a logout by server action takes the cookie back: %s", async (how) => {
    const anna = browser();
    await anna.call("login", { user: "anna" });
    const old = anna.copy();
    const response = await anna[how]("logout");
    expect(cookiesOf(response)).toEqual([`session=; ${attributes.replace("1200", "0")}`]);
    expect(response.headers.getSetCookie()[0]).toContain("Expires=Thu, 01 Jan 1970");
    expect(shown(await response.text())).toBe("user= n=0 put=headers-sent");
    expect(await old.page()).toBe("user= n=0 put=headers-sent");
  });

  test("parallel actions of one session lose nothing", async () => {
    const anna = browser();
    await anna.call("add");
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? anna.call("add") : anna.post("add"))));
    expect(await anna.page()).toBe("user= n=21 put=headers-sent");
  });

  test("an action that is called by another one shares its session; one that follows it has the session anew", async () => {
    const anna = browser();
    const nested = await anna.call("nested");
    expect([cookiesOf(nested).length, stores.session.calls]).toEqual([1, ["commit", "find"]]); // find: the page
    expect(await nested.text()).toContain("read 2");
    const bob = browser();
    const sequence = await bob.call("sequence");
    expect(cookiesOf(sequence)).toHaveLength(1);
    expect(await sequence.text()).toContain("n is 2");
    expect(await bob.page()).toBe("user= n=2 put=headers-sent");
  });

  test("two managers in one action set a cookie each", async () => {
    const anna = browser();
    const response = await anna.call("both");
    expect(cookiesOf(response).sort()).toEqual([`admin=<token>; ${attributes}`, `session=<token>; ${attributes}`]);
    stores.admin.failure = new Error("down");
    const failed = await anna.call("both");
    expect([failed.status, cookiesOf(failed)]).toEqual([500, []]);
  });

  test.each([
    ["fail", 500, 500],
    ["missing", 404, 404],
    ["refuse", 404, 403], // Next's own way
  ])("what was put is stored when the action ends by an error: %s", async (action, posted, called) => {
    for (const how of ["post", "call"] as const) {
      const anna = browser();
      const status = how === "post" ? posted : called;
      const response = await anna[how](action);
      expect([how, response.status, cookiesOf(response)]).toEqual([how, status, [`session=<token>; ${attributes}`]]);
      expect(await anna.page()).toBe("user= n=1 put=headers-sent");
    }
  });

  test.each(["post", "call"] as const)(
    "an action whose session cannot be stored fails, without cookie: %s",
    async (how) => {
      const anna = browser();
      await anna.call("look");
      stores.session.failure = new Error("down");
      for (const action of ["add", "login", "fail"]) {
        const response = await anna[how](action, { user: "anna" });
        expect([action, response.status, cookiesOf(response)]).toEqual([action, 500, []]);
        expect([response.headers.get("location"), response.headers.get("x-action-redirect")]).toEqual([null, null]);
      }
    },
  );

  test("an action whose session cannot be loaded fails and does not run; so does a page", async () => {
    const anna = browser();
    await anna.call("add");
    stores.session.failure = new Error("down");
    const response = await anna.call("look");
    expect([response.status, cookiesOf(response), (await response.text()).includes("user is")]).toEqual([
      500,
      [],
      false,
    ]);
    const page = await anna.ask("/site");
    expect([page.status, cookiesOf(page)]).toEqual([500, []]);
    stores.session.failure = undefined;
    expect(await anna.page()).toBe("user= n=1 put=headers-sent");
  });

  test("actions throw SessionErrors, and what Next's own functions throw", async () => {
    const anna = browser();
    await anna.call("look");
    stores.session.failure = new Error("down");
    const text = await (await anna.call("codes")).text();
    expect(text).toMatch(/unsupported: A server action of Next\.js cannot set the header \\+"x-session\\+"/);
    expect(text).toContain("store-unavailable: The session store failed to");
    stores.session.failure = undefined;
    expect(await (await anna.call("codes")).text()).toContain("NEXT_HTTP_ERROR_FALLBACK;404");
  });

  test("cookies that the application sets in an action are kept", async () => {
    const anna = browser();
    expect(cookiesOf(await anna.call("withCookie")).sort()).toEqual([
      "own=yes; Path=/",
      `session=<token>; ${attributes}`,
    ]);
  });

  test("pages do not move the idle timeout, actions do", async () => {
    const anna = browser();
    await anna.call("add");
    clock.advance("15m");
    stores.session.calls.length = 0;
    await anna.page();
    expect(stores.session.calls).toEqual(["find"]);
    expect(cookiesOf(await anna.call("look"))).toEqual([`session=<token>; ${attributes}`]);
    clock.advance("15m");
    expect(await anna.page()).toBe("user= n=1 put=headers-sent");
    clock.advance("15m");
    expect(await anna.page()).toBe("user= n=0 put=headers-sent");
  });

  test("behind a proxy with TLS the cookie is Secure", async () => {
    const headers = { "x-forwarded-proto": "https", "x-forwarded-host": "localhost", origin: "https://localhost" };
    const lines = cookiesOf(await browser().call("both", undefined, headers));
    const secure = attributes.replace("HttpOnly", "Secure; HttpOnly");
    expect(lines.sort()).toEqual([`admin=<token>; ${secure}`, `session=<token>; ${secure}`]);
  });

  test("of several cookies of one name pages and actions find the live one", async () => {
    const anna = browser();
    await anna.call("login", { user: "anna" });
    const live = `session=${anna.cookies.get("session")!}`;
    const stale = `session=${"x".repeat(43)}`;
    for (const cookie of [`${stale}; ${live}`, `${live}; ${stale}`]) {
      const other = browser();
      const headers = { cookie };
      expect(shown(await (await other.ask("/site", { headers })).text())).toContain("user=anna");
      expect(await (await other.call("look", undefined, headers)).text()).toContain("user is anna");
    }
  });

  test.each([
    ["GET", "redirect", {}, 307, "/site?a=1;b=2"],
    ["POST", "redirect", {}, 307, "/site?a=1;b=2"],
    ["POST", "redirect", { body: new URLSearchParams("a=1") }, 303, "/site?a=1;b=2"],
    ["POST", "redirect", { body: new FormData() }, 303, "/site?a=1;b=2"],
    ["GET", "permanent", {}, 308, "/site"],
    ["GET", "missing", {}, 404, null],
    ["GET", "forbidden", {}, 403, null],
    ["GET", "unauthorized", {}, 401, null],
  ])(
    "a route handler that ends by throwing an answer has its cookie: %s %s",
    async (method, what, init, status, location) => {
      const anna = browser();
      const response = await anna.ask(`/site/api/${what}`, { method, ...init });
      expect([response.status, response.headers.get("location"), cookiesOf(response).length]).toEqual([
        status,
        location,
        1,
      ]);
      expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
      expect(await anna.page()).toBe("user= n=1 put=headers-sent");
      stores.session.failure = new Error("down");
      const failed = await browser().ask(`/site/api/${what}`, { method, ...init });
      expect([failed.status, failed.headers.get("location"), cookiesOf(failed)]).toEqual([503, null, []]);
    },
  );

  test("a redirect of a route handler may carry the token in a header", async () => {
    const response = await browser().ask("/site/api/any", { method: "DELETE" });
    expect([response.status, response.headers.get("x-session")?.length]).toEqual([307, 43]);
  });

  test("an error of a route handler is Next's, and nothing is stored", async () => {
    const response = await browser().ask("/site/api/fail");
    expect([response.status, cookiesOf(response), stores.session.calls]).toEqual([500, [], []]);
    expect((await browser().ask("/site/api/nothing")).status).toBe(500);
  });

  test("cookies that the application sets in a route handler are kept", async () => {
    const names = cookiesOf(await browser().ask("/site/api/own")).map((line) => line.split("=")[0]);
    expect(names.sort()).toEqual(["own", "session"]);
  });

  test("readSession in a route handler is the session there", async () => {
    expect(await (await browser().ask("/site/api/read")).json()).toBe(1);
  });

  test("proxy.ts is wrapped as route handlers are", async () => {
    const anna = browser();
    const response = await anna.ask("/site/api/guarded");
    expect([response.status, new URL(response.headers.get("location")!, server.url).pathname]).toEqual([303, "/site"]);
    expect(cookiesOf(response)).toHaveLength(1);
    await anna.post("login", { user: "anna" });
    expect(await (await anna.ask("/site/api/guarded")).text()).toBe("inside");
    expect(await anna.page()).toBe("user=anna n=2 put=headers-sent");
  });

  test("onError answers for route handlers", async () => {
    stores.session.failure = new Error("down");
    const response = await browser().ask("/site/api/any", { method: "PUT" });
    expect([response.status, await response.json()]).toEqual([502, { code: "store-unavailable" }]);
  });

  test("an aborted body, and an action that does not exist, leave the server well", async () => {
    const anna = browser();
    await anna.call("add");
    const leaving = new AbortController();
    const body = new ReadableStream({ pull: () => leaving.abort() });
    const headers = { "next-action": "0".repeat(42) };
    const asked = anna.ask("/site", { method: "POST", body, signal: leaving.signal, duplex: "half", headers });
    await expect(asked).rejects.toThrow();
    const unknown = await anna.ask("/site", { method: "POST", body: "[]", headers });
    expect(unknown.status).toBeGreaterThanOrEqual(400);
    expect(await anna.page()).toBe("user= n=1 put=headers-sent");
  });
});

describe.skipIf(skip)("the example of Next", { timeout: 120_000 }, () => {
  const production = ["env", "-u", "TURBOPACK", "NODE_ENV=production", "NEXT_TELEMETRY_DISABLED=1"];
  const [program = "", ...args] = production;
  const run = async (folder: string, ...command: string[]): Promise<unknown> =>
    promisify(execFile)(program, [...args, ...command], { cwd: `${examples}/${folder}` });

  test("lets a browser log in and out, by forms and by server actions", async () => {
    await run("next", "npm", "run", "build");
    const url = await start("next", [...production, "npm", "start"]);
    await drive(url);

    const visitor = new Browser(url);
    const submit = async (fields: Record<string, string>): Promise<Response> => {
      const page = await (await visitor.ask("/")).text();
      const form = new FormData();
      form.set(/\$ACTION_ID_\w+/.exec(page)![0], "");
      for (const [name, value] of Object.entries(fields)) form.set(name, value);
      return visitor.ask("/", { method: "POST", body: form });
    };
    expect((await visitor.ask("/api/me")).status).toBe(401);
    expect((await submit({ user: "anna" })).status).toBe(303);
    expect(await (await visitor.ask("/")).text()).toContain("Hello, anna");
    expect(await (await visitor.ask("/api/me")).json()).toEqual({ user: "anna" });
    expect(await (await submit({})).text()).toContain("Please log in");
    expect([visitor.cookies.size, (await visitor.ask("/api/me")).status]).toEqual([0, 401]);
  });

  test("the adapter works as well with webpack, and left out of the bundle", async () => {
    const folder = "../test/adapters/next-app";
    const external = "NEXT_TEST_EXTERNAL=yes";
    await run(folder, external, "npx", "next", "build", "--webpack");
    const chunks = readdirSync(`${examples}/${folder}/dist/server`, { recursive: true, encoding: "utf8" });
    const code = chunks.filter((name) => name.endsWith(".js")).map((name) => readFileSync(`${examples}/${folder}/dist/server/${name}`, "utf8")); // prettier-ignore
    expect(code.some((text) => text.includes("session-closed"))).toBe(false); // a word of the package
    const url = await start(folder, [...production, external, "npx", "next", "start", "-H", "127.0.0.1"]);
    const anna = new Browser(url);
    expect((await anna.post("login", { user: "anna" })).status).toBe(303);
    expect(await anna.page()).toBe("user=anna n=0 put=headers-sent");
    expect(await (await anna.ask("/site/api/read")).json()).toBe(1);
    expect(await anna.page()).toBe("user=anna n=1 put=headers-sent");
    expect(shown(await (await anna.call("logout")).text())).toBe("user= n=0 put=headers-sent");
  });
});
