// Every adapter, on every major version of its framework, passes the whole contract; one table tells it.
import { adapterContract } from "scs-session/testing";
import { afterAll, describe, test } from "vitest";
import { express5, expressFour } from "./harness/express.ts";
import { fastify } from "./harness/fastify.ts";
import { fetchHandler } from "./harness/fetch.ts";
import { h3 } from "./harness/h3.ts";
import { hono } from "./harness/hono.ts";
import { koa2, koa3 } from "./harness/koa.ts";
import { node } from "./harness/node.ts";
import type { Harness } from "./harness/tools.ts";

const harnesses: readonly Harness[] = [node, express5, expressFour, fastify, koa3, koa2, fetchHandler, hono, h3];

const all = adapterContract(() => Promise.reject(new Error("is only listed"))).map(({ name }) => name);
const results = new Map(harnesses.map(({ name }) => [name, new Map<string, string>()]));

describe.each(harnesses)("$name:", ({ name, serve, without }) => {
  for (const each of adapterContract(serve, without === undefined ? {} : { without })) {
    test(each.name, async () => {
      results.get(name)?.set(each.name, "FAIL");
      await each.run();
      results.get(name)?.set(each.name, "pass");
    });
  }
});

afterAll(() => {
  const widest = Math.max(...all.map((each) => each.length));
  const columns = [...results.keys()];
  const row = (first: string, cells: string[]): string =>
    `${first.padEnd(widest)}  ${cells.map((cell, i) => cell.padEnd(columns[i]?.length ?? 0)).join("  ")}`;
  const rows = all.map((each) => row(each, columns.map((name) => results.get(name)?.get(each) ?? "n/a"))); // prettier-ignore
  console.log([row("adapter contract", columns), ...rows].join("\n"));
});
