// The contract once more, with the responses that Hono's server puts in the place of the runtime's, as it does by default.
import { createAdaptorServer } from "@hono/node-server";
import { adapterContract } from "scs-session/testing";
import { test } from "vitest";
import { listen } from "./harness/tools.ts";
import { hono } from "./harness/web.ts";

const serve: Parameters<typeof adapterContract>[0] = (app) =>
  listen(createAdaptorServer({ fetch: hono.handler(app) }) as never);

for (const { name, run } of adapterContract(serve, { without: hono.without })) test(name, run);
