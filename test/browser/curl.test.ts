// The demo with curl, whose cookie jar shows in plain text what it has understood of the cookie.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { users } from "../../examples/demo/users.ts";
import { programOf } from "../servers/programs.ts";
import { isSkipped } from "../servers/services.ts";
import { serveDemo, temporaryFolder, type Site } from "./support.ts";

const isLeftOut = isSkipped("browser");
const curl = isLeftOut ? "" : await programOf("curl", { otherwise: "leave it out with TEST_SKIP=browser" });

const { name, password } = users[0]!;
const login = ["-d", `name=${name}`, "--data-urlencode", `password=${password}`];
const lasting = [...login, "-d", "remember=on"];

/** A line of a jar: https://curl.se/docs/http-cookies.html */
interface Jarred {
  readonly isHttpOnly: boolean;
  readonly domain: string;
  readonly forSubdomains: boolean;
  readonly path: string;
  readonly isSecure: boolean;
  /** In seconds since 1970; 0 when it ends with the program. */
  readonly expiry: number;
  readonly name: string;
  readonly value: string;
}

class Curl {
  readonly #file = join(temporaryFolder(), "jar");
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Follows redirects, with the jar. */
  async ask(path: string, ...options: readonly string[]): Promise<string> {
    const { port } = this.#site;
    const loopback = ["--noproxy", "*", "--resolve", `shop.test:${port}:127.0.0.1`, "--insecure"];
    const jar = ["-c", this.#file, "-b", this.#file];
    const settings = ["--disable", "--silent", "--show-error", "--location", "--max-time", "20", ...loopback, ...jar];
    return (await promisify(execFile)(curl, [...settings, ...options, this.#site.url(path)])).stdout;
  }

  get jar(): Jarred[] {
    const lines = readFileSync(this.#file, "utf8").split("\n");
    return lines
      .filter((line) => line.includes("\t"))
      .map((line) => {
        const [host = "", tail = "", path = "", secure = "", expiry = "", name = "", value = ""] = line.split("\t");
        const isHttpOnly = host.startsWith("#HttpOnly_");
        const domain = host.replace("#HttpOnly_", "");
        const [forSubdomains, isSecure] = [tail === "TRUE", secure === "TRUE"];
        return { isHttpOnly, domain, forSubdomains, path, isSecure, expiry: Number(expiry), name, value };
      });
  }
}

const kinds = [
  ["http", {}],
  ["https", { name: "__Host-session", secure: true }],
] as const;

describe.skipIf(isLeftOut).each(kinds)("curl over %s", { timeout: 30_000 }, (scheme, cookie) => {
  test("logs in, sees the message once, fills the cart and logs out", async () => {
    const client = new Curl(await serveDemo(scheme, { cookie }));
    expect(await client.ask("/")).toContain("It is empty.");
    expect(client.jar).toEqual([]);

    const welcome = await client.ask("/login", ...login);
    expect(welcome).toContain("You are logged in.");
    expect(welcome).toContain("Sessions of ada");
    expect(client.jar).toEqual([
      {
        isHttpOnly: true,
        domain: "shop.test",
        forSubdomains: false,
        path: "/",
        isSecure: scheme === "https",
        expiry: 0,
        name: scheme === "https" ? "__Host-session" : "session",
        value: expect.stringMatching(/^[\w-]{43}$/) as string,
      },
    ]);
    const again = await client.ask("/");
    expect(again).toContain("Sessions of ada");
    expect(again).not.toContain("You are logged in.");

    await client.ask("/cart", "-d", "product=Bread");
    expect(await client.ask("/cart", "-d", "product=Bread")).toContain("2 × Bread");
    // Before it follows a redirect, curl 7 reads its jar again, with what was just deleted: https://github.com/curl/curl/pull/10685
    await client.ask("/logout", "-d", "", "--no-location");
    expect(client.jar).toEqual([]);
    expect(await client.ask("/")).toContain("It is empty.");
  });

  test("forgets the session with the program, unless it is to be remembered", async () => {
    const demo = await serveDemo(scheme, { cookie });
    const [forgetful, loyal] = [new Curl(demo), new Curl(demo)];
    await forgetful.ask("/login", ...login);
    const now = Math.floor(Date.now() / 1000);
    await loyal.ask("/login", ...lasting);
    // An hour without a request ends it; the demo's idleTimeout.
    expect(loyal.jar[0]!.expiry).toBeGreaterThanOrEqual(now + 3600);
    expect(loyal.jar[0]!.expiry).toBeLessThan(now + 3600 + 30);

    const asNewProgram = "--junk-session-cookies";
    expect(await forgetful.ask("/", asNewProgram)).not.toContain("Sessions of ada");
    expect(forgetful.jar).toEqual([]);
    expect(await loyal.ask("/", asNewProgram)).toContain("Sessions of ada");
    expect(loyal.jar).toHaveLength(1);
  });
});
