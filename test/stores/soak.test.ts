// A day in fast motion, in a process of its own on each store: memory stays flat, what expires goes, nothing is left, and it ends by itself.
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

/** What the process says in the end. */
interface Answer extends Record<"early" | "late" | "created" | "swept" | "calls", number> {
  readonly left: { readonly rows: number; readonly resources: string[] };
}

describe.each(backends)("24 hours on $kind", (backend) => {
  test(
    "leave memory flat, no expired rows, no timer and no connection, and the process ends by itself",
    { timeout: 120_000 },
    async () => {
      const script = fileURLToPath(new URL("soak.ts", import.meta.url));
      const flags = ["--expose-gc", "--unhandled-rejections=strict", "--import", "tsx"];
      const run = promisify(execFile)(process.execPath, [...flags, script, JSON.stringify(backend)], {
        timeout: 100_000,
      });
      const { stdout, stderr } = await run;
      const { early, late, left, created, swept, calls } = JSON.parse(stdout) as Answer;
      const grown = (late - early) / megabyte;
      console.log(
        `${backend.kind}: ${created} logins and ${calls} calls in 24 hours, ${swept} sessions swept, ${left.rows} left; ` +
          `the heap grew by ${grown.toFixed(2)} MB in the last 16`,
      );
      expect({ resources: left.resources, stderr }).toEqual({ resources: [], stderr: "" });
      // Sessions last two hours at most; Redis removes them by itself.
      expect(left.rows).toBeLessThan(created / 4);
      if (backend.kind !== "redis") expect(swept).toBeGreaterThan(created / 4);
      expect(grown).toBeLessThan(1);
    },
  );
});
