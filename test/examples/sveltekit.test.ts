/** The example of SvelteKit. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("SvelteKit:", () => {
  beforeAll(() => install("sveltekit"), 120_000);

  test("a browser logs in and out", { timeout: 120_000 }, async () => {
    await drive(await start("sveltekit", ["npm", "start"]));
  });
});
