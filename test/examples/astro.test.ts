/** The example of Astro. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("Astro:", () => {
  beforeAll(() => install("astro"), 120_000);

  test("a browser logs in and out", { timeout: 120_000 }, async () => {
    await drive(await start("astro", ["npm", "start"]));
  });
});
