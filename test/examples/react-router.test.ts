/** The example of React Router. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("React Router:", () => {
  beforeAll(() => install("react-router"), 120_000);

  test("a browser logs in and out", { timeout: 120_000 }, async () => {
    await drive(await start("react-router", ["npm", "start"]));
  });
});
