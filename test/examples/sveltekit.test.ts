/** The example of SvelteKit; and its adapter in SvelteKit itself: the contract, and what that cannot say. */

import { SessionManager } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { loadAndSave } from "scs-session/sveltekit";
import { signIn, TestClock } from "scs-session/testing";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { testBadRequests } from "../adapters/harness/bad-requests.ts";
import { testContract } from "../adapters/harness/contract.ts";
import {
  build,
  kit,
  serve,
  sveltekit,
  type Application,
  type Event,
  type Hook,
} from "../adapters/harness/sveltekit.ts";
import { setup, type Data, type Setup } from "../adapters/support.ts";
import { isSkipped } from "../servers/services.ts";
import { drive, start } from "./drive.ts";

const names = (response: Response): string[] => response.headers.getSetCookie().map((line) => line.split("=")[0]!);
const codeOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

type Init = Omit<RequestInit, "headers"> & { readonly headers?: Record<string, string> };

/** Serves an application with sessions until the test is over. */
async function site({ sessions }: Pick<Setup, "sessions">, application: Partial<Application>) {
  const hooks: Hook[] = [loadAndSave<Data, Event>(sessions), ...(application.hooks ?? [])];
  const { url, close } = await serve({ ...application, hooks });
  onTestFinished(close);
  return (path: string, init: Init = {}): Promise<Response> =>
    fetch(url + path, { redirect: "manual", ...init, headers: { accept: "text/html", ...init.headers } });
}

const post = { method: "POST", body: new URLSearchParams({ user: "anna" }) };

describe.skipIf(isSkipped("examples"))("SvelteKit:", () => {
  beforeAll(() => build(), 180_000);

  test("a browser logs in and out", { timeout: 120_000 }, async () => {
    await drive(await start("sveltekit", ["npm", "start"]));
  });

  testContract(sveltekit);
  testBadRequests(sveltekit);

  test("a page shows what the form's action has put; cookies and headers of the application stand beside", async () => {
    const { sessions, store } = setup();
    const ask = await site(
      { sessions },
      {
        async action({ request, locals, cookies }) {
          locals.session.put("user", new URLSearchParams(await request.text()).get("user")!);
          cookies.set("own", "1", { path: "/" });
        },
        load({ locals, setHeaders }) {
          setHeaders({ "x-own": "yes", "cache-control": "max-age=60" });
          return { text: `user: ${locals.session.getString("user")}` };
        },
      },
    );
    const response = await ask("/page", post);
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("<p>user: anna</p>")]);
    expect([names(response), response.headers.get("x-own")]).toEqual([["own", "session"], "yes"]);
    expect(response.headers.get("cache-control")).toBe('no-store, no-cache="Set-Cookie"');
    expect(store.calls).toEqual(["commit"]);
  });

  test("the session is event.locals.session, or has the name that is given, and cannot be replaced", async () => {
    const { sessions } = setup();
    const others = new SessionManager<Data>({ cookie: { name: "other" } });
    const ask = await site(
      { sessions },
      {
        hooks: [loadAndSave<Data, Event>(others, { property: "other" })],
        endpoint(event) {
          const { session, other } = event.locals as Event["locals"] & { other: unknown };
          const replace = codeOf(() => Object.assign(event.locals, { session: null }));
          return Response.json([session === sessions.of(event), other === others.of(event.request), replace]);
        },
      },
    );
    expect(await (await ask("/")).json()).toEqual([true, true, "invalid-value"]);
  });

  test.each([
    ["a form", "/page", post, 303],
    ["a form that scripts have sent", "/page", { ...post, headers: { accept: "application/json" } }, 200],
    ["a page", "/page", {}, 303],
    ["the data of a page", "/page/__data.json", {}, 200],
    ["an endpoint", "/endpoint", {}, 303],
  ])("redirect() has the cookie: of %s", async (_, path, init, status) => {
    const { sessions } = setup();
    const go = (event: Event): never => {
      sessions.of(event).put("n", 1);
      return kit().redirect(303, "/home");
    };
    const ask = await site({ sessions }, { action: go, load: go, endpoint: go });
    const response = await ask(path, init);
    expect([response.status, names(response)]).toEqual([status, ["session"]]);
    expect(response.headers.get("location") ?? (await response.text())).toContain("/home");
  });

  test.each([
    ["a page", "/page", {}, 307],
    ["the data of a page", "/page/__data.json", {}, 200],
    ["a form that scripts have sent", "/page", { ...post, headers: { accept: "application/json" } }, 200],
    ["an endpoint", "/endpoint", {}, 307],
  ])("redirect() in a later hook has the cookies, too: of %s", async (_, path, init, status) => {
    const { sessions } = setup();
    const guard: Hook = ({ event }) => {
      event.locals.session.put("user", event.url.pathname);
      event.cookies.set("own", "1", { path: "/" });
      return kit().redirect(307, "/login");
    };
    const ask = await site({ sessions }, { hooks: [guard] });
    const response = await ask(path, init);
    expect([response.status, names(response)]).toEqual([status, ["own", "session"]]);
    expect(response.headers.get("location") ?? (await response.text())).toContain("/login");
    const [, line] = response.headers.getSetCookie();
    expect(line).toMatch(/^session=[\w-]{43}; Max-Age=86400; Path=\/; Expires=.* GMT; HttpOnly; SameSite=Lax$/);
    const session = await sessions.load(/=([^;]*)/.exec(line!)![1]);
    expect(session.get("user")).toBe(path.replace("/__data.json", ""));
  });

  test.each([
    ["an error of load", "/page", {}, 500, "+error.svelte: 500 told by handleError"],
    ["error() of load", "/page?error", {}, 401, "+error.svelte: 401 wrong password"],
    ["an error of an action", "/page", post, 500, "+error.svelte: 500 told by handleError"],
    ["an error of an endpoint", "/endpoint", {}, 500, "error.html: 500 told by handleError"],
    ["error() of an endpoint", "/endpoint?error", {}, 401, "error.html: 401 wrong password"],
    ["an error while data are loaded", "/page/__data.json", {}, 200, "told by handleError"],
    ["a page that is not there", "/page/nowhere", {}, 404, "there is none"],
  ])("the page of an error has the cookie: %s", async (_, path, init, status, text) => {
    const { sessions } = setup();
    const fail = (event: Event): never => {
      sessions.of(event).update("n", (n = 0) => n + 1);
      if (event.url.search !== "") return kit().error(401, "wrong password");
      throw new Error("wrong");
    };
    const endpoint = (event: Event): Response => {
      if (event.url.pathname !== "/page/nowhere") return fail(event);
      sessions.of(event).put("n", 1);
      return new Response("there is none", { status: 404 });
    };
    const onError = (): { message: string } => ({ message: "told by handleError" });
    const ask = await site({ sessions }, { action: fail, load: fail, endpoint, onError });
    const response = await ask(path, init);
    expect([response.status, names(response)]).toEqual([status, ["session"]]);
    expect(await response.text()).toContain(text);
  });

  test("a page and what it fetches of its own application share a session", async () => {
    const { sessions, store } = setup();
    const application: Partial<Application> = {
      async load({ fetch, locals: { session } }) {
        session.update("n", (n = 0) => n + 1);
        const answers = await Promise.all(["/add", "/add", "/add"].map(async (path) => (await fetch(path)).text()));
        const stranger = await (await fetch("/read", { credentials: "omit" })).text();
        return { text: `${answers.join()}; ${stranger}; ${session.getNumber("n")}` };
      },
      endpoint({ locals: { session }, url, isSubRequest }) {
        if (url.pathname === "/add") session.update("n", (n = 0) => n + 1);
        return new Response(`${isSubRequest} ${session.getNumber("n")}`);
      },
    };
    const ask = await site({ sessions }, application);
    const first = await ask("/page");
    // Of a stranger, to whom there is no cookie to leave out.
    expect(await first.text()).toContain("<p>true 2,true 3,true 4; true 4; 4</p>");
    expect([names(first), store.calls]).toEqual([["session"], ["commit"]]);
    store.calls.length = 0;
    const second = await ask("/page", { headers: { cookie: first.headers.getSetCookie()[0]!.split(";")[0]! } });
    expect(await second.text()).toContain("<p>true 6,true 7,true 8; true 0; 8</p>");
    expect([names(second), store.calls]).toEqual([["session"], ["find", "replace"]]);
  });

  test("a promise that load has streamed still reads the session, and changes it no more", async () => {
    const { sessions } = setup();
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const ask = await site(
      { sessions },
      {
        load(event) {
          const session = sessions.of(event);
          session.put("user", "anna");
          const late = opened.then(() =>
            [session.getString("user"), codeOf(() => session.put("n", 1)), codeOf(() => sessions.current())].join(),
          );
          return { text: "early", late };
        },
      },
    );
    const response = await ask("/page/__data.json");
    expect(names(response)).toEqual(["session"]);
    open();
    expect(await response.text()).toContain("anna,headers-sent,session-closed");
  });

  test.each(["load", "commit"])("what cannot be stored is a line of text, or what onError says: %s", async (when) => {
    const { sessions, store } = setup();
    const headers: Record<string, string> = when === "load" ? await signIn(sessions, { n: 1 }) : {};
    store.failure = new Error("the store is down");
    const seen: unknown[] = [];
    const load = ({ locals: { session }, cookies, setHeaders }: Event): object => {
      session.put("n", 2);
      cookies.set("own", "1", { path: "/" });
      setHeaders({ "x-own": "yes" });
      return { text: "done" };
    };
    const answers: [onError: (() => Response) | undefined, text: string][] = [
      [undefined, "Service Unavailable\n"],
      [() => kit().error(503, "Come back later"), "error.html: 503 Come back later\n"],
      [() => new Response("mine", { status: 503 }), "mine"],
    ];
    for (const [onError, text] of answers) {
      const hooks = [loadAndSave<Data, Event>(sessions, { onError })];
      const { url, close } = await serve({ hooks, load, onError: (error) => (seen.push(error), { message: "" }) });
      onTestFinished(close);
      const response = await fetch(`${url}/page`, { headers: { accept: "text/html", ...headers } });
      expect([response.status, await response.text(), names(response)]).toEqual([503, text, []]);
      expect(response.headers.get("x-own")).toBe(null);
    }
    expect(seen).toEqual([]);
  });

  test("a page that has not changed is a 304, with the cookie when that has moved", async () => {
    const clock = new TestClock();
    const sessions = new SessionManager<Data>({ clock, store: new MemoryStore({ clock }), idleTimeout: "1h" });
    const headers = await signIn(sessions, { user: "anna" });
    const ask = await site({ sessions }, { load: ({ locals }) => ({ text: locals.session.getString("user") }) });
    const first = await ask("/page", { headers });
    const etag = first.headers.get("etag")!;
    clock.advance("10m");
    const second = await ask("/page", { headers: { ...headers, "if-none-match": etag } });
    expect([names(first), second.status, names(second)]).toEqual([[], 304, ["session"]]);
    expect(second.headers.get("vary")?.toLowerCase()).toContain("cookie");
  });

  test("what is prerendered sees an empty session, and calls no store", async () => {
    const { sessions, store } = setup();
    const ask = await site({ sessions }, {});
    const response = await ask("/static", { headers: await signIn(sessions, { user: "anna" }) });
    expect(await response.text()).toContain("<p>prerendered for nobody</p>");
    expect([names(response), store.calls]).toEqual([[], ["commit"]]);
  });
});
