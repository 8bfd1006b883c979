/**
 * Runs requests against one store in every order in which its calls can complete. Each request has a manager of its own, as
 * in a process of its own, or they share one.
 */

import { MemoryStore, SessionManager, type Duration, type SessionOptions } from "scs-session";
import { FaultyStore, TestClock } from "scs-session/testing";

export interface Data {
  user: string;
  base: number;
  n: number;
  flash: string;
  k1: number;
  k2: number;
  k99: number;
}

/** What a request ended with. */
export interface Outcome {
  /** The token that its response hands out. */
  readonly cookie?: string | undefined;
  /** Whether its response takes the cookie back. */
  readonly cleared?: boolean;
  /** The code of the error that it failed with; "gone" when its session had ended. */
  readonly failed?: string;
  /** What it popped. */
  readonly popped?: unknown;
}

type Manager = SessionManager<Data>;

/** What a request does with the session of the cookie that it came with. */
export type Request = (manager: Manager, world: World) => Promise<Outcome>;

export interface World {
  readonly clock: TestClock;
  /** The token of the session that exists at the start. */
  readonly token: string;
  /** The token of another session, for merging. */
  readonly other: string;
}

/** A finished schedule. */
export interface Run extends World {
  /** By request, with the step at which it completed. */
  readonly outcomes: readonly (Outcome & { readonly at: number })[];
  /** The values of what is live in the end, by token. */
  readonly live: ReadonlyMap<string, Partial<Data>>;
}

export interface Setup {
  /** The session that exists at the start. */
  readonly values: Partial<Data>;
  /** One manager for all requests, one for all but the last, or one each. */
  readonly processes: "one" | "two" | "many";
  readonly options?: SessionOptions<Data>;
  /** How old the session is when the requests come. */
  readonly age?: Duration;
  /** The numbers of the store calls whose answers are lost: they are carried out, and reject. */
  readonly loses?: readonly number[];
}

/** Says what is wrong with a run. */
export type Check = (run: Run) => string | undefined;

/** Runs every schedule, and returns how many there were. */
export async function explore(setup: Setup, requests: readonly Request[], check: Check): Promise<number> {
  let count = 0;
  for (let schedule: number[] | undefined = []; schedule !== undefined; count++) {
    const choices: readonly number[] = schedule;
    const widths = await replay(setup, requests, check, (call) => choices[call] ?? 0);
    schedule = successor(choices, widths);
  }
  return count;
}

/** Runs one schedule: `choose` picks the call that completes next, by its place among those that wait. */
export async function replay(
  setup: Setup,
  requests: readonly Request[],
  check: Check,
  choose: (call: number, width: number) => number,
): Promise<number[]> {
  const clock = new TestClock(new Date("2026-01-01T00:00:00Z"));
  const memory = new MemoryStore({ clock });
  const options: SessionOptions<Data> = {
    clock,
    subject: (data) => data.user,
    hashTokenInStore: false,
    onGone: "error",
    sweepInterval: false,
    ...setup.options,
  };
  const observer = new SessionManager<Data>({ ...options, store: memory });
  const create = async (values: Partial<Data>): Promise<string> => {
    const session = await observer.load();
    for (const [key, value] of Object.entries(values)) session.put(key as keyof Data, value);
    return (await observer.commit(session)).token;
  };
  const world: World = { clock, token: await create(setup.values), other: await create({ k99: 99 }) };
  if (setup.age !== undefined) clock.advance(setup.age);

  const store = new FaultyStore(memory);
  store.holds = true;
  const shared = new SessionManager<Data>({ ...options, store });
  const outcomes: (Outcome & { at: number })[] = [];
  const trace: string[] = [];
  const widths: number[] = [];
  let step = 0;
  let running = requests.length;
  requests.forEach((request, i) => {
    const shares = setup.processes === "one" || (setup.processes === "two" && i < requests.length - 1);
    const manager = shares ? shared : new SessionManager<Data>({ ...options, store });
    void request(manager, world)
      .catch((error: unknown) => ({ failed: (error as { code?: string }).code ?? String(error) }))
      .then((outcome) => {
        outcomes[i] = { ...outcome, at: ++step };
        trace.push(`request ${i}: ${JSON.stringify(outcome)}`);
        running--;
      });
  });

  for (;;) {
    await new Promise((resolve) => setImmediate(resolve)); // everything happens that waits for no store call
    if (running === 0 && store.waiting.length === 0) break;
    const width = store.waiting.length;
    if (width === 0) throw new Error(`A request hangs without a store call:\n${trace.join("\n")}`);
    const loses = setup.loses?.includes(widths.length) === true;
    const call = store.waiting[choose(widths.length, width)]!;
    widths.push(width);
    step++;
    trace.push(`${call.method} ${call.token.slice(0, 4)}${loses ? " (its answer is lost)" : ""}`);
    if (loses) await call.loseAnswer();
    else await call.complete();
  }

  const live = new Map<string, Partial<Data>>();
  for await (const session of observer.iterate()) {
    live.set(session.token, Object.fromEntries(session.keys().map((key) => [key, session.get(key)])));
  }
  const fault = check({ ...world, outcomes, live });
  if (fault !== undefined) throw new Error(`${fault}\n${trace.join("\n")}\nlive: ${JSON.stringify([...live])}`);
  return widths;
}

/** The next schedule in the depth-first order of all. */
function successor(schedule: readonly number[], widths: readonly number[]): number[] | undefined {
  const choices = widths.map((_, call) => schedule[call] ?? 0);
  for (let call = choices.length - 1; call >= 0; call--) {
    if (choices[call]! + 1 < widths[call]!) return [...choices.slice(0, call), choices[call]! + 1];
  }
  return undefined;
}
