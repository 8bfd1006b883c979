// The samples of the documentation: where they are, and how they are brought to run.
import { fork, type ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = `${root}reports/samples`;

/**
 * What is done with a sample, as an HTML comment before it says:
 * - nothing said: it runs to its end,
 * - `<!-- sample: server -->`: it is started, and the transcript after it is played,
 * - `<!-- sample: fragment … -->`: it is only compiled, after the code in the comment, which declares what it stands on.
 */
export type SampleKind = "program" | "server" | "fragment";

export interface Sample {
  readonly kind: SampleKind;
  /** File and line, for messages. */
  readonly place: string;
  /** Where it has been written, with its context. */
  readonly file: string;
  /** How many lines of context precede it there. */
  readonly contextLines: number;
  /** What follows it as a transcript: commands, and what they printed. */
  readonly transcript: string;
}

export interface Command {
  readonly line: string;
  readonly output: string;
}

interface Block {
  readonly line: number;
  readonly kind: SampleKind;
  readonly context: string;
  readonly code: string;
  readonly transcript?: string | undefined;
}

/** The documents, as paths from the root. */
export const documents: readonly string[] = [
  "README.md",
  ...readdirSync(`${root}docs`).flatMap((name) => (name.endsWith(".md") ? `docs/${name}` : [])),
];

/** Writes every sample to a file of its own; `contexts` is what those in doc comments stand on, by source file. */
export function writeSamples(contexts: Readonly<Record<string, string>>): Sample[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const inDocuments = documents.flatMap((path) => blocksOf(read(path)).map((block) => write(path, block)));
  const inComments = sources().flatMap((path) =>
    blocksInComments(read(path)).map(({ line, code }) => {
      const context = contexts[path];
      if (context === undefined) throw new Error(`${path}:${line}: readme.test.ts has no context for this sample`);
      return write(path, { line, code, context, kind: "fragment" });
    }),
  );
  return [...inDocuments, ...inComments];
}

function write(path: string, { line, kind, context, code, transcript = "" }: Block): Sample {
  const file = `${folder}/${path.replaceAll("/", "-").replace(/\.\w+$/, "")}-${line}.ts`;
  writeFileSync(file, context + code);
  const contextLines = context.split("\n").length - 1;
  return { kind, place: `${path}:${line}`, file, contextLines, transcript };
}

function blocksOf(markdown: string): Block[] {
  const pattern =
    /(?:<!-- sample: (?<kind>\w+)\s*(?<context>[\s\S]*?)-->\n\n)?```ts\n(?<code>[\s\S]*?)```(?:\n\n(?!```|#|<!--).*)*(?:\n\n```console\n(?<transcript>\$ curl[\s\S]*?)```)?/g;
  return [...markdown.matchAll(pattern)].map(({ groups = {}, index }) => ({
    line: markdown.slice(0, markdown.indexOf("```ts", index)).split("\n").length,
    kind: (groups["kind"] as SampleKind | undefined) ?? "program",
    context: groups["context"] ?? "",
    code: groups["code"] ?? "",
    transcript: groups["transcript"],
  }));
}

function blocksInComments(source: string): { line: number; code: string }[] {
  return [...source.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)].map(({ 1: code = "", index }) => ({
    line: source.slice(0, index).split("\n").length,
    // "…" stands for code left out; in strings it may stay.
    code: code.replace(/^ *\* ?/gm, "").replaceAll("{ … }", "{}"),
  }));
}

/** The commands of a transcript, each with the output that follows it. */
export function commandsOf(transcript: string): Command[] {
  return transcript
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const end = text.indexOf("\n");
      return { line: text.slice(0, end), output: text.slice(end + 1).trimEnd() };
    });
}

/** The source files, as paths from the root. */
function sources(): string[] {
  return readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `src/${name.replaceAll("\\", "/")}`);
}

export function read(path: string): string {
  return readFileSync(root + path, "utf8");
}

/** Runs a sample in a process of its own. It finds the package in the sources. */
export function run(file: string): ChildProcess {
  const runner = fileURLToPath(new URL("run-sample.ts", import.meta.url));
  const env = { ...process.env, NODE_ENV: "development", TSX_TSCONFIG_PATH: `${root}tsconfig.json` };
  return fork(runner, [file], { cwd: root, execArgv: ["--import", "tsx"], env, silent: true });
}
