// The default codec: what it writes, and what becomes of bytes that it never wrote.
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { defaultCodec, SessionError, SessionManager, subscribe, type SessionRecord } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { anyKey, anyValue, describeFully } from "./arbitraries.ts";

const context = { key: "key", manager: "session" };
const encode = (record: SessionRecord): Uint8Array => defaultCodec.encode(record, context);
const decode = (bytes: Uint8Array): SessionRecord => defaultCodec.decode(bytes, context);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const head = { deadline: 8e15, createdAt: 1_000, rememberMe: false, commit: "c1" };
const record = (values: Record<string, unknown>): SessionRecord => ({ ...head, values });

/** Names of globals that garbage must not have changed. */
const intact = [Object.prototype, Array.prototype, Map.prototype, Function.prototype, Date.prototype].map(
  (prototype) => [prototype, Reflect.ownKeys(prototype)] as const,
);

afterEach(() => {
  for (const [prototype, keys] of intact) expect(Reflect.ownKeys(prototype)).toStrictEqual(keys);
});

describe("the first byte tells the format", () => {
  test.each<[string, unknown]>([
    ["text", "text"],
    ["numbers", [0, 1.5, -1e300]],
    ["null and booleans", [null, true, false]],
    ["objects in arrays in objects", { a: [{ b: [] }] }],
    ["two equal objects", [{ a: 1 }, { a: 1 }]],
    ["lone surrogates", "\udc00"],
  ])("%s are stored as JSON", (_name, value) => {
    const text = textOf(encode(record({ key: value })));
    expect(text[0]).toBe("{");
    expect(JSON.parse(text)).toMatchObject({ deadline: 8e15, createdAt: 1_000, values: { key: value } });
  });

  const shared = {};
  const cycle: unknown[] = [];
  cycle.push(cycle);
  test.each<[string, unknown]>([
    ["a Date", new Date(1)],
    ["a Map", new Map()],
    ["a Set", new Set()],
    ["bytes", new Uint8Array()],
    ["a bigint", 1n],
    ["NaN", NaN],
    ["infinity", -Infinity],
    ["negative zero", -0],
    ["nested undefined", { a: undefined }],
    ["undefined in an array", [undefined]],
    ["an object without prototype", Object.create(null)],
    ["a shared reference", [shared, shared]],
    ["a cycle", cycle],
  ])("%s is stored by devalue", (_name, value) => {
    expect(textOf(encode(record({ other: 1, key: [value] })))[0]).toBe("[");
  });

  test("a marker is JSON that names its successor", () => {
    const bytes = encode({ ...record({}), successor: "next" });
    expect(JSON.parse(textOf(bytes))).toEqual({ ...head, rememberMe: undefined, successor: "next", values: {} });
    expect(decode(bytes).successor).toBe("next");
  });
});

test("every record comes back as it was", () => {
  const anyRecord = fc.record({
    values: fc
      .array(fc.tuple(anyKey, anyValue), { maxLength: 5 })
      .map((entries) => Object.fromEntries(entries) as Record<string, unknown>),
    deadline: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    createdAt: fc.integer({ min: 0, max: 8.64e15 }),
    rememberMe: fc.boolean(),
    commit: fc.string(),
    successor: fc.option(fc.string(), { nil: undefined }),
  });
  fc.assert(
    fc.property(anyRecord, (given) => {
      const { values, ...rest } = decode(encode(given));
      const { values: givenValues, ...givenRest } = given;
      expect(rest).toStrictEqual(givenRest);
      expect(Object.keys(values)).toStrictEqual(Object.keys(givenValues));
      for (const key of Object.keys(values)) expect(describeFully(values[key])).toBe(describeFully(givenValues[key]));
    }),
    { numRuns: 1_000 },
  );
});

test("what was decoded is encoded to the same bytes again", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encode(record({ value }));
      expect(textOf(encode(decode(bytes)))).toBe(textOf(bytes));
    }),
    { numRuns: 500 },
  );
});

describe("what is no session record is refused", () => {
  const hostile: Record<string, string> = {
    "no bytes": "",
    "no object": '"text"',
    "an unfinished object": '{"deadline":1',
    "no values": '{"deadline":1,"createdAt":1,"commit":"c"}',
    "values that are an array": '{"deadline":1,"createdAt":1,"commit":"c","values":[]}',
    "values that are null": '{"deadline":1,"createdAt":1,"commit":"c","values":null}',
    "a deadline that is text": '{"deadline":"1","createdAt":1,"commit":"c","values":{}}',
    "a deadline that no Date can have": '{"deadline":1e300,"createdAt":1,"commit":"c","values":{}}',
    "a creation time that no Date can have": '{"deadline":1,"createdAt":8640000000000001,"commit":"c","values":{}}',
    "no commit": '{"deadline":1,"createdAt":1,"values":{}}',
    "a successor that is a number": '{"deadline":1,"createdAt":1,"commit":"c","successor":1,"values":{}}',
    "another JSON array": "[1,2]",
    "an empty JSON array": "[]",
    "a devalue record without values": '[{"deadline":1,"createdAt":1,"commit":2},1,"c"]',
    "a devalue record whose values are an object": '[{"deadline":1,"createdAt":1,"commit":2,"values":3},1,"c",{}]',
    "a devalue record whose values are pairs": '[{"deadline":1,"createdAt":1,"commit":2,"values":3},1,"c",[4],[2,1]]',
    "a devalue array": "[[1],1]",
    "an unknown type": rich('["Unknown",5]'),
    "a URL": rich('["URL","http://a/"]'),
    "a RegExp": rich('["RegExp","x"]'),
    "a boxed number": rich('["Object",2]'),
    "other typed arrays": rich('["Float64Array",6],["ArrayBuffer","AAAAAAAAAAA="]'),
    "a key __proto__": rich('{"__proto__":2}'),
    "a key __proto__ without prototype": rich('["null","__proto__",2]'),
    "a sparse array": rich("[-7,10,1,2]"),
    "a sparse array of four billion": rich("[-7,4294967295,4294967294,2]"),
    "bytes that are no base64": rich('["Uint8Array",6],["ArrayBuffer",1]'),
    "a view beyond its buffer": rich('["Uint8Array",6,0,4000000000],["ArrayBuffer","AAAA"]'),
    "a number for a buffer": rich('["Uint8Array",2]'),
    "a bigint of letters": rich('["BigInt","x"]'),
    "an index beyond the end": rich("[99]"),
    "100,000 arrays inside one another": rich(
      Array.from({ length: 100_000 }, (_, i) => `[${String(i + 6)}]`).join(","),
    ),
  };

  /** A devalue record whose only value is what is at index 5. */
  function rich(fifth: string): string {
    return `[{"deadline":1,"createdAt":2,"commit":3,"values":4},2000,1000,"c",["Map",3,5],${fifth}]`;
  }

  test("by these tests only for what they say", () => {
    expect(decode(bytesOf(rich('["Set",2,3]'))).values).toStrictEqual({ c: new Set([1000, "c"]) });
    const shared = rich('["Uint8Array",6,1,2],["ArrayBuffer","AAECAw=="]');
    expect(decode(bytesOf(shared)).values).toStrictEqual({
      c: new Uint8Array(new Uint8Array([0, 1, 2, 3]).buffer, 1, 2),
    });
  });

  test.each(Object.entries(hostile))("%s", (_name, text) => {
    const refused = (): SessionRecord => decode(bytesOf(text));
    expect(refused).toThrow(Error);
    expect(refused).not.toThrow(SessionError);
  });

  test("bytes that are not UTF-8", () => {
    const bytes = bytesOf('{"deadline":1,"createdAt":1,"commit":"c","values":{"a":"?"}}');
    bytes[bytes.indexOf(0x3f)] = 0xff;
    expect(() => decode(bytes)).toThrow(TypeError);
  });

  test("holes come back as undefined, and are stored so", () => {
    const decoded = decode(bytesOf(rich("[-2,2,-2]")));
    expect(describeFully(decoded.values)).toBe("{ c: [ undefined, 1000, undefined ] }");
    expect(describeFully(decode(encode(decoded)).values)).toBe("{ c: [ undefined, 1000, undefined ] }");
  });
});

test("arrays 100,000 deep in foreign JSON can be read and do not break the session", async () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  const { manager, load } = await planted(() =>
    bytesOf(`{"deadline":8e15,"createdAt":1,"commit":"c","values":{"deep":${deep},"a":1}}`),
  );
  const session = await load();
  expect(session.get("a")).toBe(1);
  expect(Array.isArray(session.get("deep"))).toBe(true);
  session.remove("deep");
  session.put("b", 2);
  await manager.commit(session);
  expect((await load()).keys()).toStrictEqual(["a", "b"]);
});

describe("a format of a later version is a fault of the store, not garbage", () => {
  test.each(["scs2", "scs", "scs\0\xff", "scs{}"])("%j", async (text) => {
    const refusal = expect.objectContaining({ code: "store-unavailable", status: 503 }) as SessionError;
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    expect(() => decode(bytes)).toThrow(refusal);
    const { load, stored } = await planted(() => bytes);
    await expect(load()).rejects.toThrow(refusal);
    expect(await stored()).toStrictEqual(Buffer.from(bytes));
  });

  test.each(["sc", "sct", "SCS2", " scs"])("but %j is garbage", (text) => {
    expect(() => decode(bytesOf(text))).toThrow(TypeError);
  });
});

/** A manager whose store holds other bytes than it wrote. */
async function planted(change: (bytes: Uint8Array) => Uint8Array) {
  const store = new MemoryStore();
  const manager = new SessionManager({ store, hashTokenInStore: false, sweepInterval: false });
  const session = await manager.load();
  session.put("user", { id: 1 });
  const { token } = await manager.commit(session);
  const plant = async (bytes: Uint8Array) => store.commit(token, { data: bytes, expiry: new Date(8e15) });
  await plant(change((await store.find(token))!.data));
  return { manager, plant, load: () => manager.load(token), stored: async () => (await store.find(token))?.data };
}

describe("100,000 mutated records", () => {
  const seeds = [
    record({}),
    record({ userId: 1, cart: ["a", { b: null }], text: 'ü"\\\u2028😀' }),
    record({ date: new Date(1), map: new Map([[1, new Set([2n])]]), bytes: new Uint8Array([1, 2, 3]), nan: NaN }),
    record({ bare: Object.assign(Object.create(null) as object, { a: [undefined, -0] }), key: "__proto__" }),
    { ...record({}), successor: "next" },
  ].map(encode);
  const parts = ['"__proto__"', "-7", "4294967295", "1e999", '["Map"', '["Set"', '["Date"', "constructor", "null", "[", "{", "]", "}", ",", ":", "-2", '"'].map(bytesOf); // prettier-ignore

  /** A small generator of our own: fast-check would take minutes for so many. */
  function* mutants(count: number, seed: number): Generator<Uint8Array> {
    let state = seed;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    for (let i = 0; i < count; i++) {
      if (i % 10 === 0) {
        yield Uint8Array.from({ length: below(60) }, () => below(256));
        continue;
      }
      let bytes = [...seeds[i % seeds.length]!];
      for (let edits = 1 + below(3); edits > 0; edits--) {
        const at = below(bytes.length + 1);
        switch (below(6)) {
          case 0:
            bytes[Math.min(at, bytes.length - 1)] = below(256);
            break;
          case 1:
            bytes.splice(at, 1 + below(8));
            break;
          case 2:
            bytes.splice(at, below(4), ...parts[below(parts.length)]!);
            break;
          case 3:
            bytes = bytes.slice(0, at);
            break;
          case 4:
            bytes.splice(at, 0, ...bytes.slice(below(bytes.length), below(bytes.length)));
            break;
          default: {
            const digit = bytes.findIndex((byte, index) => index >= at && byte >= 0x30 && byte <= 0x39);
            if (digit !== -1) bytes[digit] = 0x30 + below(10);
          }
        }
      }
      yield Uint8Array.from(bytes);
    }
  }

  test("decode to a record, which can be encoded again, or throw an error", () => {
    let decoded = 0;
    for (const bytes of mutants(100_000, 1)) {
      let result: SessionRecord;
      try {
        result = decode(bytes);
      } catch (error) {
        if (!(error instanceof Error)) throw new Error(`${textOf(bytes)} threw ${String(error)}`, { cause: error });
        continue;
      }
      if (decoded++ % 10 !== 0) continue;
      const again = decode(encode(result));
      if (describeFully(again) !== describeFully(result)) throw new Error(`${textOf(bytes)} changes when stored again`);
    }
    expect(decoded).toBeGreaterThan(1_000);
  }, 60_000);

  test("(20,000 of them) load as a session, or fail as a format of a later version", async () => {
    const { manager, plant, load } = await planted((bytes) => bytes);
    const counts = { fresh: 0, real: 0, later: 0 };
    let undecodable = 0;
    const unsubscribe = subscribe(({ type }) => {
      if (type === "undecodable") undecodable++;
    });
    const later = ["scs", "scs2[]", "scs\n"].map(bytesOf);
    let index = 0;
    for (const bytes of [...mutants(20_000, 2), ...later]) {
      await plant(bytes);
      try {
        const session = await load();
        const values = session.keys().map((key) => [key, session.get(key)]);
        counts[session.isNew ? "fresh" : "real"]++;
        if (session.isNew) expect(values).toStrictEqual([]);
        if (index++ % 10 === 0) {
          session.put("another", 1);
          await manager.commit(session);
        }
      } catch (error) {
        expect(error).toMatchObject({ name: "SessionError", code: "store-unavailable" });
        expect(textOf(bytes).startsWith("scs")).toBe(true);
        counts.later++;
      }
    }
    unsubscribe();
    expect(counts.later).toBe(later.length);
    expect(counts.real).toBeGreaterThan(100);
    expect(undecodable).toBeGreaterThan(10_000);
    expect(counts.fresh).toBeGreaterThanOrEqual(undecodable);
  }, 60_000);
});
