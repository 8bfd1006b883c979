// A day in fast motion, in a process of its own on each store: memory stays flat, nothing is left, and it ends by itself.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { addressOf } from "../servers/shared.ts";
import type { Backend } from "./backends.ts";
import { newPrefix, newTable } from "./names.ts";

const [postgres, mysql, redis] = await Promise.all([addressOf("postgres"), addressOf("mysql"), addressOf("redis")]);
const folder = await mkdtemp(join(tmpdir(), "scs-session-"));
afterAll(() => rm(folder, { recursive: true }));

const backends: Backend[] = [
  { kind: "sqlite", at: [join(folder, "sessions.db")], name: newTable() },
  ...(postgres === undefined ? [] : [{ kind: "postgres" as const, at: [postgres], name: newTable() }]),
  ...(mysql === undefined ? [] : [{ kind: "mysql" as const, at: [mysql], name: newTable() }]),
  ...(redis === undefined ? [] : [{ kind: "redis" as const, at: [redis], name: newPrefix() }]),
];

const megabyte = 1_048_576;

describe.each(backends)("24 hours on $kind", (backend) => {
  test(
    "leave memory flat, no timer and no connection, and the process ends by itself",
    { timeout: 120_000 },
    async () => {
      const script = fileURLToPath(new URL("soak.ts", import.meta.url));
      const flags = ["--expose-gc", "--unhandled-rejections=strict", "--import", "tsx"];
      const run = promisify(execFile)(process.execPath, [...flags, script, JSON.stringify(backend)], {
        timeout: 100_000,
      });
      const { stdout, stderr } = await run;
      const { early, late, left, calls } = JSON.parse(stdout) as Record<"early" | "late" | "calls", number> & {
        left: string[];
      };
      const grown = (late - early) / megabyte;
      console.log(
        `${backend.kind}: ${calls} calls in 24 hours, the heap grew by ${grown.toFixed(2)} MB in the last 21`,
      );
      expect({ left, stderr }).toEqual({ left: [], stderr: "" });
      expect(grown).toBeLessThan(1);
    },
  );
});
