import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["**/dist", "coverage", "reports", "**/.next*"]),
  // These have packages, and options of a compiler, of their own.
  globalIgnores(
    ["astro", "elysia", "nest", "next", "react-router", "remix", "sveltekit"].map((name) => `examples/${name}`),
  ),
  globalIgnores(["test/adapters/next-app"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      // An async method without await still turns a throw into a rejection, which the Store contract asks for.
      "@typescript-eslint/require-await": "off",
      // `() => emit()` reads better than a block.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // Numbers print as one expects; everything else has to be converted visibly.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Retry loops are `while (true)` with a return inside.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // What was caught is passed on as it is.
      "@typescript-eslint/prefer-promise-reject-errors": ["error", { allowThrowingUnknown: true }],
      // A leading underscore says "required by the signature, not used".
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      // The core runs on Workers, Deno and Bun: bytes are Uint8Array.
      "no-restricted-globals": ["error", { name: "Buffer", message: "Use Uint8Array." }],
      "no-restricted-imports": ["error", { paths: [{ name: "node:buffer", message: "Use Uint8Array." }] }],
      "no-console": "error",
    },
  },
  {
    // Stores run where their drivers do. The codec takes bytes from Buffer's pool, where TextEncoder would allocate each time:
    // that is six times as fast, and all runtimes have it.
    files: ["src/stores/**/*.ts", "src/codec.ts"],
    rules: { "no-restricted-imports": "off" },
  },
  {
    files: ["test/**/*.ts", "examples/**/*.ts", "bench/**/*.ts"],
    rules: {
      // Fakes and stubs are empty on purpose.
      "@typescript-eslint/no-empty-function": "off",
      // A wrong `!` fails the test it stands in.
      "@typescript-eslint/no-non-null-assertion": "off",
      // Methods are looked at, not called: `expect(response.end).toBe(end)`.
      "@typescript-eslint/unbound-method": "off",
    },
  },
  {
    // What the compiler is to refuse is no better in the eyes of the linter.
    files: ["test/types/**/*.wrong.ts"],
    rules: {
      "@typescript-eslint/no-misused-promises": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  {
    // Plain JavaScript (this file, consumers of the built package) is in no TypeScript project.
    files: ["**/*.{js,mjs,cjs}"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        console: "readonly",
        process: "readonly",
        performance: "readonly",
        URL: "readonly",
        URLSearchParams: "readonly",
        Buffer: "readonly",
        Response: "readonly",
        fetch: "readonly",
      },
    },
  },
);
