/** Runs worker.ts in workerd by miniflare, with the table in its D1; `wrangler dev` and `wrangler d1 migrations` do the same. */

import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { createTable } from "scs-session/sqlite";

const bundle = await build({
  entryPoints: ["worker.ts"],
  bundle: true,
  write: false,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  conditions: ["workerd"],
  external: ["node:*"],
});

const options = {
  modules: true,
  script: bundle.outputFiles[0].text,
  compatibilityDate: "2026-04-01",
  compatibilityFlags: ["nodejs_compat"], // AsyncLocalStorage, node:crypto
  d1Databases: { DB: "sessions" }, // in memory; with `d1Persist: "folder"` it outlives this process
  host: "127.0.0.1",
  cf: false, // nothing about the client's place, which miniflare would ask the internet for
};
const miniflare = new Miniflare(options);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => miniflare.dispose());
}

// The table first, on a port that nobody knows.
const database = await miniflare.getD1Database("DB");
await database.exec(createTable);
await miniflare.setOptions({ ...options, port: Number(process.env.PORT ?? 3000) });
console.log(`Listening on ${await miniflare.ready}`);
