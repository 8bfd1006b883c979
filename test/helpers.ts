/** What the tests of the core share. */

import { execFile } from "node:child_process";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import {
  MemoryStore,
  SessionError,
  SessionManager,
  type Session,
  type SessionEvent,
  type SessionOptions,
  subscribe,
} from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { FaultyStore, TestClock } from "scs-session/testing";
import { onTestFinished } from "vitest";

let names = 0;

/** A cookie name that no other test of this process has: by it the events of a test are told apart. */
export function uniqueName(): string {
  return `session-${String(++names)}`;
}

/** The events of one manager, from now until the end of the test. */
export function eventsOf(name: string): SessionEvent[] {
  const events: SessionEvent[] = [];
  onTestFinished(
    subscribe((event) => {
      if (event.manager === name) events.push(event);
    }),
  );
  return events;
}

/** A manager on a memory store whose calls can be counted, held and made to fail, with a clock of its own. */
export function setup<Data extends object = Record<string, unknown>>(options: SessionOptions<Data> = {}) {
  const clock = new TestClock();
  const memory = new MemoryStore({ clock });
  const store = new FaultyStore(memory);
  const name = options.transport?.name ?? options.cookie?.name ?? uniqueName();
  const way = options.transport === undefined ? { cookie: { name, ...options.cookie } } : {};
  const sessions = new SessionManager<Data>({ clock, store, ...options, ...way });
  return { clock, memory, store, sessions, name, events: eventsOf(name) };
}

/** What a visitor sends. */
export interface Visit {
  readonly cookie?: string | undefined;
  readonly headers?: Record<string, string>;
  readonly url?: string;
}

/** One request through the fetch adapter; the answer is 200 "ok" unless `use` returns another. */
export async function visit<Data extends object>(
  sessions: SessionManager<Data>,
  use: (session: Session<Data>, request: Request) => unknown,
  { cookie, headers = {}, url = "http://localhost/" }: Visit = {},
): Promise<Response> {
  const handler = loadAndSave(sessions, async (request) => {
    const result = await use(sessions.of(request), request);
    return result instanceof Response ? result : new Response("ok");
  });
  return handler(new Request(url, { headers: cookie === undefined ? headers : { ...headers, cookie } }));
}

/** The `name=value` that a response sets; throws if it does not set exactly one cookie. */
export function cookieOf(response: Response): string {
  const [first, ...rest] = response.headers.getSetCookie();
  if (first === undefined || rest.length > 0) throw new Error(`${String(rest.length)} cookies more than expected`);
  return first.split(";", 1)[0]!;
}

/** A stored session with these values, as the cookie of its owner. */
export async function cookieWith<Data extends object>(
  sessions: SessionManager<Data>,
  use: (session: Session<Data>) => unknown,
): Promise<string> {
  return cookieOf(await visit(sessions, use));
}

/** The value of a `name=value`. */
export function tokenOf(cookie: string): string {
  return cookie.slice(cookie.indexOf("=") + 1);
}

/** The SessionError that is thrown, or rejected with. */
export async function failure(work: () => unknown): Promise<SessionError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SessionError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Serves requests until the test is over; answers the origin. */
export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a TypeScript program in a process of its own. */
export function runAlone(
  program: string,
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const args = ["--import", "tsx", "--input-type=module", "--eval", program];
    const options = { cwd: root, env: { ...process.env, NODE_ENV: "", ...env } };
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}
