// What the properties are tested with.
import { inspect } from "node:util";
import fc from "fast-check";

const anyString = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.constantFrom("", "\ud800", "__proto__x", "\u2028", '"', "\\", "</script>", "\0"),
);

/** Keys of objects: all but `__proto__`, which no object of a session can have. */
const anyName = fc
  .oneof(fc.constantFrom("constructor", "toString", "toJSON", "then", "0", "length"), anyString)
  .filter((name) => name !== "__proto__"); // fast-check knows it, too

/** Keys of a session: any string. */
export const anyKey: fc.Arbitrary<string> = fc.oneof(fc.constantFrom("__proto__", "constructor", "valueOf"), anyString);

const anyBytes = fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes));

/** Everything that a session can hold, but for shared references and cycles. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.oneof(
      anyString,
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom<unknown>(null, -0, NaN, Infinity, -Infinity, new Date(NaN)),
      fc.bigInt(),
      fc.date({ noInvalidDate: false }),
      anyBytes,
    ),
    fc.array(fc.option(tie("value"), { nil: undefined }), { maxLength: 5 }),
    fc.dictionary(anyName, fc.option(tie("value"), { nil: undefined }), { maxKeys: 5, noNullPrototype: false }),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie("value"), { maxLength: 4 }).map((members) => new Set(members)),
  ),
})).value;

/** All that can be told of a value, as text: also where equality stumbles over invalid Dates or a key `constructor`. */
export function describeFully(value: unknown): string {
  return inspect(value, { depth: Infinity, maxArrayLength: null, maxStringLength: null });
}
