// What holds the parts of the package together, and apart: imports, entry points, names, defaults, comments.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import * as publicNames from "scs-session";
import manifest from "../package.json" with { type: "json" };
import { attachDefaults } from "../src/attachment.ts";
import { cookieDefaults } from "../src/cookie.ts";
import { defaults } from "../src/options.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => `src/${path}`)
  .sort();
const parsed = new Map(
  sources.map((path) => [path, ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2022, true)]),
);

interface Import {
  readonly from: string;
  readonly to: string;
  /** Whether it is erased. */
  readonly typesOnly: boolean;
}

/** Everything that a file takes from another, dynamic imports included. */
function importsOf(path: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typesOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return;
    const { text } = specifier;
    found.push({ from: path, to: text.startsWith(".") ? join(dirname(path), text) : text, typesOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const { importClause: clause } = node;
      const named = clause?.namedBindings;
      const each =
        named !== undefined && ts.isNamedImports(named) && named.elements.every(({ isTypeOnly }) => isTypeOnly);
      const onlyNamed = each && named.elements.length > 0 && clause?.name === undefined;
      add(node.moduleSpecifier, clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || onlyNamed);
    } else if (ts.isExportDeclaration(node)) {
      const named = node.exportClause;
      const each =
        named !== undefined && ts.isNamedExports(named) && named.elements.every(({ isTypeOnly }) => isTypeOnly);
      add(node.moduleSpecifier, node.isTypeOnly || each);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(parsed.get(path)!);
  return found;
}

const imports = sources.flatMap(importsOf);
const layerOf = (path: string): string =>
  /^src\/(?:([a-z]+)\/)?/.exec(path)?.[1] ?? (path.startsWith("src/") ? "core" : "outside");
const show = ({ from, to, typesOnly }: Import): string => `${from} → ${typesOnly ? "types of " : ""}${to}`;

/** What each layer may take of the others. Types only where it says so; what is not listed is forbidden. */
const allowed: Record<string, (taken: Import) => boolean> = {
  core: ({ from, to }) =>
    layerOf(to) === "core" || (to === "src/stores/memory.ts" && /^src\/(options|index)\.ts$/.test(from)),
  adapters: ({ to }) => ["core", "adapters"].includes(layerOf(to)),
  stores: ({ to, typesOnly }) =>
    layerOf(to) === "stores" || (layerOf(to) === "core" && (typesOnly || /^src\/(errors|clock)\.ts$/.test(to))),
  codecs: ({ to, typesOnly }) =>
    layerOf(to) === "codecs" || (layerOf(to) === "core" && (typesOnly || /^src\/(errors|codec)\.ts$/.test(to))),
  testing: ({ to, typesOnly }) =>
    layerOf(to) === "testing" ||
    (layerOf(to) === "core" && (typesOnly || /^src\/(duration|errors|manager|transport)\.ts$/.test(to))) ||
    to === "src/stores/memory.ts",
};

/** Packages of the core; of the other layers: what their environment has, and types of their frameworks. Next's requests are had by import only. */
const coreModules = ["node:crypto", "node:async_hooks", "node:diagnostics_channel", "node:buffer", "devalue", "cookie"];
const runtimeModules: Record<string, readonly string[]> = {
  "src/adapters/h3.ts": ["h3"], // imported once the first request comes
  "src/adapters/hold.ts": ["node:async_hooks"],
  "src/adapters/next-action.ts": ["next/headers.js"],
  "src/adapters/node.ts": ["node:http"],
  "src/stores/memory.ts": ["node:buffer"],
  "src/stores/redis.ts": ["node:buffer"],
  "src/stores/redis-scripts.ts": ["node:crypto"],
  "src/stores/redis-client.ts": ["node:buffer"],
  "src/stores/sql.ts": ["node:buffer"],
  "src/stores/sql-dialect.ts": ["node:buffer"],
  "src/stores/sql-finder.ts": ["node:async_hooks"],
};

describe("imports", () => {
  test("are found at all", () => {
    expect(imports.map(show)).toEqual(
      expect.arrayContaining([
        "src/options.ts → src/stores/memory.ts",
        "src/cookie.ts → types of src/transport.ts",
        "src/stores/memory.ts → types of src/store.ts",
        "src/adapters/hold.ts → node:async_hooks",
        "src/values.ts → devalue",
      ]),
    );
    expect(new Set(imports.map(({ from }) => from)).size).toBeGreaterThan(25);
  });

  test("only go down: adapters, stores and testing stand on the core, not on one another", () => {
    const inside = imports.filter(({ to }) => to.startsWith("src/"));
    for (const taken of inside) expect(sources, show(taken)).toContain(taken.to);
    expect(Object.keys(allowed)).toEqual(expect.arrayContaining([...new Set(sources.map(layerOf))]));
    const forbidden = inside.filter((taken) => allowed[layerOf(taken.from)]?.(taken) !== true);
    expect(forbidden.map(show)).toStrictEqual([]);
  });

  test("of the core are Node modules that all runtimes have, and the two dependencies", () => {
    const others = imports.filter(
      ({ from, to }) => layerOf(from) === "core" && !to.startsWith("src/") && !coreModules.includes(to),
    );
    expect(others.map(show)).toStrictEqual([]);
  });

  test("of the other layers run no package, and only the modules of their environment that they are known for", () => {
    const others = imports.filter(
      ({ from, to, typesOnly }) =>
        layerOf(from) !== "core" && !to.startsWith("src/") && !typesOnly && runtimeModules[from]?.includes(to) !== true,
    );
    expect(others.map(show)).toStrictEqual([]);
  });

  test("of values have no cycle", () => {
    const next = (path: string) =>
      imports.filter(({ from, to, typesOnly }) => from === path && !typesOnly && to.startsWith("src/"));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
      if (done.has(path) || trail.includes(path)) return;
      for (const { to } of next(path)) visit(to, [...trail, path]);
      done.add(path);
    };
    for (const path of sources) visit(path, []);
    expect(cycles).toStrictEqual([]);
  });
});

const entries = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === "string" ? [] : [{ subpath, ...target }],
);
const sourceOf = (target: string): string => target.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts");

describe("the package", () => {
  /** What several adapters or stores share has no entry of its own. */
  const privateFiles = [
    ...["src/adapters/head.ts", "src/adapters/hold.ts", "src/adapters/serve.ts", "src/adapters/respond.ts"],
    "src/adapters/veil.ts",
    "src/adapters/h3-module.d.ts",
    ...["src/adapters/next-action.ts", "src/adapters/next-digest.ts", "src/adapters/next-headers.d.ts"],
    ...["src/stores/redis-client.ts", "src/stores/redis-push.ts", "src/stores/postgres-push.ts", "src/stores/sql.ts"],
    "src/stores/redis-scripts.ts",
    ...["src/stores/sql-dialect.ts", "src/stores/sql-finder.ts", "src/stores/sql-migration.ts", "src/stores/abort.ts"],
  ];

  test("has a source for each entry, and an entry for each adapter, store and codec", () => {
    const reached = entries.map((entry) => sourceOf(entry.default)).sort();
    const inLayers = sources.filter((path) => /^src\/(adapters|stores|codecs)\//.test(path));
    for (const path of privateFiles) expect(sources).toContain(path);
    const wanted = [...inLayers.filter((path) => !privateFiles.includes(path)), "src/index.ts", "src/testing/index.ts"];
    expect(reached).toStrictEqual(wanted.sort());
    for (const entry of entries) expect(entry.types).toBe(entry.default.replace(/\.js$/, ".d.ts"));
  });

  test("names each entry after its file", () => {
    for (const { subpath, default: target } of entries) {
      const name = /\/([a-z0-9-]+)(?:\/index)?\.js$/.exec(target)?.[1];
      expect(subpath).toBe(target === "./dist/index.js" ? "." : `./${name}`);
    }
  });

  test("is found under its public names by the compiler, too", () => {
    const { paths } = (ts.parseConfigFileTextToJson("tsconfig.json", read("tsconfig.json")).config as { compilerOptions: { paths: Record<string, string[]> } }).compilerOptions; // prettier-ignore
    const expected = entries.map(({ subpath, default: target }) => [
      manifest.name + subpath.slice(1),
      [`./${sourceOf(target)}`],
    ]);
    expect(paths).toStrictEqual(Object.fromEntries(expected));
  });

  test("depends on devalue and cookie, and on nothing else", () => {
    expect(Object.keys(manifest.dependencies).sort()).toStrictEqual(["cookie", "devalue"]);
    const optional = Object.entries(manifest.peerDependenciesMeta).filter(([, { optional }]) => optional);
    expect(optional.map(([name]) => name)).toStrictEqual(Object.keys(manifest.peerDependencies));
  });

  test("exports these values, and these types", () => {
    expect(Object.keys(publicNames).sort()).toStrictEqual([
      "MemoryStore",
      "SessionError",
      "SessionManager",
      "cookie",
      "defaultCodec",
      "header",
      "subscribe",
    ]);
    const names: string[] = [];
    for (const statement of parsed.get("src/index.ts")!.statements) {
      const clause = ts.isExportDeclaration(statement) ? statement.exportClause : undefined;
      if (clause === undefined || !ts.isNamedExports(clause))
        throw new Error(`not a list of names: ${statement.getText()}`);
      names.push(...clause.elements.map(({ name }) => name.text));
    }
    expect(names.sort()).toStrictEqual([
      "AttachOptions",
      "Attachment",
      "AttachmentEnd",
      "CallOptions",
      "Clock",
      "Codec",
      "CodecContext",
      "CommitResult",
      "CookieOptions",
      "Credential",
      "DeepReadonly",
      "Duration",
      "Exchange",
      "IncomingRequest",
      "KeyOf",
      "KeyOfType",
      "ListedSession",
      "LoadOptions",
      "MemoryStore",
      "MemoryStoreOptions",
      "OfSubject",
      "Origins",
      "ReadonlySession",
      "ReplaceAnswer",
      "ResponseHeaders",
      "Session",
      "SessionError",
      "SessionErrorCode",
      "SessionEvent",
      "SessionManager",
      "SessionOf",
      "SessionOptions",
      "SessionRecord",
      "SessionStatus",
      "SessionToStore",
      "Store",
      "StoredSession",
      "Transport",
      "UpgradeRequest",
      "ValueOf",
      "cookie",
      "defaultCodec",
      "header",
      "subscribe",
    ]);
  });

  test("has a root that can be seen at a glance", () => {
    const tracked = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).trim().split("\n");
    const top = new Set(tracked.map((path) => path.split("/")[0]));
    expect(top.size).toBeGreaterThan(3);
    expect([...top].length, [...top].join(" ")).toBeLessThanOrEqual(14);
  });
});

describe("each source file", () => {
  test.each(sources)("%s begins with a sentence that says what it is", (path) => {
    const [first = "", second = ""] = read(path).split("\n");
    expect(first).toMatch(/^\/\*\*( |$)/);
    expect(first === "/**" ? second : first).toMatch(/^(\/\*\*| \*) [A-Z]/);
  });

  test.each(sources)("%s is short enough to be read", (path) => {
    expect(read(path).split("\n").length - 1).toBeLessThanOrEqual(400);
  });

  test("of an adapter has about 80 lines of code, or what is shared is in the wrong place", () => {
    const adapters = entries.map((entry) => sourceOf(entry.default)).filter((path) => path.startsWith("src/adapters/"));
    expect(adapters.length).toBeGreaterThan(7);
    const long = adapters
      .map((path) => `${path}: ${codeLinesOf(path)}`)
      .filter((line) => Number(line.split(" ")[1]) > 85);
    expect(long).toStrictEqual([]);
    expect(codeLinesOf("src/adapters/express.ts")).toBe(30);
  });

  /** How many lines there are but for comments and empty ones. */
  function codeLinesOf(path: string): number {
    const file = parsed.get(path)!;
    const lineOf = (position: number): number => file.getLineAndCharacterOfPosition(position).line;
    const lines = new Set<number>();
    const visit = (node: ts.Node): void => {
      if (ts.isJSDoc(node)) return;
      const children = node.getChildren();
      for (const child of children) visit(child);
      if (children.length > 0 || node.getWidth() === 0) return;
      for (let line = lineOf(node.getStart()); line <= lineOf(node.getEnd()); line++) lines.add(line);
    };
    visit(file);
    return lines.size;
  }

  test("names no path of the machine it was written on", () => {
    const tracked = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" });
    const pattern = new RegExp(
      ["work", "root", "home/[a-z]+"].map((name) => `(^|[\\s"'\`(=:])/${name}/`).join("|"),
      "m",
    );
    expect(pattern.test(["see ", "work", "main"].join("/"))).toBe(true);
    const naming = tracked.trim().split("\n").filter((path) => /\.(ts|js|mjs|json|md|yml|sh)$/.test(path) && pattern.test(tryRead(path))); // prettier-ignore
    expect(naming).toStrictEqual([]);
  });

  /** Others may be moving files while this runs. */
  function tryRead(path: string): string {
    try {
      return read(path);
    } catch {
      return "";
    }
  }
});

describe("doc comments", () => {
  const commentOf = (node: ts.Node): string | undefined => {
    const [comment] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
    return comment && ts.getTextOfJSDocComment(comment.comment);
  };

  test("stand on every exported name", () => {
    const commented = new Map<string, boolean>();
    for (const [path, file] of parsed) {
      for (const statement of file.statements) {
        const exported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true; // prettier-ignore
        if (!exported) continue;
        const named = ts.isVariableStatement(statement) ? statement.declarationList.declarations[0] : statement;
        const name = `${path}: ${ts.getNameOfDeclaration(named as ts.Declaration)?.getText() ?? "?"}`;
        // Of several overloads one is enough.
        commented.set(name, commented.get(name) === true || (commentOf(statement) ?? "") !== "");
      }
    }
    expect(commented.size).toBeGreaterThan(80);
    expect([...commented.keys()].filter((name) => commented.get(name) !== true)).toStrictEqual([]);
  });

  test("stand on every option, and @default says what the code does", () => {
    const cases: [file: string, name: string, actual: Record<string, unknown>][] = [
      ["src/options.ts", "SessionOptions", defaults],
      ["src/attachment.ts", "AttachOptions", attachDefaults],
      ["src/cookie.ts", "CookieOptions", cookieDefaults],
    ];
    for (const [path, name, actual] of cases) {
      const options = membersOf(path, name);
      const said = options.filter((member) => defaultOf(member) !== undefined);
      const told = Object.fromEntries(said.map((member) => [member.name.getText(), evaluate(defaultOf(member)!)]));
      expect(told).toStrictEqual({ ...actual });
      for (const member of options) expect(commentOf(member) ?? "", member.name.getText()).toMatch(/^[A-Z]/);
    }
    const memory = membersOf("src/stores/memory.ts", "MemoryStoreOptions");
    const [maxSessions, ...others] = memory.filter((member) => defaultOf(member) !== undefined);
    expect([maxSessions!.name.getText(), defaultOf(maxSessions!), others]).toStrictEqual([
      "maxSessions",
      "undefined",
      [],
    ]);
  });

  function membersOf(path: string, name: string): ts.PropertySignature[] {
    const declaration = parsed
      .get(path)!
      .statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name);
    const members = (declaration as ts.InterfaceDeclaration).members.filter(ts.isPropertySignature);
    expect(members.length).toBeGreaterThan(1);
    return members;
  }

  function defaultOf(member: ts.Node): string | undefined {
    const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === "default");
    return tag && (ts.getTextOfJSDocComment(tag.comment) ?? "");
  }

  function evaluate(text: string): unknown {
    return text === "undefined" ? undefined : (JSON.parse(text.replaceAll("_", "")) as unknown);
  }

  test("repeat no types in their tags", () => {
    const typed = sources.filter((path) => /^\s*\*\s+@(param|returns?|throws)\b/m.test(read(path)));
    expect(typed).toStrictEqual([]);
  });
});

test("the defaults are frozen", () => {
  expect([Object.isFrozen(defaults), Object.isFrozen(cookieDefaults), Object.isFrozen(attachDefaults)]).toStrictEqual([
    true,
    true,
    true,
  ]);
});
