// The byte budget: the core, bundled, minified and gzipped, without devalue and Node's own modules.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What the design asks for, which was written before the guarantees were built: the core is twice that, and printed against it. */
const GOAL = 10 * 1024;
/** Where the core is held: it may not grow unnoticed. */
const BUDGET = 21 * 1024;

const { outputFiles, metafile } = await build({
  absWorkingDir: new URL("../..", import.meta.url).pathname,
  entryPoints: ["dist/index.js"],
  external: ["devalue", "node:*"],
  platform: "node",
  format: "esm",
  target: "es2022",
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: "reports",
});
const [bundle] = outputFiles;
const [output] = Object.values(metafile.outputs);
if (bundle === undefined || output === undefined) throw new Error("esbuild gave no output");

const parts = Object.entries(output.inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
for (const [file, { bytesInOutput }] of parts) console.log(`${String(bytesInOutput).padStart(7)}  ${file}`);

const size = gzipSync(bundle.contents, { level: 9 }).length;
console.log(
  `check:size: ${bundle.contents.length} bytes minified, ${size} bytes gzipped, budget ${BUDGET}, goal ${GOAL}`,
);
if (size > BUDGET) {
  console.error(`check:size: over the budget by ${size - BUDGET} bytes`);
  process.exit(1);
}
