// Every adapter, on every major version of its framework, passes the whole contract; harness/contract-table.ts prints the table.
import { readFileSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { ContractTable } from "./harness/contract-table.ts";
import { testContract } from "./harness/contract.ts";
import { express5, expressFour } from "./harness/express.ts";
import { fastify } from "./harness/fastify.ts";
import { fetchHandler } from "./harness/fetch.ts";
import { h3 } from "./harness/h3.ts";
import { hono } from "./harness/hono.ts";
import { koa2, koa3 } from "./harness/koa.ts";
import { next } from "./harness/next.ts";
import { node } from "./harness/node.ts";
import { sveltekit } from "./harness/sveltekit.ts";

const harnesses = [node, express5, expressFour, fastify, koa3, koa2, fetchHandler, hono, h3];
/** Those that have to be built first, and run the contract where that is done. */
const built = [
  { harness: next, call: "testContract(next)", file: "../examples/next.test.ts" },
  { harness: sveltekit, call: "testContract(sveltekit)", file: "../examples/sveltekit.test.ts" },
];

for (const harness of harnesses) testContract(harness);

test("the table has every adapter, on every major version of its framework that package.json names", () => {
  const adapters = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
    typeof target === "object" && target.default.startsWith("./dist/adapters/") ? [subpath.slice(2)] : [],
  );
  const ranges: Record<string, string> = { ...manifest.peerDependencies, sveltekit: "^2" };
  const columns = adapters.flatMap((adapter) => {
    const majors = [...(ranges[adapter] ?? "").matchAll(/\^(\d+)/g)].map(([, major]) => `${adapter} ${major}`);
    return majors.length > 0 ? majors : [adapter];
  });
  const named = [...harnesses, ...built.map(({ harness }) => harness)].map(({ name }) => name.toLowerCase());
  expect(named.sort()).toEqual(columns.map((column) => (column === "node" ? "node:http" : column)).sort());
  for (const { call, file } of built) {
    expect(readFileSync(new URL(file, import.meta.url), "utf8"), file).toContain(call);
  }
});

test("the results of several files make one table", () => {
  const file = (...tests: [adapter: string | undefined, name: string, state: string][]): unknown => ({
    children: {
      allTests: () => tests.map(([contract, name, state]) => ({ name, meta: () => ({ contract }), result: () => ({ state }) })),
    },
  }); // prettier-ignore
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  onTestFinished(() => log.mockRestore());
  new ContractTable().onTestRunEnd([
    file(["Two", "long case", "failed"], [undefined, "of no contract", "passed"]),
    file(["One", "case", "passed"], ["One", "long case", "skipped"]),
  ] as never);
  expect(log.mock.calls.join().trim().split("\n")).toEqual([
    "adapter contract  One      Two",
    "case              pass     n/a",
    "long case         skipped  FAIL",
  ]);
});
