/**
 * What sessions add to the CPU time of a request: a bare node:http server and one with sessions in memory, each a process
 * of its own, measured in turns within one run. `npm run bench -- --rounds 15 --requests 20000`
 */

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { load } from "./load.ts";

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

interface Server {
  readonly process: ChildProcess;
  readonly port: number;
}

async function start(kind: string): Promise<Server> {
  const server = fork(new URL("./server.js", import.meta.url), [kind], { execArgv: [] });
  const [message] = (await once(server, "message")) as [{ port: number }];
  return { process: server, port: message.port };
}

/** Microseconds of CPU time for one request. */
async function measure(server: Server, path: string, cookie: string, count: number): Promise<number> {
  const before = await cpuTime(server);
  await load(server.port, path, cookie, count);
  return ((await cpuTime(server)) - before) / count;
}

async function cpuTime({ process }: Server): Promise<number> {
  process.send("cpu");
  const [message] = (await once(process, "message")) as [{ cpu: number }];
  return message.cpu;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const bare = await start("bare");
const sessions = await start("sessions");
const response = await fetch(`http://127.0.0.1:${sessions.port}/start`);
const session = response.headers.get("set-cookie")?.split(";", 1)[0] ?? "";

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
bare.process.disconnect();
sessions.process.disconnect();

console.log(`Node ${process.version}, ${rounds} rounds of ${requests} requests, 16 connections, memory store`);
console.log(`bare node:http server: ${median(plain).toFixed(1)} us of CPU time per request (median)`);
console.table(
  scenarios.map(({ name, budget }) => {
    const all = added[name] ?? [];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return {
      scenario: name,
      "added, us (median)": Number(median(all).toFixed(1)),
      "lowest to highest": `${low.toFixed(1)} to ${high.toFixed(1)}`,
      "budget, us": budget,
    };
  }),
);
