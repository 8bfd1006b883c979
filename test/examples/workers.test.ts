/** The example of Cloudflare Workers. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("Workers:", () => {
  beforeAll(() => install("workers"), 180_000);

  test("a browser logs in and out", { timeout: 60_000 }, async () => {
    await drive(await start("workers", ["npm", "start"]));
  });
});
