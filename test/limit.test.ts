// Time limits of store calls: thousands share one timer.
import { describe, expect, test } from "vitest";
import { SessionError, type Clock } from "scs-session";
import { TestClock } from "scs-session/testing";
import { Limits, type Limit } from "../src/limit.ts";

/** Limits of five seconds, and what happened to the work under them. */
function setUp(clock: Clock = new TestClock()) {
  const reached: SessionError[] = [];
  const settled: string[] = [];
  const limits = new Limits(clock, 5_000, true, (error) => reached.push(error));
  const start = (name: string, work: (limit: Limit) => Promise<unknown> = () => new Promise(() => undefined)) => {
    const run = limits.run(work).then(
      () => settled.push(`${name} done`),
      (error: unknown) => settled.push(`${name} ${error instanceof SessionError ? error.code : String(error)}`),
    );
    return run;
  };
  return { limits, reached, settled, start };
}

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a limit", () => {
  test("lets through what is done in time, results and errors alike", async () => {
    const clock = new TestClock();
    const { limits, reached } = setUp(clock);
    expect(await limits.run(async () => "result")).toBe("result");
    const fault = new Error("fault");
    await expect(limits.run(() => Promise.reject(fault))).rejects.toBe(fault);
    clock.advance("10s");
    expect(reached).toStrictEqual([]);
  });

  test("turns what the work throws before it begins into a rejection, and is over then", async () => {
    const clock = new TestClock();
    const { limits, reached } = setUp(clock);
    const act = limits.run(() => {
      throw new Error("at once");
    });
    await expect(act).rejects.toThrow("at once");
    clock.advance("1m");
    expect(reached).toStrictEqual([]);
  });

  test("calls every listener when it is reached", async () => {
    const clock = new TestClock();
    const { limits } = setUp(clock);
    const calls: string[] = [];
    const run = limits.run((limit) => {
      limit.onAbort(() => calls.push("first"));
      limit.onAbort(() => calls.push("second"));
      return new Promise(() => undefined);
    });
    clock.advance("5s");
    await expect(run).rejects.toThrow(SessionError);
    expect(calls).toStrictEqual(["first", "second"]);
  });

  test("is no concern of the others when a listener of a store throws", async () => {
    const clock = new TestClock();
    const { settled, start } = setUp(clock);
    const calls: string[] = [];
    const warning = new Promise<Error>((resolve) => process.once("warning", resolve));
    void start("first", (limit) => {
      limit.onAbort(() => {
        throw new RangeError("with a token in it");
      });
      limit.onAbort(() => calls.push("second listener"));
      return new Promise(() => undefined);
    });
    void start("second");
    clock.advance("5s");
    await flush();
    expect([settled, calls]).toStrictEqual([
      ["first store-unavailable", "second store-unavailable"],
      ["second listener"],
    ]);
    expect((await warning).message).toBe("A listener that the session store has passed to onAbort threw: RangeError.");
  });

  test("rejects when it is reached, not a millisecond before, and says so once", async () => {
    const clock = new TestClock();
    const { reached, settled, start } = setUp(clock);
    void start("slow");
    clock.advance("4999ms");
    await flush();
    expect(settled).toStrictEqual([]);
    clock.advance("1ms");
    await flush();
    expect(settled).toStrictEqual(["slow store-unavailable"]);
    expect(reached.map(({ message, status }) => [message, status])).toStrictEqual([
      ["The session store did not answer within storeTimeout (5000 ms).", 503],
    ]);
    clock.advance("1m");
    expect(reached).toHaveLength(1);
  });

  test.each(["resolves", "rejects"])("stays reached when the work %s later", async (how) => {
    const clock = new TestClock();
    const { settled, start } = setUp(clock);
    let finish!: () => void;
    const work = () => new Promise<void>((resolve, reject) => (finish = how === "resolves" ? resolve : () => reject(new Error("late")))); // prettier-ignore
    const run = start("slow", work);
    clock.advance("5s");
    finish();
    await run;
    expect(settled).toStrictEqual(["slow store-unavailable"]);
  });

  test("tells the work: check throws, and the signal is aborted, asked for before or after", async () => {
    const clock = new TestClock();
    const { limits } = setUp(clock);
    let early!: Limit;
    let late!: Limit;
    let signal!: AbortSignal;
    const runs = [
      limits.run((limit) => ((early = limit), (signal = limit.signal), new Promise(() => undefined))),
      limits.run((limit) => ((late = limit), new Promise(() => undefined))),
    ];
    early.check();
    late.check();
    expect(signal.aborted).toBe(false);
    clock.advance("5s");
    await Promise.allSettled(runs);
    expect([signal.aborted, early.signal === signal, late.signal.aborted]).toStrictEqual([true, true, true]);
    expect(() => early.check()).toThrow(expect.objectContaining({ code: "store-unavailable" }) as SessionError);
    expect(() => late.check()).toThrow(SessionError);
  });

  test("aborts nothing when the work is done in time", async () => {
    const clock = new TestClock();
    const { limits } = setUp(clock);
    const signal = await limits.run(async (limit) => limit.signal);
    clock.advance("1m");
    expect(signal.aborted).toBe(false);
  });
});

describe("many limits", () => {
  test("have one timer, and none when nothing runs", async () => {
    const clock = new TestClock();
    const { limits, start } = setUp(clock);
    for (let i = 0; i < 1_000; i++) void start(`${i}`);
    expect(clock.timers).toBe(1);
    clock.advance("5s");
    await flush();
    expect(clock.timers).toBe(0);
    await limits.run(async () => undefined);
    expect(clock.timers).toBe(1);
    clock.advance("5s");
    expect(clock.timers).toBe(0);
  });

  test("are reached each at its own time", async () => {
    const clock = new TestClock();
    const { settled, start } = setUp(clock);
    void start("a");
    clock.advance("1s");
    void start("b");
    clock.advance("3s");
    void start("c");
    const timeline: string[][] = [];
    for (let second = 0; second < 6; second++) {
      clock.advance("1s");
      await flush();
      timeline.push(settled.splice(0));
    }
    expect(timeline.map(([first]) => first)).toStrictEqual([
      "a store-unavailable",
      "b store-unavailable",
      undefined,
      undefined,
      "c store-unavailable",
      undefined,
    ]);
  });

  test("that begin while another is being reached last as long as any", async () => {
    const clock = new TestClock();
    const reached: number[] = [];
    const begin = clock.now();
    const limits = new Limits(clock, 5_000, true, () => {
      reached.push(clock.now() - begin);
      if (reached.length < 3) void limits.run(() => new Promise(() => undefined)).catch(() => undefined);
    });
    void limits.run(() => new Promise(() => undefined)).catch(() => undefined);
    clock.advance("1m");
    expect(reached).toStrictEqual([5_000, 10_000, 15_000]);
  });

  test("that begin while another is being reached last as long, however long it took until then", async () => {
    const clock = new TestClock();
    let passed = 0;
    const now = (): number => clock.now() + passed;
    const reached: number[] = [];
    const limits = new Limits({ now, after: (ms, fn) => clock.after(ms, fn) }, 5_000, true, () => {
      reached.push(clock.now());
      passed += 1; // the listener's own work
      if (reached.length < 3) void limits.run(() => new Promise(() => undefined)).catch(() => undefined);
    });
    void limits.run(() => new Promise(() => undefined)).catch(() => undefined);
    clock.advance("5s");
    expect(reached).toHaveLength(1);
    clock.advance("1m");
    expect(reached).toHaveLength(3);
  });

  test("that run already are not put off by one that begins while another is being reached", async () => {
    const clock = new TestClock();
    const { settled, start } = setUp(clock);
    void start("a", (limit) => {
      limit.onAbort(() => void start("c"));
      return new Promise(() => undefined);
    });
    clock.advance("1s");
    void start("b");
    clock.advance("5s");
    await flush();
    expect(settled).toStrictEqual(["a store-unavailable", "b store-unavailable"]);
    clock.advance("4s");
    await flush();
    expect(settled.slice(2)).toStrictEqual(["c store-unavailable"]);
  });
});

describe("when the system's clock is set", () => {
  /** A clock whose timers run on while its time of day is set. */
  class WallClock extends TestClock {
    offset = 0;
    override now(): number {
      return super.now() + this.offset;
    }
  }

  test("back by an hour, no call waits for an hour", async () => {
    const clock = new WallClock();
    const { settled, start } = setUp(clock);
    void start("before");
    clock.advance("1s");
    clock.offset = -3_600_000;
    void start("after");
    clock.advance("4s");
    await flush();
    expect(settled).toStrictEqual(["before store-unavailable"]);
    clock.advance("1s");
    await flush();
    expect(settled).toStrictEqual(["before store-unavailable", "after store-unavailable"]);
  });

  test("on by an hour, calls that began afterwards have their time", async () => {
    const clock = new WallClock();
    const { settled, start } = setUp(clock);
    void start("before");
    clock.advance("1s");
    clock.offset = 3_600_000;
    void start("after");
    clock.advance("4s");
    await flush();
    expect(settled).toStrictEqual(["before store-unavailable"]);
    clock.advance("999ms");
    await flush();
    expect(settled).toHaveLength(1);
    clock.advance("1ms");
    await flush();
    expect(settled).toHaveLength(2);
  });
});
