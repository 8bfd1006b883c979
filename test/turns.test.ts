// Turns: work on one key goes one after the other, work on several keys does not wait.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { Limit } from "../src/limit.ts";
import { Turns } from "../src/turns.ts";

/** Work that waits until it is told how to end. */
function held<T>(log: string[], name: string) {
  let finish!: (latest?: T) => void;
  let fail!: (error: Error) => void;
  let left: { at: T } | undefined;
  const ended = new Promise<string>((resolve, reject) => {
    finish = (latest) => {
      left = latest === undefined ? undefined : { at: latest };
      resolve(name);
    };
    fail = reject;
  });
  const work = (latest: { readonly at: T } | undefined) => {
    log.push(latest === undefined ? name : `${name} after ${String(latest.at)}`);
    return ended;
  };
  return { work, leaves: () => left, finish, fail };
}

const endless = (): Limit => new Limit(Infinity, true, () => undefined);

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the first turn begins at once, the next when it has settled, with what it left", async () => {
  const turns = new Turns<string>();
  const log: string[] = [];
  const [a, b, c] = [held<string>(log, "a"), held<string>(log, "b"), held<string>(log, "c")];
  const runs = [
    turns.run("key", endless(), a.work, a.leaves),
    turns.run("key", endless(), b.work, b.leaves),
    turns.run("key", endless(), c.work, c.leaves),
  ];
  expect(log).toStrictEqual(["a"]);
  await flush();
  expect(log).toStrictEqual(["a"]);
  a.finish("A");
  await flush();
  expect(log).toStrictEqual(["a", "b after A"]);
  b.finish();
  await flush();
  expect(log).toStrictEqual(["a", "b after A", "c"]);
  c.finish("C");
  expect(await Promise.all(runs)).toStrictEqual(["a", "b", "c"]);
});

test("a turn that fails tells its own caller only, and the next one begins knowing nothing", async () => {
  const turns = new Turns<string>();
  const log: string[] = [];
  const [a, b] = [held<string>(log, "a"), held<string>(log, "b")];
  const first = turns.run("key", endless(), a.work, a.leaves);
  const second = turns.run("key", endless(), b.work, b.leaves);
  a.fail(new Error("fault"));
  await expect(first).rejects.toThrow("fault");
  await flush();
  expect(log).toStrictEqual(["a", "b"]);
  b.finish();
  expect(await second).toBe("b");
});

test("keys do not wait for one another", async () => {
  const turns = new Turns<string>();
  const log: string[] = [];
  const [a, b] = [held<string>(log, "a"), held<string>(log, "b")];
  const slow = turns.run("one", endless(), a.work, a.leaves);
  const quick = turns.run("another", endless(), b.work, b.leaves);
  expect(log).toStrictEqual(["a", "b"]);
  b.finish();
  expect(await quick).toBe("b");
  a.finish();
  expect(await slow).toBe("a");
});

test("what a turn left is forgotten when nobody waited for it", async () => {
  const turns = new Turns<string>();
  const log: string[] = [];
  const [a, b] = [held<string>(log, "a"), held<string>(log, "b")];
  a.finish("A");
  await turns.run("key", endless(), a.work, a.leaves);
  await flush();
  b.finish("B");
  await turns.run("key", endless(), b.work, b.leaves);
  expect(log).toStrictEqual(["a", "b"]);
});

test("the turns of a thousand keys leave nothing behind", async () => {
  const turns = new Turns<number>();
  let running = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    await flush();
    running--;
    return { result: undefined, latest: undefined };
  };
  await Promise.all(Array.from({ length: 1_000 }, (_, i) => turns.run(`${i % 10}`, endless(), work)));
  expect([running, most]).toStrictEqual([0, 10]);
});

test("a turn whose limit is reached keeps nobody waiting, though its work never settles", async () => {
  const turns = new Turns<string>();
  const log: string[] = [];
  const [a, b, c] = [held<string>(log, "a"), held<string>(log, "b"), held<string>(log, "c")];
  const limit = endless();
  void turns.run("key", limit, a.work, a.leaves);
  const waiting = turns.run("key", endless(), b.work, b.leaves);
  limit.reach();
  await flush();
  expect(log).toStrictEqual(["a", "b"]);
  b.finish();
  await waiting;
  c.finish();
  await turns.run("key", endless(), c.work, c.leaves);
  expect(log).toStrictEqual(["a", "b", "c"]);
});

test("work that never settles keeps nothing alive of the turns after it", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const turns = new Turns<object>();
  const limit = endless();
  let kept: unknown;
  void turns.run("key", limit, (_, waiting) => new Promise(() => (kept = waiting)));
  const left: WeakRef<object>[] = [];
  const leave = (): { at: object } => {
    const at = {};
    left.push(new WeakRef(at));
    return { at };
  };
  let last = turns.run("key", endless(), async () => undefined, leave);
  limit.reach();
  for (let turn = 0; turn < 100; turn++) {
    const next = turns.run("key", endless(), async () => undefined, leave);
    await last;
    last = next;
  }
  await last;
  await flush();
  collect();
  expect(kept).toBeDefined();
  expect(left.filter((each) => each.deref() !== undefined).length).toBeLessThan(5);
});
