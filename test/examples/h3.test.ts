/** The example of h3. */

import { test } from "vitest";
import { drive, start } from "./drive.ts";

test("a browser logs in and out of h3", { timeout: 60_000 }, async () => {
  await drive(await start("h3", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]));
});
