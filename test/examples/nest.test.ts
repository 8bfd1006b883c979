/** The example of NestJS, on both of its platforms. */

import { beforeAll, describe, test } from "vitest";
import { isSkipped } from "../servers/services.ts";
import { drive, install, start } from "./drive.ts";

describe.skipIf(isSkipped("examples"))("a browser logs in and out of NestJS", { timeout: 120_000 }, () => {
  beforeAll(() => install("nest"), 120_000);

  test.each(["express", "fastify"])("on %s", async (platform) => {
    await drive(await start("nest", ["npm", "run", `start:${platform}`]));
  });
});
