/** What the cases of the store contract share. */

import type { SessionToStore, Store, StoredSession } from "../../store.ts";
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

/** Whether a call of the store went through; a rejection must be an Error. */
export async function succeeds(what: string, call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof Error) return false;
    throw new Error(`${what} rejected with something that is no Error.`, { cause: error });
  }
}
