/** Every adapter refuses options that it does not have. */

import { SessionManager } from "scs-session";
import * as express from "scs-session/express";
import * as fastify from "scs-session/fastify";
import * as fetch from "scs-session/fetch";
import * as h3 from "scs-session/h3";
import * as hono from "scs-session/hono";
import * as koa from "scs-session/koa";
import { MemoryStore } from "scs-session/memory";
import * as next from "scs-session/next";
import * as node from "scs-session/node";
import * as sveltekit from "scs-session/sveltekit";
import { expect, test } from "vitest";

const handler = (): Response => new Response();
const adapters = {
  express: [express, []],
  fastify: [fastify, []],
  fetch: [fetch, [handler]],
  h3: [h3, []],
  hono: [hono, []],
  koa: [koa, []],
  next: [next, [handler]],
  "node around a handler": [node, [handler]],
  "node as middleware": [node, []],
  sveltekit: [sveltekit, []],
} as const;

test.each(Object.entries(adapters))("%s", (name, [adapter, before]) => {
  const loadAndSave = adapter.loadAndSave as unknown as (...args: unknown[]) => unknown;
  const sessions = new SessionManager({ store: new MemoryStore() });
  const known = ["skip", ...(/fetch|next/.test(name) ? [] : ["property"]), ...(/fetch|next|node|kit/.test(name) ? ["onError"] : [])]; // prettier-ignore
  const mount = (options: object) => () => loadAndSave(sessions, ...before, options);
  expect(mount(Object.fromEntries(known.map((option) => [option, undefined])))).not.toThrow();
  const refusal = { code: "invalid-option", message: expect.stringMatching(`^skipp is no .*scs-session/${name.split(" ")[0]!}, which has ${known.join(", ")}\\.`) as string }; // prettier-ignore
  expect(mount({ skipp: () => true })).toThrow(expect.objectContaining(refusal) as Error);
});
