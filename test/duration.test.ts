// Durations: a whole number above zero and a unit, and nothing else.
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { SessionManager, type Duration, type SessionError } from "scs-session";
import { systemClock } from "../src/clock.ts";
import { milliseconds } from "../src/duration.ts";

describe("a duration", () => {
  test.each<[Duration, number]>([
    ["1ms", 1],
    ["500ms", 500],
    ["30s", 30_000],
    ["20m", 1_200_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
    ["007s", 7_000],
    ["999999999ms", 999_999_999],
  ])("of %s has %d milliseconds", (duration, ms) => {
    expect(milliseconds(duration, "lifetime")).toBe(ms);
  });

  test("of any whole number has that many units", () => {
    const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999 }), fc.constantFrom("ms", "s", "m", "h", "d"), (n, unit) => {
        expect(milliseconds(`${n}${unit}`, "x")).toBe(n * units[unit]);
      }),
    );
  });

  const wrong: unknown[] = ["0s", "-1s", "1.5h", "1e3s", "+1s", " 1s", "1s ", "1 s", "1s\n", "s", "", "1", "1S", "1w", "1y", "1month", "Infinitys", "NaNs", "0x10s", "1_000s", "١s", "9999999999s", 1, 1_000, 0, NaN, 1n, null, {}, [], ["1s"].concat("2s"), true]; // prettier-ignore
  test.each(wrong.map((value) => [value]))("is not %o: refused with the name of the option", (value) => {
    const refusal = expect.objectContaining({
      code: "invalid-option",
      message: expect.stringMatching(
        /^idleTimeout is .*write a whole number above zero with its unit: "500ms"/s,
      ) as string,
    }) as SessionError;
    expect(() => milliseconds(value as Duration, "idleTimeout")).toThrow(refusal);
  });

  test("is checked wherever the manager takes one", () => {
    for (const option of ["lifetime", "idleTimeout", "storeTimeout", "sweepInterval"] as const) {
      expect(() => new SessionManager({ [option]: 60 as never })).toThrow(
        expect.objectContaining({ code: "invalid-option", message: expect.stringContaining(`${option} is number 60`) as string }) as SessionError, // prettier-ignore
      );
    }
  });
});

describe("the system's clock", () => {
  test("tells the present", () => {
    const before = Date.now();
    const now = systemClock.now();
    expect([now >= before, now <= Date.now()]).toStrictEqual([true, true]);
  });

  test("calls back once after the time, unless called off, and keeps no process alive", () => {
    vi.useFakeTimers();
    const calls: string[] = [];
    systemClock.after(1_000, () => calls.push("first"));
    systemClock.after(1_000, () => calls.push("called off"))();
    vi.advanceTimersByTime(999);
    expect(calls).toStrictEqual([]);
    vi.advanceTimersByTime(5_000);
    expect(calls).toStrictEqual(["first"]);
    vi.useRealTimers();

    const unref = vi.fn();
    const setTimeout = vi.spyOn(globalThis, "setTimeout").mockReturnValue({ unref } as unknown as NodeJS.Timeout);
    systemClock.after(1_000, () => undefined);
    expect(unref).toHaveBeenCalledOnce();
    setTimeout.mockRestore();
  });

  test("can wait for longer than Node's timers can", () => {
    const setTimeout = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never);
    systemClock.after(30 * 86_400_000, () => undefined);
    const delay = setTimeout.mock.calls[0]![1]!;
    setTimeout.mockRestore();
    expect(delay).toBeLessThan(2 ** 31);
  });
});
