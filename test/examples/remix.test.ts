/** The example of Remix. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("Remix:", () => {
  beforeAll(() => install("remix"), 120_000);

  test("a browser logs in and out", { timeout: 60_000 }, async () => {
    await drive(await start("remix", ["npm", "start"]));
  });
});
