// What a real browser makes of the session cookie's attributes, and of cookies that others plant beside it.
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { SessionError, SessionManager, subscribe } from "scs-session";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { users } from "../../examples/demo/users.ts";
import { browserProgram } from "../servers/programs.ts";
import { isSkipped } from "../servers/services.ts";
import { launch, launchOptions, logIn, serve, serveDemo, temporaryFolder, visitor, type Site } from "./support.ts";

const isLeftOut = isSkipped("browser");
if (!isLeftOut) await browserProgram(); // installs it where there is no time limit

/** A cookie for `__Host-` or `__Secure-`, as options and as browsers get it. */
const prefixed = [
  { options: { name: "__Host-a", secure: true }, header: "__Host-a=1; Path=/; Secure", isKept: true },
  { options: { name: "__Host-b", secure: true, path: "/shop" }, header: "__Host-b=1; Path=/shop; Secure" },
  {
    options: { name: "__Host-c", secure: true, domain: "shop.test" },
    header: "__Host-c=1; Path=/; Secure; Domain=shop.test",
  },
  { options: { name: "__Host-d", secure: false }, header: "__Host-d=1; Path=/" },
  { options: { name: "__Secure-e", secure: true }, header: "__Secure-e=1; Path=/; Secure", isKept: true },
  { options: { name: "__Secure-f", secure: false }, header: "__Secure-f=1; Path=/" },
  { options: { name: "g", secure: false, sameSite: "none" }, header: "g=1; Path=/; SameSite=None" },
  { options: { name: "h", secure: false, partitioned: true }, header: "h=1; Path=/; Partitioned" },
] as const;

describe.skipIf(isLeftOut)("in a browser", { timeout: 30_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  }, 30_000);
  afterAll(() => browser.close());

  test("what it would refuse is refused at construction", async () => {
    const headers = prefixed.map(({ header }) => header);
    const [secure, plain] = [await serveCookies("https", headers), await serveCookies("http", headers)];
    const page = await visitor(browser);
    await page.goto(plain.url("/shop"));
    expect(await namesOf(page)).toEqual([]); // these need HTTPS
    await page.goto(secure.url("/shop"));
    const kept = await namesOf(page);
    for (const { options } of prefixed) {
      const isTaken = kept.includes(options.name);
      const make = (): unknown => new SessionManager({ cookie: options });
      if (isTaken) expect(make).not.toThrow();
      else expect(make, options.name).toThrow(SessionError);
    }
    expect(kept).toEqual(["__Host-a", "__Secure-e"]);
  });

  test("a Secure cookie is not sent over HTTP, where nothing replaces it", async () => {
    const [secure, plain] = [await serveDemo("https"), await serveDemo("http")];
    const page = await visitor(browser);
    await logIn(page, secure);
    const before = await page.context().cookies();
    expect(before).toMatchObject([{ name: "session", secure: true }]); // "auto"
    await page.goto(plain.url("/"));
    await page.getByRole("button", { name: "Add Apples" }).click();
    await page.getByText("It is empty.").waitFor();
    expect(plain.asked.map(({ cookie }) => cookie)).toEqual(["", "", ""]);
    expect(await page.context().cookies()).toEqual(before);
    await page.goto(secure.url("/sessions"));
    await page.getByText("This browser").waitFor();
  });

  test("scripts neither read the cookie nor overwrite it", async () => {
    const demo = await serveDemo("http");
    const page = await visitor(browser);
    await logIn(page, demo);
    const before = await page.context().cookies();
    await page.evaluate("document.cookie = 'session=; path=/; max-age=0'");
    await page.evaluate("document.cookie = 'session=of-a-script; path=/'");
    expect(await page.evaluate("document.cookie")).toBe("");
    expect(await page.context().cookies()).toEqual(before);
  });

  test("with SameSite=Lax, links from other sites carry it, and their forms, images, frames and scripts do not", async () => {
    const demo = await serveDemo("https", { cookie: { name: "__Host-session", secure: true } });
    const cart = demo.url("/cart");
    const other = await serve("https", (_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end(`<a href="${demo.url("/sessions")}">link</a>
        <img src="${demo.url("/?image")}"><iframe src="${demo.url("/?frame")}"></iframe>
        <form method="post" action="${cart}"><button name="product" value="Apples">form</button></form>
        <script>fetch("${demo.url("/?script")}", { mode: "no-cors", credentials: "include" })</script>`);
    });
    const page = await visitor(browser);
    await logIn(page, demo);

    const frame = page.waitForResponse(demo.url("/?frame"));
    await page.goto(other.url("/", "elsewhere.test"));
    await frame;
    await page.getByRole("button", { name: "form" }).click();
    await page.getByText("This form was sent by another site.").waitFor();
    const embedded = demo.asked.filter(
      ({ method, path }) => path.startsWith("/?") || (method === "POST" && path === "/cart"),
    );
    expect(embedded.map(({ path, cookie }) => [path, cookie]).sort()).toEqual([
      ["/?frame", ""],
      ["/?image", ""],
      ["/?script", ""],
      ["/cart", ""],
    ]);

    await page.goto(other.url("/", "elsewhere.test"));
    await page.getByRole("link", { name: "link" }).click();
    await page.getByText("This browser").waitFor();
    expect(demo.asked.at(-1)!.cookie).toMatch(/^__Host-session=[\w-]{43}$/);
  });

  test("it is gone with the browser, unless the visitor asked to be remembered", async () => {
    const demo = await serveDemo("https", { cookie: { name: "__Host-session", secure: true } });
    const profile = temporaryFolder();
    const open = async (): Promise<BrowserContext> =>
      chromium.launchPersistentContext(profile, { ...(await launchOptions()), ignoreHTTPSErrors: true });

    let window = await open();
    onTestFinished(() => window.close());
    await logIn(await window.newPage(), demo, { host: "library.test" });
    await logIn(await window.newPage(), demo, { host: "home.test", remember: true });
    const expiries = Object.fromEntries((await window.cookies()).map(({ domain, expires }) => [domain, expires]));
    expect(expiries["library.test"]).toBe(-1);
    expect(expiries["home.test"]).toBeGreaterThan(Date.now() / 1000);
    await window.close();

    window = await open();
    expect((await window.cookies()).map(({ domain }) => domain)).toEqual(["home.test"]);
    const page = await window.newPage();
    await page.goto(demo.url("/sessions", "library.test"));
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await page.goto(demo.url("/sessions", "home.test"));
    await page.getByText("This browser").waitFor();
  });

  test("cookies of its name on another path, stale or made up, lock nobody out", async () => {
    const demo = await serveDemo("http");
    const page = await visitor(browser);
    await logIn(page, demo);
    const [ended] = await page.context().cookies();
    await page.getByRole("button", { name: "Log out", exact: true }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await logIn(page, demo);

    for (const value of [ended!.value, "A".repeat(43), "garbage", ""]) {
      await page.evaluate(`document.cookie = "session=${value}; path=/sessions"`);
      await page.goto(demo.url("/sessions"));
      await page.getByText("This browser").waitFor();
      expect(demo.asked.at(-1)!.cookie).toMatch(new RegExp(`^session=${value}; session=[\\w-]{43}$`)); // the planted one first
    }
    await page.getByRole("button", { name: "Log out", exact: true }).click();
    await page.goto(demo.url("/sessions"));
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  });

  test("a sister host cannot log a visitor in as somebody else; with __Host- it cannot even log out", async () => {
    const [plain, host] = [
      await serveDemo("https"),
      await serveDemo("https", { cookie: { name: "__Host-session", secure: true } }),
    ];
    const ambiguous: string[] = [];
    const stop = subscribe(({ type, manager }) => {
      if (type === "ambiguous") ambiguous.push(manager);
    });
    onTestFinished(stop);
    const attacker = await visitor(browser);
    await logIn(attacker, plain, { user: users[1] });
    await logIn(attacker, host, { user: users[1] });
    const headers = (await attacker.context().cookies()).map(
      ({ name, value }) => `${name}=${value}; Domain=shop.test; Path=/sessions; Secure`,
    );
    expect(headers).toHaveLength(2);
    const sister = await serveCookies("https", headers);

    const page = await visitor(browser);
    await logIn(page, plain);
    await logIn(page, host);
    await page.goto(sister.url("/", "blog.shop.test"));
    expect(await namesOf(page)).toEqual(["__Host-session", "session", "session"]);

    await page.goto(plain.url("/sessions")); // it is sent two live sessions, and takes neither
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    expect(ambiguous).toEqual(["session"]);
    await page.goto(host.url("/sessions"));
    await page.getByRole("link", { name: "Sessions of ada" }).waitFor();
  });

  test("a partitioned one belongs to the site that embeds the page", async () => {
    const cookie = { name: "__Host-session", secure: true, sameSite: "none", partitioned: true } as const;
    const demo = await serveDemo("https", { cookie });
    const portal = await serve("https", (_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end(`<iframe src="${demo.url("/login")}" width="800" height="800"></iframe>`);
    });
    const page = await visitor(browser);
    await page.goto(portal.url("/", "portal.test"));
    const frame = page.frameLocator("iframe");
    await frame.getByLabel("Name", { exact: true }).fill("ada");
    await frame.getByLabel("Password").fill(users[0]!.password);
    await frame.getByRole("button", { name: "Log in" }).click();
    await frame.getByText("You are logged in.").waitFor();
    expect(await page.context().cookies()).toMatchObject([{ sameSite: "None", partitionKey: "https://portal.test" }]);

    await page.reload();
    await frame.getByRole("link", { name: "Sessions of ada" }).waitFor();
    for (const elsewhere of [demo.url("/login"), portal.url("/", "other.test")]) {
      await page.goto(elsewhere);
      const shown = elsewhere === demo.url("/login") ? page : frame;
      await shown.getByRole("link", { name: "Log in" }).waitFor();
      expect(demo.asked.at(-1)!.cookie).toBe("");
    }
  });
});

/** Sets cookies that no manager would. */
function serveCookies(scheme: Site["scheme"], headers: readonly string[]): Promise<Site> {
  return serve(scheme, (_request, response) => {
    response.setHeader("set-cookie", headers).setHeader("content-type", "text/html").end("ok");
  });
}

/** The names of the cookies that a browser has kept, sorted. */
async function namesOf(page: Page): Promise<string[]> {
  return (await page.context().cookies()).map(({ name }) => name).sort();
}
