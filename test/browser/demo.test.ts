// The demo, as people use it: in a real browser, over HTTPS with a `__Host-` cookie, and over HTTP with the default options.
import type { RequestListener } from "node:http";
import type { Browser, Page } from "playwright-core";
import { SessionManager, type SessionOptions } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore } from "scs-session/testing";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { createApp, sessionOptions, type SessionData } from "../../examples/demo/app.ts";
import { users } from "../../examples/demo/users.ts";
import { browserProgram } from "../servers/programs.ts";
import { isSkipped } from "../servers/services.ts";
import { fillIn, launch, logIn, screenshot, serve, serveDemo, visitor } from "./support.ts";

const waiting = { timeout: 10_000, interval: 5 };
const isLeftOut = isSkipped("browser");
if (!isLeftOut) await browserProgram(); // installs it where there is no time limit

const kinds = [
  ["https", { name: "__Host-session", secure: true }],
  ["http", {}],
] as const;

describe.skipIf(isLeftOut).each(kinds)("over %s", { timeout: 30_000 }, (scheme, cookie) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  }, 30_000);
  afterAll(() => browser.close());

  const start = (options: SessionOptions<SessionData> = {}) => serveDemo(scheme, { cookie, ...options });

  test("a login sets one cookie, which scripts cannot read, and shows its message once", async () => {
    const demo = await start();
    const page = await visitor(browser);
    await page.goto(demo.url("/"));
    expect(await page.context().cookies()).toEqual([]);

    await page.goto(demo.url("/login"));
    await screenshot(page, `${scheme}-1-login`, "Users of this demo");
    await fillIn(page, { ...users[0]!, password: "a guess" });
    await page.getByRole("button", { name: "Log in" }).click();
    await screenshot(page, `${scheme}-2-wrong-password`, "Name and password do not match.");
    expect(await page.getByLabel("Name", { exact: true }).inputValue()).toBe("ada");
    expect(await page.context().cookies()).toEqual([]);

    await logIn(page, demo);
    await screenshot(page, `${scheme}-3-logged-in`, "You are logged in.");
    expect(new URL(page.url()).pathname).toBe("/");
    expect(await page.context().cookies()).toEqual([
      {
        name: scheme === "https" ? "__Host-session" : "session",
        value: expect.stringMatching(/^[\w-]{43}$/) as string,
        domain: "shop.test", // without a dot: for this host only
        path: "/",
        expires: -1,
        httpOnly: true,
        secure: scheme === "https",
        sameSite: "Lax",
      },
    ]);
    expect(await page.evaluate("document.cookie")).toBe("");

    await page.reload();
    expect(await textOf(page)).not.toContain("You are logged in.");
    await page.getByRole("link", { name: "Sessions of ada" }).waitFor();
  });

  test("two tabs fill one cart at the same time, and nothing gets lost", async () => {
    // Two servers share the store, so that it is all that keeps them from overwriting each other.
    const store = new MemoryStore();
    const options = { ...sessionOptions, store, cookie: { ...sessionOptions.cookie, ...cookie } };
    const managers = [new SessionManager<SessionData>(options), new SessionManager<SessionData>(options)] as const;
    const apps = managers.map((manager) => createApp(manager)) as unknown as readonly RequestListener[];
    let turn = 0;
    // Additions wait for each other, so that there are always some at once.
    let together = 1;
    const gathered: (() => void)[] = [];
    const shop = await serve(scheme, (request, response) => {
      const run = (): void => {
        apps[turn++ % 2]!(request, response);
      };
      if (request.method !== "POST") {
        run();
        return;
      }
      gathered.push(run);
      if (gathered.length === together) for (const each of gathered.splice(0)) each();
    });

    const left = await visitor(browser);
    const right = await left.context().newPage();
    for (const [tab, product] of [[left, "Apples"] as const, [right, "Bread"] as const]) {
      await tab.goto(shop.url("/"));
      await tab.getByRole("button", { name: `Add ${product}` }).click();
      await tab.getByText(`1 × ${product}`).waitFor();
    }
    together = 4;
    const add = (tab: Page, product: string): Promise<number[]> =>
      tab.evaluate(
        `Promise.all(Array.from({ length: 30 }, async () => {
          const answer = await fetch("/cart", { method: "POST", body: new URLSearchParams({ product: "${product}" }) });
          return answer.status;
        }))`,
      );
    const statuses = await Promise.all([add(left, "Apples"), add(right, "Bread")]);
    expect(new Set(statuses.flat())).toEqual(new Set([200]));
    for (const [name, tab] of Object.entries({ left, right })) {
      await tab.reload();
      await screenshot(tab, `${scheme}-4-cart-in-the-${name}-tab`, "31 × Apples");
      const text = await textOf(tab);
      expect(text).toContain("31 × Apples");
      expect(text).toContain("31 × Bread");
    }
    for (const manager of managers) await manager.close();
  });

  test("a double click on the login button logs in", async () => {
    const store = new FaultyStore(new MemoryStore());
    const demo = await start({ store });
    const page = await visitor(browser);
    await page.goto(demo.url("/"));
    await page.getByRole("button", { name: "Add Apples" }).click(); // so that there is a session to be renewed twice
    await page.getByText("1 × Apples").waitFor();
    await page.goto(demo.url("/login"));
    await fillIn(page);
    const logins = (): number => demo.asked.filter(({ method, path }) => method === "POST" && path === "/login").length;
    const { x, y } = (await page.getByRole("button", { name: "Log in" }).boundingBox())!;
    const click = (): Promise<void> => page.mouse.click(x + 5, y + 5); // a locator's would wait for the answer

    store.holds = (method) => method === "replace"; // the first click's renewal
    await click();
    await vi.waitUntil(() => store.waiting.length === 1, waiting);
    await click();
    await vi.waitUntil(() => logins() === 2, waiting);
    store.holds = false;
    for (const call of store.waiting.slice()) await call.complete();

    await page.getByRole("link", { name: "Sessions of ada" }).click();
    await page.getByText("This browser").waitFor();
    await page.getByRole("button", { name: "Log out", exact: true }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();

    await fillIn(page);
    await page.getByRole("button", { name: "Log in" }).dblclick(); // so fast that chromium may send one
    await page.getByRole("link", { name: "Sessions of ada" }).waitFor();
  });

  test.each([
    ["keep pages whole", true],
    ["have no more than a cache", false],
  ])("after a logout, the back button of browsers that %s shows nothing private", async (_, keepsPages) => {
    const demo = await start();
    const other = keepsPages ? undefined : await launch({ keepsPages });
    onTestFinished(() => other?.close());
    const page = await visitor(other ?? browser);
    await logIn(page, demo);
    await page.getByRole("button", { name: "Add Cheese" }).click();
    await page.getByText("1 × Cheese").waitFor();
    await page.getByRole("link", { name: "Sessions of ada" }).click();
    await page.getByText("This browser").waitFor();
    await page.getByRole("button", { name: "Log out", exact: true }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    expect(await page.context().cookies()).toEqual([]);

    const shot = `${scheme}-5-${keepsPages ? "kept" : "cached"}`;
    await screenshot(page, `${shot}-logged-out`, "Users of this demo");

    const isPrivate = /of ada|This browser|1 × Cheese/;
    await back(page);
    expect(await textOf(page)).not.toMatch(isPrivate);
    await page.getByRole("heading", { name: "Log in" }).waitFor(); // instead of the sessions
    await screenshot(page, `${shot}-and-back`, "Users of this demo");
    expect(await textOf(page)).not.toMatch(isPrivate);
    await back(page);
    expect(await textOf(page)).not.toMatch(isPrivate);
    await page.getByText("It is empty.").waitFor(); // instead of the cart
    await screenshot(page, `${shot}-and-back-to-the-shop`, "It is empty.");
    expect(await textOf(page)).not.toMatch(isPrivate);
  });

  test("the back button does show what is kept of other pages, script and all", async () => {
    // Else the test above would prove nothing.
    const site = await serve(scheme, (request, response) => {
      response.setHeader("content-type", "text/html").end(`<p>${request.url ?? ""}</p>`);
    });
    const page = await visitor(browser);
    const isKept = async (): Promise<unknown> => {
      await page.goto(site.url("/one"));
      await page.evaluate("window.kept = true");
      await page.goto(site.url("/two"));
      await back(page);
      await page.getByText("/one").waitFor();
      return page.evaluate("window.kept");
    };
    await expect.poll(isKept, waiting).toBe(true); // on a busy machine chromium now and then lets go of a page
  });

  test("a logout everywhere else ends the second browser", async () => {
    const demo = await start();
    const [laptop, phone] = [await visitor(browser), await visitor(browser)];
    for (const page of [laptop, phone]) await logIn(page, demo);
    await laptop.goto(demo.url("/sessions"));
    await screenshot(laptop, `${scheme}-6-two-sessions`, "This browser");
    await laptop.getByRole("button", { name: "Log out everywhere else" }).click();
    await screenshot(laptop, `${scheme}-7-the-others-are-logged-out`, "You are logged out everywhere else.");
    expect(await laptop.locator("main li").count()).toBe(1);

    await phone.getByRole("link", { name: "Sessions of ada" }).click();
    await phone.getByRole("heading", { name: "Log in" }).waitFor();
    await screenshot(phone, `${scheme}-8-the-second-browser`, "Users of this demo");
    expect(await textOf(phone)).not.toContain("of ada");
    await laptop.reload();
    await laptop.getByText("This browser").waitFor();
  });

  test("one of the listed sessions can be logged out, and the others stay", async () => {
    const demo = await start();
    const userAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1";
    const [laptop, phone] = [await visitor(browser), await visitor(browser, { userAgent })];
    const tablet = await visitor(browser);
    for (const page of [laptop, phone, tablet]) await logIn(page, demo);
    await laptop.goto(demo.url("/sessions"));
    await laptop.getByRole("button", { name: "Log out this one: Safari on iPhone" }).click();
    await laptop.getByText("That session is logged out.").waitFor();

    await phone.goto(demo.url("/sessions"));
    await phone.getByRole("heading", { name: "Log in" }).waitFor();
    await tablet.goto(demo.url("/sessions"));
    expect(await tablet.locator("main li").count()).toBe(2);
  });
});

function textOf(page: Page): Promise<string> {
  return page.locator("body").innerText();
}

/** Presses the button; a page that the browser has kept whole does not load again, so no load is awaited. */
async function back(page: Page): Promise<void> {
  await page.goBack({ waitUntil: "commit" });
}
