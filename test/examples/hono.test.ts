/** The example of Hono. */

import { test } from "vitest";
import { drive, start } from "./drive.ts";

test("a browser logs in and out of Hono", { timeout: 30_000 }, async () => {
  await drive(await start("hono", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]));
});
