// The chat of examples/ws in a real browser: its sockets live and end with the session of the tab.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { start } from "../examples/drive.ts";
import { browserProgram } from "../servers/programs.ts";
import { isSkipped } from "../servers/services.ts";
import { launch, visitor } from "./support.ts";

const isLeftOut = isSkipped("browser");
if (!isLeftOut) await browserProgram(); // installs it where there is no time limit

describe.skipIf(isLeftOut)("the sockets of a browser", { timeout: 60_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  }, 30_000);
  afterAll(() => browser.close());

  /** A tab that is logged in, and connected. */
  async function chat(url: string, user: string): Promise<Page> {
    const page = await visitor(browser);
    await page.goto(url);
    await page.locator("[name=user]").fill(user);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator("#chat").getByText(`Hello, ${user}`).waitFor();
    return page;
  }

  test("speak for the user of their tab, and end when another tab logs out", async () => {
    const url = await start("ws", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]);
    const [alice, bob] = [await chat(url, "alice"), await chat(url, "bob")];
    await alice.locator("[name=text]").fill("Is anybody here?");
    await alice.keyboard.press("Enter");
    for (const page of [alice, bob]) await page.getByText("alice: Is anybody here?").waitFor();

    const second = await alice.context().newPage();
    await second.goto(url);
    await second.getByRole("button", { name: "Log out" }).click();
    await second.getByText("Please log in").waitFor();
    await alice.getByText("Please log in").waitFor(); // its socket was closed, and it has loaded the page again
    expect(await bob.locator("#chat").textContent()).toBe("Hello, bob\nalice: Is anybody here?\n");
  });

  test("are refused to pages of another origin, which the browser lets ask with the cookie", async () => {
    const url = await start("ws", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]);
    const page = await chat(url, "alice");
    // Another port is another origin; to SameSite, and to the cookie, it is the same place.
    const other = await start("ws", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]);
    const attacker = await page.context().newPage();
    await attacker.goto(other);
    const opens = (from: Page): Promise<unknown> =>
      from.evaluate(`new Promise((resolve) => {
        const socket = new WebSocket(${JSON.stringify(url.replace("http", "ws"))});
        socket.onopen = () => resolve("opened");
        socket.onerror = () => resolve("refused");
      })`);
    expect([await opens(attacker), await opens(page)]).toEqual(["refused", "opened"]);
  });
});
