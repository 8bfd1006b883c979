// Runs the tests against the sources: the package's public names are aliases of src/.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import manifest from "../package.json" with { type: "json" };
import { ContractTable } from "./adapters/harness/contract-table.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const alias = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === "string"
    ? []
    : {
        find: new RegExp(`^${manifest.name}${subpath.slice(1)}$`),
        replacement: root + target.default.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts"),
      },
);

export default defineConfig({
  root,
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000, // machines are shared; what hangs is found all the same
    hookTimeout: 120_000,
    globalSetup: "test/servers/index.ts",
    reporters: ["default", "json", new ContractTable()],
    outputFile: { json: "reports/test.json" },
    coverage: { provider: "v8", include: ["src/**/*.ts"], reportsDirectory: "coverage" },
  },
});
