// Compiles the type tests without their "@ts-expect-error" lines: each must hide the error that it names, and nothing else.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}test/types/`;
const files = readdirSync(folder).map((name) => folder + name);
const directive = /^\s*\/\/ @ts-expect-error (\d+) \S.*$/;

test("every expected error of the type tests is the one that the compiler finds", { timeout: 60_000 }, () => {
  const expected: string[] = [];
  for (const file of files) {
    const lines = readFileSync(file, "utf8").split("\n");
    for (const [i, line] of lines.entries()) {
      const [, code] = directive.exec(line) ?? [];
      if (line.includes("// @ts-")) expect(code, `${file}:${i + 1} names its error`).toBeDefined();
      if (code !== undefined) expected.push(`${file.slice(root.length)}:${i + 2} TS${code}`);
    }
  }
  expect(expected.length).toBeGreaterThan(80);

  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path)) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  options.skipLibCheck = true; // `npm run typecheck` looks at these
  const host = ts.createCompilerHost(options);
  const readFile = host.readFile.bind(host);
  host.readFile = (path) => {
    const text = readFile(path);
    return files.includes(path) ? text?.replaceAll("// @ts-expect-error", "// error") : text;
  };
  const program = ts.createProgram(files, options, host);
  const found = ts.getPreEmitDiagnostics(program).map(({ file, start, code }) => {
    const { line } = file!.getLineAndCharacterOfPosition(start!);
    return `${file!.fileName.slice(root.length)}:${line + 1} TS${code}`;
  });
  expect([...new Set(found)].sort()).toStrictEqual(expected.sort());
});
