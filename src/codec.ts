/** Records to bytes and back: JSON where the values are plain, devalue where they are not. */

import { Buffer } from "node:buffer";
import * as devalue from "devalue";
import { SessionError } from "./errors.ts";
import type { Values } from "./values.ts";

/** What is stored under a token. Times are milliseconds since the epoch. */
export interface SessionRecord {
  readonly values: Values;
  /** When the session ends, whatever is done with it. */
  readonly deadline: number;
  readonly createdAt: number;
  /** Whether its cookie is to outlive the browser where cookies are not persistent. */
  readonly rememberMe: boolean;
  /** Names the commit that wrote it, so that a writer whose answer was lost recognises its own write. */
  readonly commit: string;
  /** Makes it a marker: the session was renewed and lives on under this store key. A marker has no values. */
  readonly successor?: string | undefined;
  /** Whatever the codec wants to see again when the record is encoded. */
  readonly state?: unknown;
}

/** Which record it is: a codec that encrypts binds to both. */
export interface CodecContext {
  /** The store key. */
  readonly key: string;
  /** The name of the manager's transport: its cookie's name, by default. */
  readonly manager: string;
}

/**
 * Turns records into bytes. `decode` throws for garbage, which becomes a fresh session and an event; it throws a
 * `SessionError` `store-unavailable` for a format or key that it does not know, so that a rolling deployment logs nobody out.
 */
export interface Codec {
  encode(record: SessionRecord, context: CodecContext): Uint8Array;
  decode(bytes: Uint8Array, context: CodecContext): SessionRecord;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** The first byte tells the format. */
const json = 0x7b; // {
const rich = 0x5b; // [

/** UTF-8 has no halves of surrogate pairs; JSON escapes them, devalue does not. */
const loneSurrogates = /\p{Surrogate}/gu;
const escape = (half: string): string => `\\u${half.charCodeAt(0).toString(16)}`;

/** Refuses what devalue can bring back and a session cannot hold, and arrays that claim a length of billions. */
const operations = {
  createArray: (length: number): unknown[] => new Array<unknown>(length).fill(undefined), // without holes
  createSparseArray: refuse,
  fromRegExpInfo: refuse,
  fromStringValue: refuse,
  box: refuse,
  fromViewInfo(tag: string, buffer: ArrayBuffer, byteOffset?: number, length?: number): Uint8Array {
    return tag === "Uint8Array" ? new Uint8Array(buffer, byteOffset, length) : refuse();
  },
};

/**
 * The default codec. Brings back what JSON has, and undefined (nested), NaN, Infinity, -0, bigint, Date, Map, Set,
 * Uint8Array, objects without prototype, shared references and cycles.
 */
export const defaultCodec: Codec = Object.freeze({
  encode({ values, deadline, createdAt, rememberMe, commit, successor }: SessionRecord): Uint8Array {
    const record = { deadline, createdAt, rememberMe: rememberMe || undefined, commit, successor, values };
    if (isPlain(values)) return Buffer.from(JSON.stringify(record));
    const text = devalue.stringify({ ...record, values: new Map(Object.entries(values)) });
    return Buffer.from(text.replace(loneSurrogates, escape));
  },

  decode(bytes: Uint8Array): SessionRecord {
    const format = bytes[0];
    if (format === json) return toRecord(JSON.parse(decoder.decode(bytes)));
    if (format === rich) {
      const record = toObject(devalue.parse(decoder.decode(bytes), undefined, { operations }));
      if (!(record["values"] instanceof Map)) return refuse();
      return toRecord({ ...record, values: Object.fromEntries(record["values"] as Map<string, unknown>) });
    }
    // Every later format of this library starts with these letters: "scs" and one of its own.
    if (decoder.decode(bytes.subarray(0, 3)) === "scs") {
      const remedy = "Is a newer version of scs-session, or another codec, writing to this store?";
      throw new SessionError(
        "store-unavailable",
        `A stored session has a format that this codec does not know. ${remedy}`,
      );
    }
    return refuse();
  },
});

function refuse(): never {
  throw new TypeError("not a session record");
}

function toRecord(parsed: unknown): SessionRecord {
  const { values, deadline, createdAt, rememberMe, commit, successor } = toObject(parsed);
  if (!isTime(deadline) || !isTime(createdAt) || typeof commit !== "string") return refuse();
  if (successor !== undefined && typeof successor !== "string") return refuse();
  return { values: toObject(values), deadline, createdAt, rememberMe: rememberMe === true, commit, successor };
}

/** Whether a Date can have it. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= 8.64e15;
}

function toObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse();
  return value as Record<string, unknown>;
}

/** Whether JSON brings it back as it is. Deep values, shared references and cycles are left to devalue. */
function isPlain(values: Values): boolean {
  const seen = new Set<object>();
  for (const key in values) if (!isPlainPart(values[key], seen, 1)) return false;
  return true;
}

function isPlainPart(part: unknown, seen: Set<object>, depth: number): boolean {
  switch (typeof part) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(part) && !Object.is(part, -0);
    case "object":
      break;
    default:
      return false;
  }
  if (part === null) return true;
  if (depth > 50 || seen.has(part) || "toJSON" in part) return false;
  seen.add(part);
  if (Array.isArray(part)) {
    return !part.includes(undefined) && part.every((member) => isPlainPart(member, seen, depth + 1));
  }
  if (Object.getPrototypeOf(part) !== Object.prototype) return false;
  for (const name in part) if (!isPlainPart((part as Values)[name], seen, depth + 1)) return false;
  return true;
}
