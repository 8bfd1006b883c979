// Compiles the type tests without their "@ts-expect-error" lines: each must hide the error that it names, and nothing else.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}test/types/`;
const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => folder + name)
  .sort();
const directive = /^\s*\/\/ @ts-expect-error (\d+) \S.*$/;

/** The places of the expected errors in a file, and their numbers. */
function expectedIn(file: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((line, i) => {
    const [, code] = directive.exec(line) ?? [];
    if (line.includes("// @ts-")) expect(code, `${file}:${i + 1} names its error`).toBeDefined();
    return code === undefined ? [] : `${file.slice(root.length)}:${i + 2} TS${code}`;
  });
}

/** What the compiler finds in a program of some of the files. */
function foundIn(some: readonly string[]): string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path)) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  options.skipLibCheck = true; // `npm run typecheck` looks at these
  const host = ts.createCompilerHost(options);
  const readFile = host.readFile.bind(host);
  host.readFile = (path) => {
    const text = readFile(path);
    return some.includes(path) ? text?.replaceAll("// @ts-expect-error", "// error") : text;
  };
  const program = ts.createProgram(some, options, host);
  const found = ts.getPreEmitDiagnostics(program).map(({ file, start, code }) => {
    const { line } = file!.getLineAndCharacterOfPosition(start!);
    return `${file!.fileName.slice(root.length)}:${line + 1} TS${code}`;
  });
  return [...new Set(found)].sort();
}

// Other session libraries merge declarations into those of the frameworks.
const others = [`${folder}others.ts`, `${folder}others.wrong.ts`];

test.each([
  ["", files],
  [", without the types of other session libraries, too", files.filter((file) => !others.includes(file))],
])("every expected error of the type tests is the one that the compiler finds%s", { timeout: 120_000 }, (_, some) => {
  const expected = some.flatMap(expectedIn);
  expect(expected.length).toBeGreaterThan(80);
  expect(foundIn(some)).toStrictEqual(expected.sort());
});

test("each adapter has a file of types that compiles, and one in which every statement is refused", () => {
  const adapters = Object.values(manifest.exports)
    .map((target) => /^\.\/dist\/adapters\/(.*)\.js$/.exec(typeof target === "string" ? target : target.default)?.[1])
    .filter((name) => name !== undefined);
  expect(adapters.length).toBeGreaterThan(4);
  for (const name of adapters) {
    expect(expectedIn(`${folder}adapters/${name}.ts`), name).toStrictEqual([]);
    expect(expectedIn(`${folder}adapters/${name}.wrong.ts`).length, name).toBeGreaterThan(2);
  }
});
