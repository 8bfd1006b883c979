/** What becomes of sessions when things happen at once, or the store does not answer: by contender, not by the clock. */

import { get } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { startCounter } from "../test/servers/counter.ts";
import { startProxy } from "../test/servers/proxy.ts";
import { Client } from "./client.ts";
import { labelOf, type Contender } from "./contenders.ts";
import { start } from "./process.ts";
import type { Progress } from "./progress.ts";

export interface Correctness extends Contender {
  /** Of 20 parallel writes of one session, each under a name of its own. */
  readonly survivors: number;
  /** Whether the cookie of a session that was logged out is good again once a slower request has ended. */
  readonly aliveAfterWrite: boolean;
  /** The same with a request that only reads, where the session has an idle expiry if it can. */
  readonly aliveAfterRead: boolean;
  /** Whether headers were there before the store had answered the last command; undefined where there is no store outside. */
  readonly earlyAnswer: boolean | undefined;
  readonly earlyRedirect: boolean | undefined;
  /** What a request with a session gets from a silent store; undefined: nothing in so long. */
  readonly silent: { readonly status: number; readonly seconds: number } | undefined;
}

export const parallelWrites = 20;
export const patience = 8_000;
const delay = 150;

/** Judges several at once: nobody looks at the clock. */
export async function judge(
  contenders: readonly Contender[],
  stores: Readonly<Record<"redis" | "postgres", string | undefined>>,
  progress: Progress,
): Promise<Correctness[]> {
  const results = new Map<Contender, Correctness>();
  const left = [...contenders];
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      progress.step(labelOf(next));
      const result = await judgeOne(next, stores);
      if (result !== undefined) results.set(next, result);
    }
  };
  await Promise.all(Array.from({ length: 10 }, worker));
  return contenders.flatMap((contender) => results.get(contender) ?? []);
}

async function judgeOne(contender: Contender, stores: Parameters<typeof judge>[1]): Promise<Correctness | undefined> {
  const { store } = contender;
  const address = store === "redis" || store === "postgres" ? stores[store] : undefined;
  const proxy = address === undefined ? undefined : await startProxy(address);
  const counter = proxy === undefined ? undefined : await startCounter(proxy.url);
  const server = await start(contender, { variant: "plain", [store]: counter?.url });
  const idle = await start(contender, { variant: "idle", [store]: counter?.url });
  try {
    if (typeof server === "string" || typeof idle === "string") return undefined;
    const login = async ({ port } = server): Promise<Client> => {
      const client = new Client(port);
      await client.get("/start");
      return client;
    };

    const writer = await login();
    const writes = Array.from({ length: parallelWrites }, (_, n) => writer.get(`/slow-write?key=k${n}&wait=100`));
    await Promise.all(writes);
    const keys = (await writer.get("/keys")).text.split(",");

    const livesOn = async (path: string, at = server): Promise<boolean> => {
      const client = await login(at);
      const { cookie } = client;
      const slow = client.get(path, { keep: false });
      await wait(100);
      await client.get("/logout");
      await slow;
      await wait(50); // some do not wait for their writes
      return (await client.get("/user", { cookie })).text === "123";
    };

    const isEarly = async (path: string): Promise<boolean | undefined> => {
      if (proxy === undefined || counter === undefined) return undefined;
      const { cookie } = await login();
      proxy.delay(delay);
      const head = await headOf(server.port, path, cookie);
      await wait(3 * delay);
      proxy.pass();
      return head !== undefined && head.at < counter.lastReplyAt;
    };

    const hangs = async (): Promise<Correctness["silent"]> => {
      if (proxy === undefined) return undefined;
      const { cookie } = await login();
      proxy.hang();
      const begin = performance.now();
      const head = await headOf(server.port, "/read", cookie);
      return head === undefined ? undefined : { status: head.status, seconds: (head.at - begin) / 1_000 };
    };

    return {
      ...contender,
      survivors: keys.filter((key) => /^k\d+$/.test(key)).length,
      aliveAfterWrite: await livesOn("/slow-write?key=late&wait=300"),
      aliveAfterRead: await livesOn("/slow-read?wait=300", idle),
      earlyAnswer: await isEarly("/slow-write?key=early&wait=1"),
      earlyRedirect: await isEarly("/slow-redirect?key=early&wait=1"),
      silent: await hangs(),
    };
  } finally {
    if (typeof server !== "string") await server.stop();
    if (typeof idle !== "string") await idle.stop();
    await proxy?.stop();
    await counter?.stop();
  }
}

/** The status of an answer, and when it was there; undefined when nothing comes in time. */
function headOf(port: number, path: string, cookie: string): Promise<{ status: number; at: number } | undefined> {
  return new Promise((resolve) => {
    const request = get({ port, host: "127.0.0.1", path, headers: { cookie }, agent: false }, (response) => {
      resolve({ status: response.statusCode ?? 0, at: performance.now() });
      response.resume().on("error", () => undefined);
    });
    request.on("error", () => resolve(undefined));
    const impatience = setTimeout(() => request.destroy(new Error("no answer")), patience);
    request.on("close", () => clearTimeout(impatience));
  });
}
