/** What a session can hold: how values are taken in, handed out and compared. */

import { stringify } from "devalue";
import { SessionError } from "./errors.ts";

/** The values of a session by key. Look keys up as own properties: they come from the application, `toString` included. */
export type Values = Record<string, unknown>;

type Container = Record<string | number, unknown>;

/**
 * Takes a value in: a deep copy, frozen as far as JavaScript can. Throws `invalid-value`, naming the path, for what no
 * codec could bring back: undefined at the top, functions, symbols, instances of classes.
 */
export function takeIn(key: string, value: unknown): unknown {
  if (value === undefined) throw refusal(key, "undefined", "remove the key instead");
  return seal(copy(value, key, new Map()));
}

/** Hands a value out read-only; bytes, and what holds some, as a copy. */
export function handOut(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (!Object.isFrozen(value)) seal(value);
  return withBytes.has(value) ? seal(copy(value, "", new Map())) : value;
}

/** Whether two values are alike, to the last Date inside. */
export function alike(a: unknown, b: unknown): boolean {
  return a === b || stringify(a) === stringify(b);
}

function refusal(path: string, what: string, remedy: string): SessionError {
  return new SessionError("invalid-value", `A session cannot hold ${what} (at ${path}); ${remedy}.`);
}

/** `seen` keeps shared references shared, and ends at cycles. */
function copy(value: unknown, path: string, seen: Map<object, unknown>): unknown {
  if (typeof value === "function" || typeof value === "symbol") {
    throw refusal(path, `a ${typeof value}`, "put plain data");
  }
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  const keep = <T extends object>(made: T): T => {
    seen.set(value, made);
    return made;
  };
  if (Array.isArray(value)) {
    const list: unknown[] = keep([]);
    for (let i = 0; i < value.length; i++) list.push(copy(value[i], `${path}[${String(i)}]`, seen));
    return list;
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw refusal(path, "an object with symbol keys", "use strings");
  switch (tagOf(value)) {
    case "Object":
      return copyObject(value as Container, path, seen, keep);
    case "Date":
      return keep(new Date((value as Date).getTime()));
    case "Uint8Array":
      return keep(new Uint8Array(value as Uint8Array));
    case "Map": {
      const map = keep(new Map<unknown, unknown>());
      for (const [k, v] of value as Map<unknown, unknown>)
        map.set(copy(k, `${path}.key`, seen), copy(v, `${path}.value`, seen));
      return map;
    }
    case "Set": {
      const set = keep(new Set<unknown>());
      for (const member of value as Set<unknown>) set.add(copy(member, `${path}.member`, seen));
      return set;
    }
    default:
      throw refusal(path, `an instance of ${nameOf(value)}`, "put plain data, a Date, a Map, a Set or a Uint8Array");
  }
}

function copyObject(
  value: Container,
  path: string,
  seen: Map<object, unknown>,
  keep: (made: Container) => Container,
): Container {
  const made = keep(Object.getPrototypeOf(value) === null ? (Object.create(null) as Container) : {});
  for (const name of Object.keys(value)) {
    // Codecs would lose it or refuse it, and code that copies it would change a prototype.
    if (name === "__proto__") throw refusal(path, 'an object with the key "__proto__"', "rename the key");
    made[name] = copy(value[name], `${path}.${name}`, seen);
  }
  return made;
}

/** What kind of value it is, also across realms (vm contexts, test runners); "" for an instance of another class. */
function tagOf(value: object): string {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (tag !== "Object") return tag;
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return plain ? tag : "";
}

function nameOf(value: object): string {
  const { constructor } = value;
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "an unnamed class";
}

/** Values that hold bytes somewhere. Bytes cannot be frozen, so these are handed out as copies. */
const withBytes = new WeakSet<object>();

/** Freezes all the way down. */
function seal(value: unknown): unknown {
  if (freeze(value, new Set())) withBytes.add(value as object);
  return value;
}

/** Whether there are bytes in it. */
function freeze(value: unknown, seen: Set<unknown>): boolean {
  if (typeof value !== "object" || value === null || seen.has(value)) return false;
  if (ArrayBuffer.isView(value)) return true;
  seen.add(value);
  let bytes = false;
  for (const member of membersOf(value)) bytes = freeze(member, seen) || bytes;
  shadowMutators(value);
  Object.freeze(value);
  return bytes;
}

function membersOf(value: object): Iterable<unknown> {
  if (Array.isArray(value)) return value as unknown[];
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].flat();
  if (value instanceof Set) return value as Set<unknown>;
  if (value instanceof Date) return [];
  return Object.values(value) as unknown[];
}

/** Object.freeze does not reach what Dates, Maps and Sets hold. */
function shadowMutators(value: object): void {
  const names =
    value instanceof Date
      ? dateSetters
      : value instanceof Map || value instanceof Set
        ? ["set", "add", "delete", "clear"]
        : [];
  for (const name of names) Object.defineProperty(value, name, { value: refuseChange });
}

const dateSetters = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith("set"));

function refuseChange(): never {
  throw new TypeError("Values of a session are read-only: put a new one, or use update().");
}
