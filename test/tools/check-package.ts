// Checks what is published: packs the package, installs the tarball, and uses it as its users would.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import manifest from "../../package.json" with { type: "json" };

const root = fileURLToPath(new URL("../..", import.meta.url));
const modules = join(root, "node_modules");
const work = mkdtempSync(join(tmpdir(), `${manifest.name}-`));

const code = Object.entries(manifest.exports).filter(([, target]) => typeof target !== "string");
const specifiers = code.map(([subpath]) => manifest.name + subpath.slice(1));

class CheckFailed extends Error {}

function run(what: string, cwd: string, command: string, ...args: string[]): string {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new CheckFailed(`${what} failed: ${command} ${args.join(" ")}\n${stdout}${stderr}`);
  }
}

const tool = (name: string, ...args: string[]) => run(name, root, join(modules, ".bin", name), ...args);

function done(message: string): void {
  console.log(`check:package: ${message}`);
}

/** Packs the package and checks the list of files; returns the tarball's path. */
function pack(): string {
  interface Packed {
    filename: string;
    size: number;
    unpackedSize: number;
    files: { path: string }[];
  }
  const answer = JSON.parse(run("npm pack", root, "npm", "pack", "--json", "--pack-destination", work)) as unknown;
  const [packed] = Object.values(answer as Record<string, Packed>); // an array, or from npm 12 on an object
  if (packed === undefined) throw new CheckFailed("npm pack named no tarball");

  const paths = packed.files.map(({ path }) => path);
  const wanted = /^(dist\/.+\.(js|d\.ts)|docs\/[a-z-]+\.md|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
  const stray = paths.filter((path) => !wanted.test(path) || /\.test\.|\.map$/.test(path));
  if (stray.length > 0) throw new CheckFailed(`files that do not belong into the tarball: ${stray.join(", ")}`);

  const targets = code.flatMap(([, target]) => Object.values(target)).map((target: string) => target.slice(2));
  const missing = ["README.md", "CHANGELOG.md", "LICENSE", ...targets].filter((path) => !paths.includes(path));
  if (missing.length > 0) throw new CheckFailed(`missing in the tarball: ${missing.join(", ")}`);

  done(`tarball of ${paths.length} files, ${packed.size} bytes (${packed.unpackedSize} unpacked)`);
  return join(work, packed.filename);
}

/** Makes a project of the given flavour with nothing but the tarball installed; returns its folder. */
function project(type: "module" | "commonjs", tarball: string): string {
  const folder = join(work, type);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: `consumer-${type}`, private: true, type }));
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  run(`npm install (${type})`, folder, "npm", "install", "--prefix", folder, ...flags, tarball);
  return folder;
}

/** Loads every subpath in Node; returns the exported names of each, as JSON. */
function load(folder: string, type: "module" | "commonjs"): string {
  const each = specifiers.map((name) =>
    type === "module"
      ? `names[${JSON.stringify(name)}] = Object.keys(await import(${JSON.stringify(name)})).sort();`
      : `names[${JSON.stringify(name)}] = Object.keys(require(${JSON.stringify(name)})).sort();`,
  );
  writeFileSync(
    join(folder, "load.js"),
    `const names = {};\n${each.join("\n")}\nconsole.log(JSON.stringify(names));\n`,
  );
  const names = run(`loading (${type})`, folder, process.execPath, "load.js");
  for (const [name, exported] of Object.entries(JSON.parse(names) as Record<string, string[]>)) {
    if (exported.filter((key) => key !== "__esModule").length === 0) throw new CheckFailed(`${name} exports nothing`);
  }
  return names;
}

/** Compiles a strict TypeScript consumer of every subpath, declarations of the package included. */
function compile(folder: string, flavour: string, module: string, moduleResolution: string): void {
  const body = specifiers.map((name, index) => {
    const binding = `m${index}`;
    const line =
      flavour === "cjs" ? `import ${binding} = require("${name}");` : `import * as ${binding} from "${name}";`;
    return `${line}\nexport const names${index}: string[] = Object.keys(${binding});\n`;
  });
  writeFileSync(join(folder, `${flavour}.ts`), body.join(""));
  const compilerOptions = { module, moduleResolution, target: "es2022", lib: ["es2023"], types: ["node"] };
  const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
  const config = { compilerOptions: { ...compilerOptions, ...strict }, files: [`${flavour}.ts`] };
  writeFileSync(join(folder, `tsconfig.${flavour}.json`), JSON.stringify(config));
  run(`tsc (${flavour})`, folder, join(modules, ".bin", "tsc"), "-p", `tsconfig.${flavour}.json`);
  done(`TypeScript consumer, ${flavour}, moduleResolution ${moduleResolution}: compiles`);
}

try {
  const tarball = pack();
  const esm = project("module", tarball);
  const cjs = project("commonjs", tarball);
  done("installed in an ES module project and in a CommonJS project");

  const imported = load(esm, "module");
  if (load(cjs, "commonjs") !== imported) throw new CheckFailed("import and require see different names");
  done(`import and require load ${specifiers.length} subpaths with the same names`);

  // Types only, and only now: the package had to load without them, and without any framework.
  for (const folder of [esm, cjs]) {
    for (const name of ["@types", ...Object.keys(manifest.peerDependencies)]) {
      symlinkSync(join(modules, name), join(folder, "node_modules", name));
    }
  }
  compile(esm, "esm", "nodenext", "nodenext");
  compile(cjs, "cjs", "nodenext", "nodenext");
  compile(esm, "bundler", "esnext", "bundler");

  tool("publint", tarball, "--strict");
  done("publint --strict: no complaint");
  tool("attw", tarball, "--profile", "esm-only", "--no-definitely-typed");
  done("attw --profile esm-only: no problem");
} catch (error) {
  if (!(error instanceof CheckFailed)) throw error;
  console.error(`check:package: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
