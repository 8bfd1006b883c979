/** The example of Elysia. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("Elysia:", () => {
  beforeAll(() => install("elysia"), 120_000);

  test("a browser logs in and out", { timeout: 60_000 }, async () => {
    await drive(await start("elysia", ["npm", "start"]));
  });
});
