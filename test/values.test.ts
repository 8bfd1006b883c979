// What a session takes in, and how it hands it out: through a manager with a MemoryStore.
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { SessionError, SessionManager, type Session } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { alike, handOut, takeIn } from "../src/values.ts";
import { anyKey, anyValue, describeFully } from "./arbitraries.ts";

const manager = new SessionManager();

/** Puts values, commits, and loads the session again. */
async function reload(values: Record<string, unknown>): Promise<Session> {
  const session = await manager.load();
  for (const [key, value] of Object.entries(values)) session.put(key, value);
  const { token } = await manager.commit(session);
  return manager.load(token);
}

async function same(value: unknown): Promise<void> {
  const loaded = (await reload({ value })).get("value");
  expect(describeFully(loaded)).toBe(describeFully(value));
}

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("polluted");
});

describe("a value comes back as it was put", () => {
  test.each<[string, unknown]>([
    ["a string", "text"],
    ["lone surrogates", "\ud800 \udc00\ud800"],
    ["control and separator characters", '\0\x1f\u2028\u2029<script>\\"`'],
    ["null", null],
    ["nested undefined", { a: undefined, b: [undefined, 1] }],
    ["booleans", [true, false]],
    ["the largest and smallest numbers", [Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, 1e21, 0.1]],
    ["NaN and the infinities", [NaN, Infinity, -Infinity]],
    ["negative zero", -0],
    ["a nested negative zero", { a: [0, -0] }],
    ["a bigint", 2n ** 200n],
    ["a negative bigint", [-1n, 0n]],
    ["a Date", new Date(1_700_000_000_123)],
    ["Dates of far years", [new Date(-8.64e15), new Date(8.64e15), new Date(Date.UTC(-5, 0))]],
    ["an invalid Date", new Date(NaN)],
    ["a Map", new Map<unknown, unknown>([[{ a: 1 }, [new Map([[1, 2]])]], [NaN, "nan"], [undefined, null]])], // prettier-ignore
    ["a Set", new Set([1, "1", new Set([null])])],
    ["bytes", new Uint8Array([0, 1, 255])],
    ["no bytes", new Uint8Array()],
    ["bytes inside", { a: [new Map([["b", new Uint8Array([7])]])] }],
    ["an object without prototype", Object.assign(Object.create(null) as object, { a: 1 })],
    ["a nested object without prototype", { a: Object.assign(Object.create(null) as object, { toString: 1 }) }],
    ["an empty object and an empty array", [{}, []]],
    ["names that objects inherit", { constructor: 1, toString: 2, hasOwnProperty: 3, valueOf: 4, then: 5, toJSON: 6 }],
    ["names of numbers in any order", { b: 1, 10: 2, 9: 3, "": 4, "-0": 5 }],
    ["what looks like devalue's own notation", [["Date", "x"], ["Map"], [-1, -2, -7], { Set: ["Set"] }]],
  ])("%s", (_name, value) => same(value));

  test("whatever it is made of", async () => {
    await fc.assert(fc.asyncProperty(anyValue, same), { numRuns: 300 });
  });

  test("under any key", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(anyKey, { maxLength: 6 }),
        fc.array(anyValue, { minLength: 6 }),
        async (keys, values) => {
          const session = await manager.load();
          for (const [i, key] of keys.entries()) session.put(key, values[i]);
          const loaded = await manager.load((await manager.commit(session)).token);
          expect(loaded.keys()).toStrictEqual([...keys].sort());
          for (const [i, key] of keys.entries()) expect(describeFully(loaded.get(key))).toBe(describeFully(values[i]));
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "toJSON", "", "\ud800", "a.b[0]"])(
    "under the key %j, which is missing before and after",
    async (key) => {
      const session = await manager.load();
      expect(session.exists(key)).toBe(false);
      expect(session.get(key)).toBeUndefined();
      for (const value of ["plain", { polluted: true }, new Date(1)]) {
        session.put(key, value);
        const loaded = await manager.load((await manager.commit(session)).token);
        expect(loaded.get(key)).toStrictEqual(value);
        expect(loaded.keys()).toStrictEqual([key]);
      }
      expect(session.pop(key)).toStrictEqual(new Date(1));
      const emptied = await manager.load((await manager.commit(session)).token);
      expect(emptied.exists(key)).toBe(false);
      expect(emptied.get(key)).toBeUndefined();
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    },
  );

  test("shared references stay shared and cycles stay closed, in plain values too", async () => {
    const part = { name: "part" };
    const plain = (await reload({ plain: { a: part, b: [part] } })).get("plain") as { a: object; b: object[] };
    expect(plain.b[0]).toBe(plain.a);

    const node: { self?: unknown; map: Map<unknown, unknown> } = { map: new Map() };
    node.self = node;
    node.map.set(node, new Set([node]));
    const loaded = (await reload({ node })).get("node") as typeof node;
    expect(loaded.self).toBe(loaded);
    expect([...loaded.map.keys()]).toStrictEqual([loaded]);
    expect([...(loaded.map.get(loaded) as Set<unknown>)]).toStrictEqual([loaded]);
  });

  test("a shared reference counts once, however often it doubles", async () => {
    let doubled: unknown = [];
    for (let i = 0; i < 60; i++) doubled = [doubled, doubled];
    let loaded = (await reload({ doubled })).get("doubled");
    for (let i = 0; i < 60; i++) {
      expect((loaded as unknown[])[1]).toBe((loaded as unknown[])[0]);
      loaded = (loaded as unknown[])[0];
    }
    expect(loaded).toStrictEqual([]);
  });

  test("a Buffer comes back as the Uint8Array that it is", async () => {
    const bytes = (await reload({ bytes: Buffer.from("abc") })).get("bytes");
    expect(bytes).toStrictEqual(new Uint8Array([97, 98, 99]));
    expect(bytes).not.toBeInstanceOf(Buffer);
  });

  test("a view brings only its own bytes", async () => {
    const view = new Uint8Array(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2);
    const bytes = (await reload({ view })).get("view") as Uint8Array;
    expect([...bytes]).toStrictEqual([2, 3]);
    expect(bytes.buffer.byteLength).toBe(2);
  });

  test("values of another realm come back as this one's", async () => {
    const code = "({ a: [1], date: new Date(5), map: new Map([[1, new Set([2])]]), bytes: new Uint8Array([3]) })";
    const foreign: unknown = runInNewContext(code);
    expect((await reload({ foreign })).get("foreign")).toStrictEqual({
      a: [1],
      date: new Date(5),
      map: new Map([[1, new Set([2])]]),
      bytes: new Uint8Array([3]),
    });
  });

  test("500 objects inside one another are brought back", async () => {
    let deep: unknown = "end";
    for (let i = 0; i < 500; i++) deep = i % 2 === 0 ? [deep] : { a: deep };
    await same(deep);
  });
});

describe("what a session cannot hold is refused with its path", () => {
  class Cart {
    items = [];
  }
  const throwing = {
    get email(): string {
      throw new Error("no");
    },
  };
  const spoof = (tag: string): object =>
    new (class {
      get [Symbol.toStringTag](): string {
        return tag;
      }
    })();
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  let tooDeep: unknown = [];
  for (let i = 0; i < 100_000; i++) tooDeep = [tooDeep];

  test.each<[string, unknown, string]>([
    ["undefined", undefined, "undefined (at key)"],
    ["a function", () => 1, "a function (at key)"],
    ["a nested function", { a: [1, { b: () => 1 }] }, "a function (at key.a[1].b)"],
    ["a symbol", Symbol("s"), "a symbol (at key)"],
    ["a symbol in a Map", new Map([["k", Symbol("s")]]), "a symbol (at key.value)"],
    ["a symbol as key of a Map", new Map([[Symbol("s"), 1]]), "a symbol (at key.key)"],
    ["a function in a Set", new Set([() => 1]), "a function (at key.member)"],
    ["an object with symbol keys", { a: { [Symbol("s")]: 1 } }, "an object with symbol keys (at key.a)"],
    ["an instance of a class", { cart: new Cart() }, "an instance of Cart (at key.cart)"],
    ["an object made from an instance", { a: Object.create(new Cart()) as object }, "an instance of Cart (at key.a)"],
    ["an Error", new Error("x"), "an instance of Error (at key)"],
    ["a RegExp", [/x/], "an instance of RegExp (at key[0])"],
    ["a URL", new URL("http://a/"), "an instance of URL (at key)"],
    ["a Promise", { p: Promise.resolve(1) }, "an instance of Promise (at key.p)"],
    ["a WeakMap", new WeakMap(), "an instance of WeakMap (at key)"],
    ["an ArrayBuffer", new ArrayBuffer(1), "an instance of ArrayBuffer (at key)"],
    ["another typed array", new Float64Array(1), "an instance of Float64Array (at key)"],
    ["a boxed number", Object(1), "an instance of Number (at key)"],
    [
      "the key __proto__",
      { a: JSON.parse('{"__proto__":{"polluted":1}}') as unknown },
      'the key "__proto__" (at key.a)',
    ],
    ["a getter that throws", { user: throwing }, "an object that cannot be read (at key.user)"],
    ["a Proxy that was revoked", [revoked.proxy], "an object that cannot be read (at key[0])"],
    ["a Proxy whose traps throw", [new Proxy({}, { ownKeys: () => [1] as never })], "cannot be read (at key[0])"],
    ["a Proxy of a Map", new Proxy(new Map(), {}), "an object that cannot be read (at key)"],
    ["a Proxy of a Date", { d: new Proxy(new Date(), {}) }, "an instance of Date (at key.d)"],
    ["a class that says it is a Map", spoof("Map"), "an object that cannot be read (at key)"],
    ["a class that says it is a Date", spoof("Date"), "an object that cannot be read (at key)"],
    ["a class that says it is an object", spoof("Object"), "an unnamed class (at key)"],
    ["an array with a hole", { list: [1, , 3] }, "an array with holes (at key.list[1])"], // eslint-disable-line no-sparse-arrays
    ["an array of billions of holes", new Array(2 ** 32 - 1), "an array with holes (at key[0])"],
    ["100,000 arrays inside one another", tooDeep, "more than 500 objects inside one another (at key[0][0]"],
  ])("%s", async (_name, value, message) => {
    const session = await manager.load();
    session.put("key", "before");
    const refusal = expect.objectContaining({
      code: "invalid-value",
      message: expect.stringContaining(message) as string,
    }) as Error;
    expect(() => session.put("key", value)).toThrow(refusal);
    expect(() => session.update("key", () => value)).toThrow(refusal);
    expect(session.get("key")).toBe("before");
  });

  test("the message stays short when the path is long", async () => {
    const session = await manager.load();
    const act = (): void => session.put("k".repeat(5_000), undefined);
    expect(act).toThrow(SessionError);
    expect(act).toThrow(/^.{0,400}$/);
  });

  test("what a getter threw is the cause", async () => {
    const session = await manager.load();
    expect(() => session.put("key", throwing)).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ message: "no" }) as Error }),
    );
  });

  test("update refuses a function that answers with a Promise", async () => {
    const session = await manager.load();
    expect(() => session.update("key", () => Promise.resolve(1))).toThrow(/returned a Promise/);
    expect(() => session.update("key", () => ({ then: () => 1 }))).toThrow(/returned a Promise/);
  });
});

describe("values are read-only", () => {
  const value = (): Record<string, unknown> => ({
    list: [1, { a: 1 }],
    map: new Map([["k", { b: [1] }]]),
    set: new Set([1]),
    date: new Date(5),
    bytes: new Uint8Array([1, 2]),
    shared: { deep: [[[]]] },
  });
  interface Value {
    list: [number, { a: number }];
    map: Map<string, { b: number[] }>;
    set: Set<number>;
    date: Date;
    bytes: Uint8Array;
    shared: { deep: unknown[][][] };
  }
  const valueOf = (session: Session): Value => session.get("v") as Value;
  const attempts: [string, (value: Value) => unknown][] = [
    ["a property", (v) => (v.shared = { deep: [] })],
    ["a new property", (v) => Object.assign(v, { other: 1 })],
    ["a deletion", (v) => Reflect.deleteProperty(v, "list") || raise()],
    ["an index", (v) => (v.list[0] = 2)],
    ["a push", (v) => (v.list as unknown[]).push(1)],
    ["a sort", (v) => v.list.sort()],
    ["a nested property", (v) => (v.list[1].a = 2)],
    ["a deeply nested push", (v) => v.shared.deep[0]![0]!.push(1)],
    ["Map.set", (v) => v.map.set("k", { b: [] })],
    ["Map.delete", (v) => v.map.delete("k")],
    ["Map.clear", (v) => { v.map.clear(); }], // prettier-ignore
    ["the value in a Map", (v) => v.map.get("k")!.b.push(1)],
    ["Set.add", (v) => v.set.add(2)],
    ["Set.delete", (v) => v.set.delete(1)],
    ["Set.clear", (v) => { v.set.clear(); }], // prettier-ignore
    ["Date.setTime", (v) => v.date.setTime(0)],
    ["Date.setFullYear", (v) => v.date.setFullYear(2000)],
    ["Date.setUTCMilliseconds", (v) => v.date.setUTCMilliseconds(0)],
    ["a prototype", (v) => Object.setPrototypeOf(v.shared, null) as unknown],
  ];
  function raise(): never {
    throw new TypeError("refused");
  }

  describe.each([
    ["just put", async () => { const session = await manager.load(); session.put("v", value()); return session; }], // prettier-ignore
    ["loaded", () => reload({ v: value() })],
    ["loaded without bytes", () => { const { bytes: _, ...rest } = value(); return reload({ v: rest }); }], // prettier-ignore
  ])("when %s", (_state, make) => {
    test.each(attempts)("%s is refused", async (_name, attempt) => {
      const session = await make();
      const before = inspect(session.get("v"), { depth: 9 });
      expect(() => attempt(valueOf(session))).toThrow(TypeError);
      expect(inspect(session.get("v"), { depth: 9 })).toBe(before);
      session.update("v", (v) => {
        expect(() => attempt(v as Value)).toThrow(TypeError);
        return v;
      });
    });
  });

  test("bytes are copies: changing them changes nothing in the session", async () => {
    for (const session of [await reload({ v: value(), b: new Uint8Array([1, 2]) })]) {
      (session.get("b") as Uint8Array)[0] = 9;
      valueOf(session).bytes[0] = 9;
      session.getBytes("b")[0] = 9;
      expect(session.getBytes("b")).toStrictEqual(new Uint8Array([1, 2]));
      expect(valueOf(session).bytes).toStrictEqual(new Uint8Array([1, 2]));
      const popped = session.pop("b") as Uint8Array;
      expect(popped).toStrictEqual(new Uint8Array([1, 2]));
    }
  });

  test("changing what was put does not change the session, and what was put is not frozen", async () => {
    const put = { list: [1], map: new Map([[1, 1]]), bytes: new Uint8Array([1]) };
    const session = await manager.load();
    session.put("v", put);
    put.list.push(2);
    put.map.set(2, 2);
    put.bytes[0] = 9;
    expect(session.get("v")).toStrictEqual({ list: [1], map: new Map([[1, 1]]), bytes: new Uint8Array([1]) });
  });

  test("what was got can be put again", async () => {
    const first = await reload({ v: value() });
    expect((await reload({ v: first.get("v") })).get("v")).toStrictEqual(value());
  });

  test("a value that a codec froze before is handed out", () => {
    const frozen = Object.freeze({ date: Object.freeze(new Date(5)), bytes: new Uint8Array([1]) });
    const handed = handOut(frozen) as { bytes: Uint8Array };
    handed.bytes[0] = 9;
    expect(frozen).toStrictEqual({ date: new Date(5), bytes: new Uint8Array([1]) });
  });

  test("handing out a large value a second time looks at nothing in it", () => {
    const value = takeIn("v", Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, [i]])));
    const keys = Object.keys;
    const isFrozen = Object.isFrozen;
    let looked = 0;
    Object.keys = (object: object) => ((looked += object === value ? 1 : 0), keys(object));
    Object.isFrozen = (object) => ((looked += object === value ? 1 : 0), isFrozen(object));
    try {
      const start = performance.now();
      for (let i = 0; i < 10_000; i++) expect(handOut(value) === value).toBe(true);
      expect(performance.now() - start).toBeLessThan(2_000); // walking it once takes over a millisecond
      expect(looked).toBe(0);
    } finally {
      Object.keys = keys;
      Object.isFrozen = isFrozen;
    }
  });
});

describe("two values are alike", () => {
  test("when one is what the other becomes on its way through the store", async () => {
    await fc.assert(
      fc.asyncProperty(anyValue, async (value) => {
        expect(alike(takeIn("v", value), (await reload({ value })).get("value"))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test.each<[unknown, unknown]>([
    [0, -0],
    [1, "1"],
    [1, 1n],
    [undefined, null],
    [new Date(1), new Date(2)],
    [{ a: 1 }, { a: 2 }],
    [new Map([[1, 2]]), new Map([[1, 3]])],
    [new Set([1]), [1]],
    [new Uint8Array([1]), new Uint8Array([2])],
    [{ a: undefined }, {}],
  ])("only then: %o and %o are not", (a, b) => {
    expect(alike(a, b)).toBe(false);
  });
});

test("a value popped once is had although parts of it are shared", async () => {
  const part = { a: 1 };
  const session = await manager.load();
  session.put("code", [part, part]);
  const { token } = await manager.commit(session);
  const other = await manager.load(token);
  other.put("unrelated", 1);
  await manager.commit(other);
  expect(session.pop("code", { once: true })).toStrictEqual([part, part]);
  await manager.commit(session);
  expect((await manager.load(token)).keys()).toStrictEqual(["unrelated"]);
});

test("a conflict over a key that objects inherit is merged like any other", async () => {
  const store = new MemoryStore();
  const [here, there] = [0, 1].map(() => new SessionManager({ store })) as [SessionManager, SessionManager];
  const session = await here.load();
  session.put("toString", "before");
  const { token } = await here.commit(session);
  const mine = await here.load(token);
  const other = await there.load(token);
  other.remove("toString");
  await there.commit(other);
  mine.put("toString", "after");
  await here.commit(mine);
  expect((await here.load(token)).get("toString")).toBe("after");
});
