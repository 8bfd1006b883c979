/** What the tests in a browser share: chromium, and the demo application served to it. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";
import { chromium, type Browser, type BrowserContextOptions, type LaunchOptions, type Page } from "playwright-core";
import { SessionManager, type SessionOptions } from "scs-session";
import { expect, onTestFinished } from "vitest";
import { createApp, sessionOptions, type SessionData } from "../../examples/demo/app.ts";
import { users } from "../../examples/demo/users.ts";
import { browserProgram, programOf } from "../servers/programs.ts";

interface Launch {
  /** Whether pages are kept whole for the back button; else it finds them in the cache, or asks again. True if left out. */
  readonly keepsPages?: boolean;
}

/** How chromium is started. Every host below .test is this machine, and no other is found: nothing leaves it. */
export async function launchOptions({ keepsPages = true }: Launch = {}): Promise<LaunchOptions> {
  return {
    executablePath: await browserProgram(),
    args: [
      ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
      ...["--disable-background-networking", "--disable-component-update", "--no-proxy-server"],
      "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
    // People who press "back" have it; Playwright switches it off.
    ignoreDefaultArgs: keepsPages ? ["--disable-back-forward-cache"] : [],
  };
}

/** A browser whose profile is a temporary folder. */
export async function launch(options: Launch = {}): Promise<Browser> {
  return chromium.launch(await launchOptions(options));
}

/** A tab of somebody else, with cookies of their own, until the test is over. */
export async function visitor(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  onTestFinished(() => context.close());
  return context.newPage();
}

interface Login {
  /** One of those of the demo. */
  readonly user?: (typeof users)[number] | undefined;
  readonly remember?: boolean;
  /** The host at which the demo is visited. */
  readonly host?: string;
}

/** Logs in as people do. */
export async function logIn(page: Page, site: Site, { user, remember = false, host }: Login = {}): Promise<void> {
  await page.goto(site.url("/login", host));
  await fillIn(page, user);
  if (remember) await page.getByLabel("Remember me").check();
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("You are logged in.").waitFor();
}

/** Fills in the login form. */
export async function fillIn(page: Page, { name, password } = users[0]!): Promise<void> {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password").fill(password);
}

const screenshots = fileURLToPath(new URL("../../reports/screenshots", import.meta.url));

/**
 * Saves what a page looks like, for people to look at: reports/screenshots/<name>.png. Fails when a text that stands for the
 * step cannot be seen, or the picture is of one colour.
 */
export async function screenshot(page: Page, name: string, seen: string | RegExp): Promise<void> {
  await page.getByText(seen).first().waitFor({ state: "visible" });
  const picture = await page.screenshot({ path: `${screenshots}/${name}.png` });
  // What filters and compression leave of an even picture are a handful of different bytes.
  expect(new Set(pixelsOf(picture)).size, name).toBeGreaterThan(16);
}

/** The lines of a PNG, filtered as they are: https://www.w3.org/TR/png-3/ */
function pixelsOf(picture: Buffer): Buffer {
  const data: Buffer[] = [];
  for (let at = 8; at < picture.length;) {
    const length = picture.readUInt32BE(at);
    if (picture.toString("latin1", at + 4, at + 8) === "IDAT") data.push(picture.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return inflateSync(Buffer.concat(data));
}

/** A folder that is gone when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "scs-session-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** What a site was asked for. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** The Cookie header; "" when there was none. */
  readonly cookie: string;
}

export interface Site {
  readonly scheme: "http" | "https";
  readonly port: number;
  /** The requests that came, in their order. */
  readonly asked: Asked[];
  /** The address of a page, at any host. */
  url(path: string, host?: string): string;
}

/** Serves until the test is over. */
export async function serve(scheme: Site["scheme"], listener: RequestListener): Promise<Site> {
  const asked: Asked[] = [];
  const handler: RequestListener = (request, response) => {
    const { method = "", url = "" } = request;
    asked.push({ method, path: url, cookie: request.headers.cookie ?? "" });
    listener(request, response);
  };
  const server = scheme === "http" ? createServer(handler) : createSecureServer(await certificate(), handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const url: Site["url"] = (path, host = "shop.test") => `${scheme}://${host}:${port}${path}`;
  return { scheme, port, asked, url };
}

export interface Demo extends Site {
  readonly sessions: SessionManager<SessionData>;
}

/** Serves the demo with its own options, and those given besides. */
export async function serveDemo(scheme: Site["scheme"], options: SessionOptions<SessionData> = {}): Promise<Demo> {
  const cookie = { ...sessionOptions.cookie, ...options.cookie };
  const sessions = new SessionManager<SessionData>({ ...sessionOptions, ...options, cookie });
  const site = await serve(scheme, createApp(sessions) as (request: IncomingMessage, response: unknown) => void);
  onTestFinished(() => sessions.close());
  return { ...site, sessions };
}

let pair: Promise<{ key: Buffer; cert: Buffer }> | undefined;

/** A key and a certificate that it signed itself. */
function certificate(): Promise<{ key: Buffer; cert: Buffer }> {
  return (pair ??= (async () => {
    const openssl = await programOf("openssl", { otherwise: "leave the browser out with TEST_SKIP=browser" });
    const folder = mkdtempSync(join(tmpdir(), "scs-session-"));
    try {
      const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
      const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
      const names = ["-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:*.test"];
      execFileSync(openssl, ["req", ...kind, ...names, "-keyout", key, "-out", cert], { stdio: "pipe" });
      return { key: readFileSync(key), cert: readFileSync(cert) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  })());
}
