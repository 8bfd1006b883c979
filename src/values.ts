/** What a session can hold: how values are taken in, handed out and compared. */

import { stringify } from "devalue";
import { SessionError } from "./errors.ts";

/** The values of a session by key. Look keys up as own properties: they come from the application, `toString` included. */
export type Values = Record<string, unknown>;

type Container = Record<string | number, unknown>;

/** How many objects may stand inside one another. Codecs recurse, and a request has only so much stack. */
const maxDepth = 500;

/**
 * Takes a value in: a deep copy, frozen as far as JavaScript can. Throws `invalid-value`, naming the path, for what no
 * codec could bring back: undefined at the top, functions, symbols, holes in arrays, instances of classes. Those of
 * subclasses of Array, Date, Map, Set and Uint8Array (such as Buffer) come back as these.
 */
export function takeIn(key: string, value: unknown): unknown {
  if (value === undefined) throw refusal(key, "undefined", "remove the key instead");
  const taken = copy(value, key, new Map(), 0);
  seal(taken);
  return taken;
}

/** Hands a value out read-only; bytes, and what holds some, as a copy. */
export function handOut(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const hasBytes = sealed.get(value) ?? seal(value);
  if (!hasBytes) return value;
  const handed = copy(value, "", new Map(), 0);
  seal(handed);
  return handed;
}

/** The value of a key; undefined for what every object inherits. */
export function valueOf(values: Values, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}

/** Whether two values are alike, to the last Date inside. */
export function alike(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || stringify(a) === stringify(b);
}

function refusal(path: string, what: string, remedy: string, options?: ErrorOptions): SessionError {
  const place = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  return new SessionError("invalid-value", `A session cannot hold ${what} (at ${place}); ${remedy}.`, options);
}

/** `seen` keeps shared references shared, and ends at cycles. */
function copy(value: unknown, path: string, seen: Map<object, unknown>, depth: number): unknown {
  if (typeof value === "function" || typeof value === "symbol") {
    throw refusal(path, `a ${typeof value}`, "put plain data");
  }
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (depth >= maxDepth)
    throw refusal(path, `more than ${String(maxDepth)} objects inside one another`, "flatten them");
  try {
    return copyObject(value, path, seen, depth + 1);
  } catch (error) {
    if (error instanceof SessionError) throw error;
    // A getter threw, or a Proxy or a class pretends to be what it is not.
    throw refusal(path, "an object that cannot be read", "put plain data", { cause: error });
  }
}

function copyObject(value: object, path: string, seen: Map<object, unknown>, depth: number): unknown {
  const keep = <T extends object>(made: T): T => {
    seen.set(value, made);
    return made;
  };
  if (Array.isArray(value)) {
    const list: unknown[] = keep([]);
    for (let i = 0; i < value.length; i++) {
      const at = `${path}[${String(i)}]`;
      const member: unknown = value[i];
      // Before an array with a length of billions and nothing in it is walked to its end.
      if (member === undefined && !(i in value)) throw refusal(at, "an array with holes", "fill them, say with null");
      list.push(copy(member, at, seen, depth));
    }
    return list;
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw refusal(path, "an object with symbol keys", "use strings");
  switch (tagOf(value)) {
    case "Object":
      return copyMembers(value as Container, path, seen, depth, keep);
    case "Date":
      return keep(new Date((value as Date).getTime()));
    case "Uint8Array":
      return keep(new Uint8Array(value as Uint8Array));
    case "Map": {
      const map = keep(new Map<unknown, unknown>());
      for (const [k, v] of value as Map<unknown, unknown>)
        map.set(copy(k, `${path}.key`, seen, depth), copy(v, `${path}.value`, seen, depth));
      return map;
    }
    case "Set": {
      const set = keep(new Set<unknown>());
      for (const member of value as Set<unknown>) set.add(copy(member, `${path}.member`, seen, depth));
      return set;
    }
    default:
      throw refusal(path, `an instance of ${nameOf(value)}`, "put plain data, a Date, a Map, a Set or a Uint8Array");
  }
}

function copyMembers(
  value: Container,
  path: string,
  seen: Map<object, unknown>,
  depth: number,
  keep: (made: Container) => Container,
): Container {
  const made = keep(Object.getPrototypeOf(value) === null ? (Object.create(null) as Container) : {});
  for (const name of Object.keys(value)) {
    // Codecs would lose it or refuse it, and code that copies it would change a prototype.
    if (name === "__proto__") throw refusal(path, 'an object with the key "__proto__"', "rename the key");
    made[name] = copy(value[name], `${path}.${name}`, seen, depth);
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

/** The values that were sealed, and whether they hold bytes: these cannot be frozen, so they are handed out as copies. */
const sealed = new WeakMap<object, boolean>();

/** Freezes all the way down, which costs nothing the second time; answers whether there are bytes in it. */
function seal(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  let hasBytes = false;
  const parts = new Set<object>([value]); // grows while it is walked
  for (const part of parts) {
    if (ArrayBuffer.isView(part)) {
      hasBytes = true;
      continue;
    }
    for (const member of membersOf(part)) if (typeof member === "object" && member !== null) parts.add(member);
    shadowMutators(part);
    Object.freeze(part);
  }
  sealed.set(value, hasBytes);
  return hasBytes;
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
  if (!Object.isExtensible(value)) return; // sealed before, inside another value
  const names =
    value instanceof Date
      ? dateSetters
      : value instanceof Map || value instanceof Set
        ? ["set", "add", "delete", "clear", "getOrInsert", "getOrInsertComputed"]
        : [];
  for (const name of names) if (name in value) Object.defineProperty(value, name, { value: refuseChange });
}

const dateSetters = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith("set"));

function refuseChange(): never {
  throw new TypeError("Values of a session are read-only: put a new one, or use update().");
}
