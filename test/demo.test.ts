// Plays the demo as its visitors would: in a process of its own, over HTTP, each browser with a cookie jar.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { SessionManager } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { FaultyStore } from "scs-session/testing";
import { CookieJar } from "tough-cookie";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp, sessionOptions } from "../examples/demo/app.ts";
import { browserName, html } from "../examples/demo/pages.ts";
import { users } from "../examples/demo/users.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Starts the demo on a free port, from the sources; answers with its process, what it prints, and its address. */
async function start(): Promise<{ demo: ChildProcess; printed: () => string; url: string }> {
  const demo = spawn(process.execPath, ["--import", "tsx", "examples/demo/server.ts"], {
    cwd: root,
    env: { ...process.env, PORT: "0", NODE_ENV: "development" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => (output += text));
  }
  for (;;) {
    const url = /listens on (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) return { demo, printed: () => output, url };
    await Promise.race([once(demo.stdout, "data"), once(demo, "exit")]);
    if (demo.exitCode !== null) throw new Error(`The demo did not start:\n${output}`);
  }
}

/** A browser: keeps cookies, sends the origin with forms, follows redirects. */
class Browser {
  readonly jar = new CookieJar();
  readonly #url: string;
  readonly #name: string;

  constructor(url: string, name = "Test browser") {
    this.#url = url;
    this.#name = name;
  }

  get(path: string): Promise<Answer> {
    return this.#request(path, { method: "GET" });
  }

  post(path: string, fields: Record<string, string> = {}, origin = this.#url): Promise<Answer> {
    return this.#request(path, { method: "POST", body: new URLSearchParams(fields), headers: { origin } });
  }

  logIn({ name, password } = users[0]!, fields: Record<string, string> = {}): Promise<Answer> {
    return this.post("/login", { name, password, ...fields });
  }

  /** The session cookie's value. */
  async token(): Promise<string | undefined> {
    return (await this.jar.getCookies(this.#url)).find(({ key }) => key === "session")?.value;
  }

  async #request(path: string, init: RequestInit): Promise<Answer> {
    const headers = new Headers(init.headers);
    headers.set("cookie", await this.jar.getCookieString(this.#url));
    headers.set("user-agent", this.#name);
    const response = await fetch(this.#url + path, { ...init, headers, redirect: "manual" });
    for (const cookie of response.headers.getSetCookie()) await this.jar.setCookie(cookie, this.#url);
    const text = await response.text();
    const location = response.headers.get("location");
    return location === null ? { status: response.status, path, text } : this.get(location);
  }
}

interface Answer {
  readonly status: number;
  /** Where the redirects led. */
  readonly path: string;
  readonly text: string;
}

/** The ids of the sessions that a page offers to end. */
function endable({ text }: Answer): string[] {
  return [...text.matchAll(/name="id" value="([^"]+)"/g)].map(([, id]) => id!);
}

describe("the demo", () => {
  let demo: ChildProcess;
  let printed: () => string;
  let url: string;
  beforeAll(async () => {
    ({ demo, printed, url } = await start());
  });
  afterAll(() => {
    demo.kill("SIGKILL");
  });

  test("prints the address and what to try", () => {
    expect(printed()).toContain(`${url}/\n`);
    expect(printed()).toContain(`curl -b cookies.txt ${url}/get`);
  });

  test("/put stores a message that /get of the same browser shows", async () => {
    const browser = new Browser(url);
    expect((await browser.get("/get")).text).toBe("\n");
    expect(await browser.token()).toBeUndefined();
    await browser.get("/put");
    expect((await browser.get("/get")).text).toBe("Hello from a session!\n");
    expect((await new Browser(url).get("/get")).text).toBe("\n");
  });

  test("a login changes the token, keeps the cart and shows its message once", async () => {
    const browser = new Browser(url);
    await browser.post("/cart", { product: "Bread" });
    const before = await browser.token();
    const page = await browser.logIn();
    expect(page.path).toBe("/");
    expect(page.text).toContain("You are logged in.");
    expect(page.text).toContain("Sessions of ada");
    expect(page.text).toContain("1 × Bread");
    expect(await browser.token()).not.toBe(before);
    expect((await browser.get("/")).text).not.toContain("You are logged in.");

    const thief = new Browser(url);
    await thief.jar.setCookie(`session=${before ?? ""}; Path=/`, url);
    expect((await thief.get("/sessions")).path).toBe("/login");
  });

  test("a wrong password, an unknown name and a missing field log nobody in", async () => {
    const browser = new Browser(url);
    const attempts = [{ name: "ada", password: "guess" }, { name: "nobody<", password: "" }, { name: "" }];
    for (const fields of attempts) {
      const page = await browser.post("/login", fields);
      expect(page.status).toBe(401);
      expect(page.text).toContain("Name and password do not match.");
      expect(page.text).toContain(html`value="${fields.name}"`.markup); // need not be typed again
    }
    expect(await browser.token()).toBeUndefined();
    expect((await browser.get("/sessions")).path).toBe("/login");
  });

  test("a login as another user does not take the first one's cart over", async () => {
    const browser = new Browser(url);
    await browser.logIn(users[1]);
    await browser.post("/cart", { product: "Cheese" });
    const page = await browser.logIn(users[2]);
    expect(page.text).toContain("Sessions of alan");
    expect(page.text).toContain("It is empty.");
  });

  test("20 parallel additions leave 20 items in the cart", async () => {
    const browser = new Browser(url);
    await browser.post("/cart", { product: "Bread" });
    await Promise.all(Array.from({ length: 20 }, () => browser.post("/cart", { product: "Apples" })));
    expect((await browser.get("/")).text).toContain("20 × Apples");
    await browser.post("/cart/empty");
    expect((await browser.get("/")).text).toContain("It is empty.");
  });

  test("only products of the shop get into the cart", async () => {
    expect((await new Browser(url).post("/cart", { product: "__proto__" })).status).toBe(400);
  });

  test("the cookie ends with the browser unless the visitor asked to be remembered", async () => {
    const forgotten = new Browser(url);
    await forgotten.logIn();
    expect((await forgotten.jar.getCookies(url))[0]?.expires).toBe("Infinity");
    const remembered = new Browser(url);
    await remembered.logIn(users[0], { remember: "on" });
    expect((await remembered.jar.getCookies(url))[0]?.expires).toBeInstanceOf(Date);
  });

  test("users see their sessions, and only theirs, and end one of them", async () => {
    const [laptop, phone, other] = [new Browser(url, "Laptop"), new Browser(url, "<Phone>"), new Browser(url, "Other")];
    await laptop.logIn(users[1]);
    await phone.logIn(users[1]);
    await other.logIn(users[2]);
    await laptop.post("/sessions/end-others");
    expect(endable(await laptop.get("/sessions"))).toEqual([]);

    await phone.logIn(users[1]);
    const page = await laptop.get("/sessions");
    expect(page.text).toContain("Laptop");
    expect(page.text).toContain("&#60;Phone&#62;");
    expect(page.text).not.toContain("Other");
    expect(page.text).not.toContain(await phone.token());

    await other.post("/sessions/end", { id: endable(page)[0]! }); // not other's to end
    expect((await phone.get("/sessions")).path).toBe("/sessions");
    const ended = await laptop.post("/sessions/end", { id: endable(page)[0]! });
    expect(ended.text).toContain("That session is logged out.");
    expect((await phone.get("/sessions")).path).toBe("/login");
    expect((await laptop.get("/sessions")).path).toBe("/sessions");
  });

  test("logging out everywhere else ends the other browsers and spares this one", async () => {
    const browsers = [new Browser(url), new Browser(url), new Browser(url)] as const;
    for (const browser of browsers) await browser.logIn(users[2]);
    expect((await browsers[0].get("/sessions")).text).toContain("Log out everywhere else");
    const page = await browsers[0].post("/sessions/end-others");
    expect(page.text).toContain("You are logged out everywhere else.");
    expect(page.text).toContain("You are logged in nowhere else.");
    expect(page.text).not.toContain("Log out everywhere else");
    const paths = await Promise.all(browsers.map(async (browser) => (await browser.get("/sessions")).path));
    expect(paths).toEqual(["/sessions", "/login", "/login"]);
  });

  test("a logout ends the session and takes the cookie back", async () => {
    const browser = new Browser(url);
    await browser.logIn();
    const token = await browser.token();
    expect((await browser.post("/logout")).path).toBe("/login");
    expect(await browser.token()).toBeUndefined();
    await browser.jar.setCookie(`session=${token ?? ""}; Path=/`, url);
    expect((await browser.get("/sessions")).path).toBe("/login");
  });

  test("a form from another site is refused and changes nothing", async () => {
    const browser = new Browser(url);
    await browser.logIn();
    for (const origin of ["https://elsewhere.example", "null", url.replace("http:", "https:")]) {
      expect((await browser.post("/logout", {}, origin)).status).toBe(403);
    }
    expect((await browser.get("/sessions")).path).toBe("/sessions");
  });

  test("no page is kept by a cache", async () => {
    for (const path of ["/", "/login", "/sessions", "/nowhere"]) {
      expect((await fetch(url + path)).headers.get("cache-control")).toBe("no-store");
    }
  });

  test("an unknown page is a 404", async () => {
    expect((await new Browser(url).get("/nowhere")).status).toBe(404);
  });

  test("what it prints shows events, and neither tokens nor passwords", async () => {
    const browser = new Browser(url);
    await browser.logIn();
    expect(printed()).toMatch(/^ {2}created [\w-]{8}$/m);
    expect(printed()).not.toContain(await browser.token());
    for (const { password } of users) expect(printed()).not.toContain(password);
  });
});

test.each(["SIGINT", "SIGTERM"] as const)("%s ends the demo with code 0", async (signal) => {
  const { demo, url } = await start();
  await new Browser(url).get("/put");
  demo.kill(signal);
  expect(await once(demo, "exit")).toEqual([0, null]);
});

test("while the store is down the demo answers with a friendly 503 and keeps the cookie", async () => {
  const store = new FaultyStore(new MemoryStore());
  const sessions = new SessionManager({ ...sessionOptions, store });
  const server = createApp(sessions).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const browser = new Browser(url);
  await browser.logIn();
  const token = await browser.token();

  store.failure = new Error("The database is gone.");
  const logged: unknown[] = [];
  const { error } = console;
  console.error = (...args: unknown[]) => void logged.push(...args);
  const pages = [await browser.get("/"), await browser.post("/cart", { product: "Bread" })];
  console.error = error;
  for (const page of pages) {
    expect(page.status).toBe(503);
    expect(page.text).toContain("We will be back soon");
  }
  expect(logged).toHaveLength(2);
  expect(logged.join()).not.toContain(token);

  store.failure = undefined;
  expect((await browser.get("/")).text).toContain("Sessions of ada");
  server.close();
  await sessions.close();
});

test("markup escapes what is put into it", () => {
  const item = html`<li title="${`"'`}">${"<script>&"}${1}</li>`;
  expect(item.markup).toBe(`<li title="&#34;&#39;">&#60;script&#62;&#38;1</li>`);
  expect(html`${[item, item]}`.markup).toBe(item.markup + item.markup);
});

test.each([
  [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36",
    "Chrome on Linux",
  ],
  ["Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"],
  [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0",
    "Edge on Windows",
  ],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 15.0; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Mac"],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1",
    "Safari on iPhone",
  ],
  ["Firefox", "Firefox"],
  ["curl/8.5.0", "curl/8.5.0"],
])("%s is called %s", (userAgent, name) => {
  expect(browserName(userAgent)).toBe(name);
});
