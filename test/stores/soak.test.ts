// A day in fast motion, in a process of its own on each store: memory stays flat, what expires goes, nothing is left, and it ends by itself.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { allBackends, isRedis } from "./all-backends.ts";

const megabyte = 1_048_576;

/** What the process says in the end. */
interface Answer extends Record<"early" | "late" | "created" | "swept" | "calls", number> {
  readonly left: { readonly rows: number; readonly resources: string[] };
}

// Three at a time: a day takes ten seconds, half of which it waits.
vi.setConfig({ maxConcurrency: 3 });
describe.concurrent.each(await allBackends())("24 hours on $on", (backend) => {
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
        `${backend.on}: ${created} logins and ${calls} calls in 24 hours, ${swept} sessions swept, ${left.rows} left; ` +
          `the heap grew by ${grown.toFixed(2)} MB in the last 16`,
      );
      expect({ resources: left.resources, stderr }).toEqual({ resources: [], stderr: "" });
      // Sessions last two hours at most; Redis removes them by itself.
      expect(left.rows).toBeLessThan(created / 4);
      if (!isRedis(backend)) expect(swept).toBeGreaterThan(created / 4);
      expect(grown).toBeLessThan(1);
    },
  );
});
