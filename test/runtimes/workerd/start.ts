/** Starts workerd by miniflare, with two instances of the worker over one database. */

import { build } from "esbuild";
import { fileURLToPath } from "node:url";

/** As much of miniflare, whose package is in a folder of its own, as is used here. */
interface Miniflare {
  readonly ready: Promise<URL>;
  unsafeGetDirectURL(worker: string): Promise<URL>;
  dispose(): Promise<void>;
}

/** Workers that run. */
export interface Workers {
  /** The addresses of both: what the worker does besides the contracts is below a path that these do not use. */
  readonly urls: readonly [string, string];
  close(): Promise<void>;
}

/** `modules` is the folder with miniflare. */
export async function startWorkers(modules: string): Promise<Workers> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("worker.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd"],
    external: ["node:*"],
  });
  const worker = {
    modules: true,
    script: outputFiles[0]?.text,
    compatibilityDate: "2026-04-01",
    compatibilityFlags: ["nodejs_compat"],
    d1Databases: { DB: "sessions" },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
  const { Miniflare } = (await import(`${modules}miniflare/dist/src/index.js`)) as {
    Miniflare: new (options: object) => Miniflare;
  };
  const workers = ["a", "b"].map((name) => ({ ...worker, name }));
  const miniflare = new Miniflare({ host: "127.0.0.1", port: 0, cf: false, workers });
  try {
    await miniflare.ready;
    const [a = "", b = ""] = await Promise.all(
      workers.map(async ({ name }) => (await miniflare.unsafeGetDirectURL(name)).origin),
    );
    return { urls: [`${a}/worker`, `${b}/worker`], close: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
