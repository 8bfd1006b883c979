/**
 * What sessions add to the CPU time of a request: a bare node:http server and one with sessions in memory, each a process
 * of its own, measured in turns within one run. `npm run bench:overhead -- --rounds 15 --requests 20000`
 */

import { parseArgs } from "node:util";
import { login } from "./client.ts";
import type { Contender } from "./contenders.ts";
import { install } from "./install.ts";
import { load } from "./load.ts";
import { start, type Running } from "./process.ts";
import { spreadOf } from "./results.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "11" },
    requests: { type: "string", default: "20000" },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);

/** Section 7 of the design: microseconds of CPU time over the bare server. */
const scenarios = [
  { name: "anonymous", path: "/", hasCookie: false, budget: 2 },
  { name: "read", path: "/read", hasCookie: true, budget: 10 },
  { name: "write", path: "/write", hasCookie: true, budget: 20 },
] as const;

async function run(contender: Contender): Promise<Running> {
  const server = await start(contender, { variant: "plain" });
  if (typeof server === "string") throw new Error(server);
  return server;
}

/** Microseconds of CPU time for one request. */
async function measure(server: Running, path: string, cookie: string, total: number): Promise<number> {
  const before = await server.usage();
  const { failure } = await load({ port: server.port, paths: [path], cookies: [cookie], total });
  if (failure !== undefined) throw new Error(failure);
  return ((await server.usage()).cpu - before.cpu) / total;
}

install();
const onNode = { framework: "node", lacks: [] } as const;
const ours: Contender = { ...onNode, name: "scs-session", store: "memory", role: "ours" };
const bare = await run({ ...onNode, name: "bare", store: "none", role: "bare" });
const sessions = await run(ours);
const [session = ""] = await login(ours, sessions.port, { sessions: 1 });

const added: Record<string, number[]> = {};
const plain: number[] = [];
for (let round = -1; round < rounds; round++) {
  for (const { name, path, hasCookie } of scenarios) {
    const cookie = hasCookie ? session : "";
    // The bare server parses the same request.
    const without = await measure(bare, path, cookie, requests);
    const withSessions = await measure(sessions, path, cookie, requests);
    if (round < 0) continue; // warming up
    plain.push(without);
    (added[name] ??= []).push(withSessions - without);
  }
  if (process.stdout.isTTY) process.stdout.write(`\rround ${round + 1} of ${rounds} `);
}
if (process.stdout.isTTY) process.stdout.write("\r");
await bare.stop();
await sessions.stop();

console.log(`Node ${process.version}, ${rounds} rounds of ${requests} requests, 16 connections, memory store`);
console.log(`bare node:http server: ${spreadOf(plain).median.toFixed(1)} us of CPU time per request (median)`);
console.table(
  scenarios.map(({ name, budget }) => {
    const { median, low, high } = spreadOf(added[name] ?? []);
    return {
      scenario: name,
      "added, us (median)": Number(median.toFixed(1)),
      "lowest to highest": `${low.toFixed(1)} to ${high.toFixed(1)}`,
      "budget, us": budget,
    };
  }),
);
process.exit(); // connections of fetch would keep it for a while
