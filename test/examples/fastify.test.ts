/** The example of Fastify. */

import { test } from "vitest";
import { drive, start } from "./drive.ts";

test("a browser logs in and out of Fastify", { timeout: 60_000 }, async () => {
  await drive(await start("fastify", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]));
});
