/** What the cases of the store contract share. */

import type { CallOptions, SessionToStore, Store, StoredSession } from "../../store.ts";
import { same } from "../check.ts";

/** The abilities of a store: its optional methods. */
export type Ability = "replace" | "touch" | "all" | "findBySubject" | "deleteExpired" | "watch";

/** One statement of the contract. */
export interface Case {
  readonly name: string;
  /** What the store must be able to do for it. */
  readonly needs?: readonly Ability[];
  check(store: Required<Store>): Promise<void>;
}

/** A key as the manager makes them: 43 characters of base64url, and no other case has it. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(43));
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return Array.from(bytes, (byte) => letters[byte % 64]).join("");
}

/** Several of them. */
export const newKeys = (count: number): string[] => Array.from({ length: count }, newKey);

/** A text as bytes. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A time as a store is given it: to the millisecond. */
export const inMs = (ms: number): Date => new Date(Date.now() + ms);

/** A session to be stored, for an hour if nothing else is said. */
export function session(text: string, more: Partial<SessionToStore> = {}): SessionToStore {
  return { data: bytes(text), expiry: inMs(3_600_000), ...more };
}

/** The data stored under a key, as text. */
export async function textAt(store: Store, key: string): Promise<string | undefined> {
  const found = await store.find(key);
  return found && new TextDecoder().decode(found.data);
}

/** Data and expiry of what was found. */
export function sameSession(what: string, found: StoredSession | undefined, expected: SessionToStore): void {
  if (found === undefined) throw new Error(`${what}: nothing was found.`);
  if (!(found.data instanceof Uint8Array)) throw new Error(`${what}: data is no Uint8Array.`);
  same(`${what}, data`, found.data, expected.data);
  same(`${what}, expiry`, found.expiry, expected.expiry);
}

/** The keys that a store lists, sorted. */
export async function keysOf(rows: AsyncIterable<[string, StoredSession]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of rows) keys.push(key);
  return keys.sort();
}

/** Does `work` for every item, 50 at a time. */
export async function forEach<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += 50) await Promise.all(items.slice(i, i + 50).map(work));
}

/**
 * Whether a call of the store went through. A rejection must be an Error, and tell nothing of `secrets`: neither in its
 * message nor in what else it carries.
 */
export async function succeeds(
  what: string,
  call: () => Promise<unknown>,
  secrets: readonly string[] = [],
): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (!(error instanceof Error)) {
      throw new Error(`${what} rejected with something that is no Error.`, { cause: error });
    }
    const text = textOf(error, 5);
    if (secrets.some((secret) => secret.length >= 8 && text.includes(secret))) {
      throw new Error(`${what} rejected with an error that tells the key, the subject or the data.`, { cause: error });
    }
    return false;
  }
}

/** Every text in a value, so many levels deep: drivers hang statements, arguments and whole clients on their errors. */
function textOf(value: unknown, depth: number): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value !== "object" || value === null || depth === 0) return "";
  const properties = Object.values(Object.getOwnPropertyDescriptors(value));
  return properties.map((property) => textOf(property.value, depth - 1)).join("\n");
}

/** Rejects, saying what has not ended, when it has not after so long. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} has not ended after ${String(ms)} ms.`));
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What every call of a manager carries, when nobody asks for the expiry. */
export const withoutExpiry = (): CallOptions => ({ signal: new AbortController().signal, expiry: false });
