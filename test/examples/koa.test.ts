/** The example of Koa. */

import { test } from "vitest";
import { drive, start } from "./drive.ts";

test("a browser logs in and out of Koa", { timeout: 60_000 }, async () => {
  await drive(await start("koa", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]));
});
