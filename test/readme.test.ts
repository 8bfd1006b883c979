// The documentation tells the truth: its samples compile and run, its transcripts come from them, its tables match the code.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { dirname, join } from "node:path";
import { SessionError, type SessionErrorCode } from "scs-session";
import { CookieJar } from "tough-cookie";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { cookieDefaults } from "../src/cookie.ts";
import { defaults } from "../src/options.ts";
import { commandsOf, documents, read, root, run, writeSamples, type Sample } from "./tools/samples.ts";

const anySessions = `import { SessionManager } from "scs-session";
declare const sessions: SessionManager<{ userId: number }>;
`;

/** What the samples in doc comments stand on. */
const samples = writeSamples({
  "src/manager.ts": `import { SessionManager } from "scs-session";\ndeclare const manager: SessionManager<{ userId: number }>;\nimport type { IncomingMessage } from "node:http";\nimport type { WebSocket } from "ws";\ndeclare const request: IncomingMessage;\ndeclare const socket: WebSocket;\n`,
  "src/adapters/node.ts": `${anySessions}import { createServer } from "node:http";\nimport { loadAndSave } from "scs-session/node";\n`,
  "src/adapters/express.ts": `${anySessions}import express from "express";\nimport { loadAndSave } from "scs-session/express";\nconst app = express();\n`,
  "src/adapters/fastify.ts": `${anySessions}import Fastify from "fastify";\nimport { loadAndSave } from "scs-session/fastify";\nconst app = Fastify();\n`,
  "src/adapters/next.ts": `${anySessions}import { loadAndSave, readSession } from "scs-session/next";\ndeclare const cache: <T>(fn: () => T) => () => T;\n`,
  "src/adapters/fetch.ts": `${anySessions}import { loadAndSave } from "scs-session/fetch";\n`,
  "src/adapters/h3.ts": `${anySessions}import { H3 } from "h3";\nimport { loadAndSave } from "scs-session/h3";\nconst app = new H3();\n`,
  "src/adapters/hono.ts": `${anySessions}import { Hono } from "hono";\nimport { loadAndSave } from "scs-session/hono";\nconst app = new Hono();\n`,
  "src/adapters/koa.ts": `${anySessions}import Koa from "koa";\nimport { loadAndSave } from "scs-session/koa";\nconst app = new Koa();\n`,
  "src/adapters/sveltekit.ts": `${anySessions}import { loadAndSave } from "scs-session/sveltekit";\n`,
  "src/stores/postgres.ts": `import { Pool } from "pg";\nimport { PostgresStore } from "scs-session/postgres";\n`,
  "src/stores/mysql.ts": `import { createPool } from "mysql2/promise";\nimport { MySqlStore } from "scs-session/mysql";\n`,
  "src/stores/redis.ts": `import { createClient } from "redis";\nimport { RedisStore } from "scs-session/redis";\n`,
  "src/stores/sqlite.ts": `import Database from "libsql";\nimport { SqliteStore } from "scs-session/sqlite";\n`,
  "src/testing/sign-in.ts": `${anySessions}import { signIn } from "scs-session/testing";\ndeclare const url: string;\n`,
  "src/testing/adapter-contract/index.ts": `import { test } from "node:test";\nimport { adapterContract, type ContractApp, type ContractServer } from "scs-session/testing";\ndeclare const serve: (app: ContractApp) => Promise<ContractServer>;\n`,
  "src/testing/store-contract/index.ts": `import { test } from "node:test";\nimport { MemoryStore } from "scs-session";\nimport { storeContract } from "scs-session/testing";\n`,
});

test("every sample compiles under the project's strict settings", { timeout: 60_000 }, () => {
  expect(samples.length).toBeGreaterThan(10);
  expect(faultsOf(samples)).toEqual([]);
});

describe("programs run to their end:", () => {
  for (const { place, file } of samples.filter(({ kind }) => kind === "program")) {
    test(place, { timeout: 20_000 }, async () => {
      const child = run(file);
      let printed = "";
      for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (printed += String(chunk)));
      expect(await once(child, "exit"), printed).toEqual([0, null]);
    });
  }
});

describe("servers answer as their transcripts say:", () => {
  for (const { place, file, transcript } of samples.filter(({ kind }) => kind === "server")) {
    test(place, { timeout: 20_000 }, async () => {
      const child = run(file);
      try {
        const [port] = (await once(child, "message")) as [number];
        const commands = commandsOf(transcript);
        // Those without a transcript count visits.
        const visits = ["Visit 1", "Visit 2"].map((output) => ({ line: "curl -b jar http://localhost:3000/", output }));
        const browser = new Curl(port);
        for (const { line, output } of commands.length > 0 ? commands : visits) {
          expect(masked(await browser.run(line)), line).toBe(masked(output));
        }
      } finally {
        child.kill();
      }
    });
  }
});

test("the README names every option, with its default", () => {
  const options = read("README.md")
    .split("\n## ")
    .find((section) => section.startsWith("Options"))!;
  const written = [...options.matchAll(/^ +(\w+): ([^{\n]*?),( \/\/.*)?$/gm)].map(
    ([, name, value]) => `${name!}: ${value!}`,
  );
  const others = { subject: undefined, store: undefined, codec: undefined, transport: undefined, clock: undefined };
  const known = Object.entries({ ...defaults, ...cookieDefaults, ...others });
  const shown = (value: unknown) =>
    value === 1_000_000 ? "1_000_000" : value === undefined ? "undefined" : JSON.stringify(value);
  expect(written.sort()).toEqual(known.map(([name, value]) => `${name}: ${shown(value)}`).sort());
});

test("the README names every error code, with its status", () => {
  const rows = [...read("README.md").matchAll(/^\| `([a-z-]+)` +\| (\d{3}) +\|/gm)].map(([, code, status]) => [
    code,
    status,
  ]);
  const codes = [...read("src/errors.ts").matchAll(/^ \* - `([a-z-]+)`:/gm)].map(
    ([, code]) => code as SessionErrorCode,
  );
  expect(rows).toEqual(codes.map((code) => [code, String(new SessionError(code, "").status)]));
});

test("the README names every event", () => {
  const types = [...read("src/events.ts").matchAll(/type: ((?:"[a-z-]+"(?: \| )?)+)/g)].flatMap(([, list]) =>
    list!.replaceAll('"', "").split(" | "),
  );
  expect(types).toHaveLength(11);
  const section = read("README.md")
    .split("\n## ")
    .find((text) => text.startsWith("Events"));
  for (const type of types) expect(section).toContain(`\`${type}\``);
});

test("links between files lead somewhere", () => {
  const broken = [...documents, "CHANGELOG.md"].flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)]
      .map(([, target = ""]) => join(dirname(path), target))
      .filter((target) => !existsSync(root + target))
      .map((target) => `${path} -> ${target}`),
  );
  expect(broken).toEqual([]);
});

/** What the compiler says of the samples. Fragments and doc comments may leave unused what they declare. */
function faultsOf(samples: readonly Sample[]): string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path)) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const program = ts.createProgram(
    samples.map(({ file }) => file),
    options,
  );
  const unused = new Set([6133, 6192, 6196, 6198, 6199]);
  return samples.flatMap(({ place, file, kind, contextLines }) => {
    const source = program.getSourceFile(file)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      .filter(({ code }) => kind !== "fragment" || !unused.has(code))
      .map(({ start = 0, messageText }) => {
        const line = source.getLineAndCharacterOfPosition(start).line - contextLines;
        return `${place}, line ${line + 1} of the sample: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
      });
  });
}

/** As much of curl as the transcripts use, against another port. */
class Curl {
  readonly #jar = new CookieJar();
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async run(command: string): Promise<string> {
    const flags: string[] = command.match(/-[iL]\b|-[bcd] \S+/g) ?? [];
    const url = new URL(/http:\S+/.exec(command)![0]);
    const data = flags
      .find((flag) => flag.startsWith("-d"))
      ?.slice(3)
      .replaceAll("'", "");
    let { response, body } = await this.#send(url, data);
    while (flags.includes("-L") && response.headers.location !== undefined) {
      ({ response, body } = await this.#send(new URL(response.headers.location, url), undefined));
    }
    if (!flags.includes("-i")) return body.trimEnd();
    const { httpVersion, statusCode, statusMessage, rawHeaders } = response;
    const head = [`HTTP/${httpVersion} ${String(statusCode)} ${statusMessage ?? ""}`];
    for (let i = 0; i < rawHeaders.length; i += 2) head.push(`${rawHeaders[i]!}: ${rawHeaders[i + 1]!}`);
    return `${head.join("\n")}\n\n${body}`.trimEnd();
  }

  async #send(url: URL, data: string | undefined): Promise<{ response: IncomingMessage; body: string }> {
    const headers: Record<string, string> = { accept: "*/*", cookie: await this.#jar.getCookieString(url.href) };
    if (data !== undefined) headers["content-type"] = "application/x-www-form-urlencoded";
    const options = { port: this.#port, path: url.pathname, method: data === undefined ? "GET" : "POST", headers };
    const sent = request({ host: "127.0.0.1", ...options }).end(data);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    for (const cookie of response.headers["set-cookie"] ?? []) await this.#jar.setCookie(cookie, url.href);
    return { response, body: (await response.setEncoding("utf8").toArray()).join("") };
  }
}

/** Without what differs from run to run: tokens and dates. */
function masked(text: string): string {
  return text.replace(/[A-Za-z0-9_-]{43}/g, "<token>").replace(/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT/g, "<date>");
}
