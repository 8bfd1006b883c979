/** How much memory a live session takes, in a process of its own for each contender with a store in memory. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface MemoryUse {
  readonly name: string;
  readonly sessions: number;
  /** Of the heap and beside it, for each session. */
  readonly bytes: number;
  /** Of the whole process. */
  readonly resident: number;
}

export const memoryContenders: readonly string[] = [
  "scs-session",
  "express-session",
  "@fastify/session",
  "hono-sessions",
  "@remix-run/session",
];

export async function measureMemory(name: string, sessions: number): Promise<MemoryUse> {
  const program = fileURLToPath(new URL("contenders/memory.js", import.meta.url));
  const args = ["--expose-gc", "--max-old-space-size=8192", program, name, String(sessions)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 180_000 });
  return JSON.parse(stdout) as MemoryUse;
}
