// What is odd about a request, and what frameworks make of it, on every adapter. Those that are built first are in test/examples.
import { testBadRequests } from "./harness/bad-requests.ts";
import { express5, expressFour } from "./harness/express.ts";
import { fastify } from "./harness/fastify.ts";
import { fetchHandler } from "./harness/fetch.ts";
import { h3 } from "./harness/h3.ts";
import { hono } from "./harness/hono.ts";
import { koa2, koa3 } from "./harness/koa.ts";
import { node } from "./harness/node.ts";

for (const harness of [node, express5, expressFour, fastify, koa3, koa2, fetchHandler, hono, h3])
  testBadRequests(harness);
