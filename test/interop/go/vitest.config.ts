// Runs what needs a program in Go: `npm run test:go`.
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.ts";

export default defineConfig({
  ...base,
  test: { ...base.test, include: ["test/interop/go/*.check.ts"], outputFile: { json: "reports/test-go.json" } },
});
