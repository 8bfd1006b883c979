/** The SvelteKit adapter without SvelteKit: test/examples/sveltekit.test.ts has it run the adapter. */

import { parse, stringify } from "devalue";
import { SessionManager } from "scs-session";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFetch } from "scs-session/fetch";
import { MemoryStore } from "scs-session/memory";
import { loadAndSave } from "scs-session/sveltekit";
import { signIn } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import { setup, type Data } from "./support.ts";

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const names = (response: Response): string[] => response.headers.getSetCookie().map((line) => line.split("=")[0]!);

/** An event as SvelteKit makes it, as far as the adapter looks at it. */
function eventOf(headers: Record<string, string> = {}, isSubRequest = false) {
  const url = new URL("http://localhost/");
  const set: unknown[][] = [];
  const cookies = { set: (...args: unknown[]) => void set.push(args), all: set };
  return { request: new Request(url, { headers }), url, locals: {}, cookies, isSubRequest };
}
type Event = ReturnType<typeof eventOf>;

const next = (): undefined => undefined;

describe("the wrong adapter", () => {
  test("without a manager it throws at once", () => {
    expect(() => loadAndSave({} as never)).toThrow(expect.objectContaining({ code: "wrong-adapter" }) as Error);
  });

  test.each([
    ["Express", [{ socket: {}, headers: {} }, {}, next], "scs-session/express"],
    ["fetch", [new Request("http://localhost/")], "scs-session/fetch"],
    ["h3", [{ req: {}, context: {} }, next], "scs-session/h3"],
  ])("called with the arguments of %s it names the right one", async (_, args, right) => {
    const handle = loadAndSave(setup().sessions) as (...args: unknown[]) => Promise<unknown>;
    const error = await handle(...args).catch((reason: unknown) => reason);
    expect([codeOf(error), (error as Error).message]).toEqual(["wrong-adapter", expect.stringContaining(right)]);
  });

  test("another one that is called as a hook names this one", async () => {
    const { sessions } = setup();
    for (const other of [onExpress(sessions), onFetch(sessions, () => new Response())]) {
      const hook = async (): Promise<unknown> => (other as (...args: unknown[]) => unknown)({ event: eventOf(), resolve: () => new Response() }); // prettier-ignore
      await expect(hook()).rejects.toThrow('"scs-session/sveltekit"');
    }
  });
});

test("the locals can be copied, as for the data of a page: without the session", async () => {
  const { sessions } = setup();
  const event = { ...eventOf(), locals: { user: "anna" } };
  let copied = "";
  await loadAndSave<Data, typeof event>(sessions)({
    event,
    resolve({ locals }) {
      copied = stringify({ ...locals });
      return new Response();
    },
  });
  expect(parse(copied)).toEqual({ user: "anna" });
});

describe("a request within a request", () => {
  /** What the inner one has, and puts; where the outer one has put 1. */
  const visit = async (
    sessions: SessionManager<Data>,
    outer: Record<string, string>,
    inner: Record<string, string>,
  ): Promise<{ shares: boolean; response: Response; innerResponse: Response }> => {
    const handle = loadAndSave<Data, Event>(sessions);
    let shares = false;
    let innerResponse = new Response();
    const response = await handle({
      event: eventOf(outer),
      async resolve(event) {
        sessions.of(event).put("n", 1);
        innerResponse = await handle({
          event: eventOf(inner, true),
          async resolve(within) {
            shares = sessions.of(within) === sessions.of(event) && sessions.of(within.request) === sessions.of(event);
            expect(sessions.current()).toBe(sessions.of(within));
            sessions.of(within).update("n", (n = 0) => n + 10);
            return new Response();
          },
        });
        return new Response();
      },
    });
    return { shares, response, innerResponse };
  };

  test("shares its session when it presents the same token, or none as well; it is stored once", async () => {
    const { sessions, store } = setup();
    const cookie = await signIn(sessions, { n: 0 });
    for (const [headers, calls] of [
      [{}, ["commit"]],
      [cookie, ["find", "replace"]],
    ] as const) {
      store.calls.length = 0;
      const { shares, response, innerResponse } = await visit(sessions, headers, headers);
      expect([shares, names(response), names(innerResponse)]).toEqual([true, ["session"], []]);
      expect(store.calls).toEqual(calls);
    }
  });

  test("shares it also when of two tokens only the first was passed on", async () => {
    const { sessions } = setup();
    const { cookie = "" } = await signIn(sessions, { n: 0 });
    const { shares } = await visit(sessions, { cookie: `${cookie}; session=${"a".repeat(43)}` }, { cookie });
    expect(shares).toBe(true);
  });

  test("has one of its own when it presents another token, or none while its request has one", async () => {
    const { sessions } = setup();
    const [anna, bob] = [await signIn(sessions, { user: "anna" }), await signIn(sessions, { user: "bob" })];
    for (const inner of [{}, bob]) {
      const { shares, innerResponse } = await visit(sessions, anna, inner);
      expect([shares, names(innerResponse)]).toEqual([false, ["session"]]);
    }
    expect((await visit(sessions, {}, bob)).shares).toBe(false);
  });

  test("has one of its own of another manager, and outside of any", async () => {
    const { sessions } = setup();
    const others = new SessionManager<Data>({ cookie: { name: "other" }, store: new MemoryStore() });
    const handle = loadAndSave<Data, Event>(sessions);
    const put = (event: Event): Response => {
      sessions.of(event).put("n", 1);
      return new Response();
    };
    const within = (): Promise<Response> => handle({ event: eventOf({}, true), resolve: put });
    expect(names(await within())).toEqual(["session"]);
    expect(names(await loadAndSave<Data, Event>(others)({ event: eventOf(), resolve: within }))).toEqual(["session"]);
  });
});

test("a redirect that a later hook throws takes the cookie with it, attribute by attribute", async () => {
  const redirect = Object.assign(new Error(), { status: 303, location: "/login" });
  for (const [cookie, options] of [
    [{}, { path: "/", httpOnly: true, secure: false, sameSite: "lax", maxAge: 86_400 }],
    [
      { path: "/app", httpOnly: false, secure: true, sameSite: "strict", persist: false },
      { path: "/app", httpOnly: false, secure: true, sameSite: "strict" },
    ],
  ] as const) {
    const sessions = new SessionManager<Data>({ cookie });
    const event = eventOf();
    const resolve = (): never => {
      sessions.of(event).put("n", 1);
      throw redirect;
    };
    await expect(loadAndSave<Data, Event>(sessions)({ event, resolve })).rejects.toBe(redirect);
    const [[name, token, set] = [], ...more] = event.cookies.all;
    const { expires, ...others } = set as { expires?: Date };
    expect([name, others, more]).toEqual(["session", options, []]);
    expect(expires instanceof Date).toBe("maxAge" in options);
    expect((await sessions.load(token as string)).get("n")).toBe(1);
  }
});

test("when the session cannot be stored, the redirect is not thrown", async () => {
  const { sessions, store } = setup();
  store.failure = new Error("down");
  const event = eventOf();
  const response = await loadAndSave<Data, Event>(sessions)({
    event,
    resolve() {
      sessions.of(event).put("n", 1);
      throw Object.assign(new Error(), { status: 303, location: "/login" });
    },
  });
  expect([response.status, names(response), event.cookies.all]).toEqual([503, [], []]);
});

test("of any other error that a later hook throws nothing is stored, but a destroy is carried out", async () => {
  const { sessions, store } = setup();
  const headers = await signIn(sessions, { n: 1 });
  const fail = (change: (event: Event) => void): Promise<unknown> => {
    const event = eventOf(headers);
    const resolve = (): never => {
      change(event);
      throw new Error("wrong");
    };
    return loadAndSave<Data, Event>(sessions)({ event, resolve });
  };
  store.calls.length = 0;
  await expect(fail((event) => sessions.of(event).put("n", 2))).rejects.toThrow("wrong");
  expect(store.calls).toEqual(["find"]);
  await expect(fail((event) => sessions.of(event).destroy())).rejects.toThrow("wrong");
  expect(store.calls).toEqual(["find", "find", "replace"]);
});
