/**
 * A codec for the tests: what SCS's GobCodec writes, `struct { Deadline time.Time; Values map[string]interface{} }`, with
 * values that are no lists and no objects. What SCS does not know is in further fields, which Go skips.
 */

import { Buffer } from "node:buffer";
import type { Codec, SessionRecord } from "scs-session";

/** The type of Go that each value had, for those that cannot be told by their values. */
type Types = Readonly<Record<string, string>>;

const ids: Readonly<Record<string, number>> = { bool: 1, int: 2, uint: 3, float64: 4, "[]uint8": 5, string: 6 };
const [ofRecord, ofTime, ofValues] = [65, 66, 67];
const ofInterface = 8;

const fields: readonly (readonly [name: string, id: number])[] = [
  ["Deadline", ofTime],
  ["Values", ofValues],
  ["CreatedAt", 2],
  ["Commit", 6],
  ["Successor", 6],
];

export const gobCodec: Codec = {
  encode({ values, deadline, createdAt, rememberMe, commit, successor, state }: SessionRecord): Uint8Array {
    const all = rememberMe ? { ...values, __rememberMe: true } : values;
    const types = (state ?? {}) as Types;
    const parts = Object.entries(all).map(([key, value]) => Buffer.concat([text(key), element(value, types[key])]));
    const record = [
      ...[uint(1), lengthed(time(deadline)), uint(1), uint(parts.length), ...parts],
      ...[uint(1), int(createdAt), uint(1), text(commit)],
      ...(successor === undefined ? [] : [uint(1), text(successor)]),
      uint(0),
    ];
    return Buffer.concat([...definitions, message(ofRecord, ...record)]);
  },

  decode(bytes: Uint8Array): SessionRecord {
    const input = new Input(bytes);
    const names = new Map<number, string[]>();
    for (;;) {
      const end = input.uint() + input.at;
      const id = input.int();
      if (id > 0) return toRecord(input, names.get(id) ?? []);
      names.set(-id, fieldsOfDefinition(input));
      input.at = end;
    }
  },
};

/** The names of the fields of a type, if it is a struct. */
function fieldsOfDefinition(input: Input): string[] {
  if (input.uint() !== 3) return [];
  const names: string[] = [];
  let field = 0;
  for (let delta = input.uint(); delta !== 0; delta = input.uint()) {
    field += delta;
    if (field === 1) common(input);
    else for (let left = input.uint(); left > 0; left--) names.push(common(input));
  }
  return names;
}

/** A name, and a number that nobody needs. */
function common(input: Input): string {
  let [name, field] = ["", 0];
  for (let delta = input.uint(); delta !== 0; delta = input.uint()) {
    field += delta;
    if (field === 1) name = input.text();
    else input.int();
  }
  return name;
}

function toRecord(input: Input, names: readonly string[]): SessionRecord {
  const types: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  let [deadline, createdAt, commit, field] = [0, 0, "", -1];
  let successor: string | undefined;
  for (let delta = input.uint(); delta !== 0; delta = input.uint()) {
    field += delta;
    const name = names[field];
    if (name === "Deadline") deadline = toTime(input.bytes());
    else if (name === "CreatedAt") createdAt = input.int();
    else if (name === "Commit") commit = input.text();
    else if (name === "Successor") successor = input.text();
    else if (name !== "Values") throw new TypeError("not a session of SCS");
    else {
      for (let left = input.uint(); left > 0; left--) {
        const key = input.text();
        const type = input.text();
        types[key] = type;
        values[key] = toValue(input, type);
      }
    }
  }
  const { __rememberMe: rememberMe, ...rest } = values;
  return { values: rest, deadline, createdAt, rememberMe: rememberMe === true, commit, successor, state: types };
}

function toValue(input: Input, type: string): unknown {
  if (type === "") return null;
  input.int();
  const end = input.uint() + input.at;
  input.uint();
  const value = {
    bool: () => input.uint() === 1,
    float64: () => input.float(),
    "[]uint8": () => new Uint8Array(input.bytes()),
    string: () => input.text(),
    "time.Time": () => new Date(toTime(input.bytes())),
  }[type];
  const result = value === undefined ? input.int() : value();
  if (input.at !== end) throw new TypeError("not a value that this codec knows");
  return result;
}

function element(value: unknown, before: string | undefined): Buffer {
  const [type, bytes] = typed(value, before);
  const content = Buffer.concat([uint(0), bytes]);
  return Buffer.concat([text(type), int(ids[type] ?? (type === "time.Time" ? ofTime : 2)), lengthed(content)]);
}

/** Numbers keep the type that Go gave them. */
function typed(value: unknown, before: string | undefined): [type: string, bytes: Buffer] {
  if (typeof value === "string") return ["string", text(value)];
  if (typeof value === "boolean") return ["bool", uint(value ? 1 : 0)];
  if (value instanceof Uint8Array) return ["[]uint8", lengthed(value)];
  if (value instanceof Date) return ["time.Time", lengthed(time(value.getTime()))];
  if (typeof value !== "number") throw new TypeError("not a value that this codec knows");
  if (Number.isSafeInteger(value) && before !== "float64") return [before === "int64" ? before : "int", int(value)];
  const bits = Buffer.alloc(8);
  bits.writeDoubleLE(value);
  return ["float64", uint(bits.readBigUInt64BE())];
}

function uint(value: number | bigint): Buffer {
  if (value < 128) return Buffer.from([Number(value)]);
  const hex = value.toString(16);
  const digits = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return Buffer.concat([Buffer.from([256 - digits.length]), digits]);
}

function int(value: number): Buffer {
  const big = BigInt(value);
  return uint(big < 0n ? (~big << 1n) | 1n : big << 1n);
}

function lengthed(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint(bytes.length), bytes]);
}

function text(value: string): Buffer {
  return lengthed(Buffer.from(value));
}

function message(id: number, ...parts: readonly Buffer[]): Buffer {
  return lengthed(Buffer.concat([int(id), ...parts]));
}

/** Seconds from year 1 to 1970. */
const epoch = 62_135_596_800;

function time(milliseconds: number): Buffer {
  const bytes = Buffer.alloc(15);
  bytes[0] = 1;
  bytes.writeBigInt64BE(BigInt(Math.floor(milliseconds / 1000) + epoch), 1);
  bytes.writeInt32BE((((milliseconds % 1000) + 1000) % 1000) * 1_000_000, 9);
  bytes.writeInt16BE(-1, 13);
  return bytes;
}

function toTime(bytes: Buffer): number {
  return (Number(bytes.readBigInt64BE(1)) - epoch) * 1000 + Math.floor(bytes.readInt32BE(9) / 1_000_000);
}

const definitions: readonly Buffer[] = [
  message(
    -ofRecord,
    ...[uint(3), uint(1), uint(2), int(ofRecord), uint(0), uint(1), uint(fields.length)],
    ...fields.flatMap(([name, id]) => [uint(1), text(name), uint(1), int(id), uint(0)]),
    ...[uint(0), uint(0)],
  ),
  message(-ofTime, ...[uint(5), uint(1), uint(1), text("Time"), uint(1), int(ofTime), uint(0), uint(0), uint(0)]),
  message(
    -ofValues,
    ...[uint(4), uint(1), uint(1), text("map[string]interface {}"), uint(1), int(ofValues), uint(0)],
    ...[uint(1), int(6), uint(1), int(ofInterface), uint(0), uint(0)],
  ),
];

/** Reads what gob writes. */
class Input {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  #big(): bigint {
    const first = this.#bytes.readUInt8(this.at++);
    if (first < 128) return BigInt(first);
    const digits = this.#take(256 - first);
    return BigInt(`0x${digits.toString("hex")}`);
  }

  #take(length: number): Buffer {
    if (this.at + length > this.#bytes.length) throw new RangeError("the bytes end too early");
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  uint(): number {
    return Number(this.#big());
  }

  int(): number {
    const big = this.#big();
    return Number(big & 1n ? ~(big >> 1n) : big >> 1n);
  }

  float(): number {
    const bits = Buffer.alloc(8);
    bits.writeBigUInt64BE(this.#big());
    return bits.readDoubleLE();
  }

  bytes(): Buffer {
    return this.#take(this.uint());
  }

  text(): string {
    return this.bytes().toString();
  }
}
