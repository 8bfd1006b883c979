/** Sessions in the memory of one process: the default, for development, tests and single servers. */

import { Buffer } from "node:buffer";
import { systemClock, type Clock } from "../clock.ts";
import { SessionError } from "../errors.ts";
import type { ReplaceAnswer, SessionToStore, Store, StoredSession } from "../store.ts";

/** The options of a `MemoryStore`. */
export interface MemoryStoreOptions {
  /**
   * How many sessions are kept at most, so that strangers cannot fill the memory. When there are more, sessions without
   * subject go first, and of those the one that was used longest ago; never the one just written. Undefined: no limit.
   *
   * @default undefined
   */
  readonly maxSessions?: number | undefined;
  /** By which time expired sessions are swept. Undefined: the system's. */
  readonly clock?: Clock | undefined;
}

interface Entry {
  /** The bytes as a string of one byte per character: a third of the memory of a Uint8Array, and compared natively. */
  readonly data: string;
  expiry: number;
  readonly subject: string | undefined;
}

/** Where shared stores are: this module may be loaded several times, too. */
const slot = Symbol.for("scs-session.memory");

/** How many entries a sweep looks at before it lets other work run. */
const sliceOfSweep = 20_000;

/**
 * A store in memory. Every ability of `Store`; abort signals do nothing, since every call is done at once. Expired sessions
 * are removed by the manager's sweep.
 */
export class MemoryStore implements Store {
  readonly #maxSessions: number;
  readonly #clock: Clock;
  /** In the order of their last use where there is a limit, like the tokens below. */
  readonly #entries = new Map<string, Entry>();
  readonly #anonymous = new Set<string>();
  readonly #bySubject = new Map<string, Set<string>>();
  readonly #watchers = new Set<(token: string) => void>();
  /** Where the next batch of a sweep goes on. */
  #sweep: MapIterator<[string, Entry]> | undefined;

  constructor(options: MemoryStoreOptions = {}) {
    const { maxSessions = Infinity } = options;
    if (!(maxSessions >= 1)) throw new SessionError("invalid-option", "maxSessions must be a number above zero.");
    this.#maxSessions = maxSessions;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * The store of this name that the whole process shares, made with these options on first use. For frameworks that load a
   * module several times, as Next.js does, and development servers that load it again: each copy finds the same sessions.
   */
  static shared(name = "session", options: MemoryStoreOptions = {}): MemoryStore {
    const holder = globalThis as Record<symbol, Map<string, MemoryStore> | undefined>;
    const stores = (holder[slot] ??= new Map<string, MemoryStore>());
    const store = stores.get(name) ?? new MemoryStore(options);
    stores.set(name, store);
    return store;
  }

  find(token: string): Promise<StoredSession | undefined> {
    const entry = this.#entries.get(token);
    if (entry !== undefined && this.#maxSessions < Infinity) this.#use(token, entry);
    return Promise.resolve(entry && toStored(entry));
  }

  commit(token: string, session: SessionToStore): Promise<void> {
    this.#set(token, session);
    return Promise.resolve();
  }

  delete(token: string): Promise<void> {
    this.#remove(token);
    this.#tell(token);
    return Promise.resolve();
  }

  replace(token: string, expected: Uint8Array, next: SessionToStore | undefined): Promise<ReplaceAnswer> {
    const entry = this.#entries.get(token);
    if (entry === undefined) return Promise.resolve("missing");
    if (entry.data !== toText(expected)) return Promise.resolve("conflict");
    if (next === undefined) this.#remove(token);
    else this.#set(token, next);
    if (next === undefined || next.ended === true) this.#tell(token);
    return Promise.resolve("replaced");
  }

  touch(token: string, expiry: Date): Promise<boolean> {
    const entry = this.#entries.get(token);
    if (entry !== undefined) entry.expiry = expiry.getTime();
    return Promise.resolve(entry !== undefined);
  }

  async *all(): AsyncGenerator<[token: string, session: StoredSession]> {
    // Of the keys as they are now: what is written meanwhile moves to the end, and would come again and again.
    for (const token of [...this.#entries.keys()]) {
      const entry = this.#entries.get(token);
      if (entry !== undefined) yield [token, toStored(entry)];
    }
  }

  async *findBySubject(subject: string): AsyncGenerator<[token: string, session: StoredSession]> {
    for (const token of [...(this.#bySubject.get(subject) ?? [])]) {
      const entry = this.#entries.get(token);
      if (entry !== undefined) yield [token, toStored(entry)];
    }
  }

  watch(listener: (token: string) => void): Promise<() => Promise<void>> {
    const watcher = (token: string): void => listener(token);
    this.#watchers.add(watcher);
    return Promise.resolve(async () => void this.#watchers.delete(watcher));
  }

  async deleteExpired(limit: number): Promise<number> {
    const now = this.#clock.now();
    let fromStart = this.#sweep === undefined;
    let seen = 0;
    let deleted = 0;
    while (deleted < limit) {
      this.#sweep ??= this.#entries.entries();
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        if (fromStart) break;
        fromStart = true;
        continue;
      }
      const [token, { expiry }] = next.value;
      if (expiry <= now) {
        this.#remove(token);
        deleted++;
      }
      if (++seen % sliceOfSweep === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    return deleted;
  }

  #set(token: string, { data, expiry, subject }: SessionToStore): void {
    this.#remove(token);
    this.#entries.set(token, { data: toText(data), expiry: expiry.getTime(), subject });
    if (subject === undefined) {
      if (this.#maxSessions < Infinity) this.#anonymous.add(token);
    } else {
      const tokens = this.#bySubject.get(subject) ?? new Set();
      this.#bySubject.set(subject, tokens.add(token));
    }
    while (this.#entries.size > this.#maxSessions) this.#evict(token);
  }

  /** Puts it last in the row: its request may be about to renew it, which takes a place before it gives one back. */
  #use(token: string, entry: Entry): void {
    this.#entries.delete(token);
    this.#entries.set(token, entry);
    if (this.#anonymous.delete(token)) this.#anonymous.add(token);
  }

  #tell(token: string): void {
    for (const watcher of this.#watchers) watcher(token);
  }

  #evict(newest: string): void {
    const [first] = this.#anonymous;
    const [oldest] = this.#entries.keys();
    const victim = first === undefined || (first === newest && this.#anonymous.size === 1) ? oldest : first;
    if (victim === undefined) return;
    this.#remove(victim);
    this.#tell(victim);
  }

  #remove(token: string): void {
    const entry = this.#entries.get(token);
    if (entry === undefined) return;
    this.#entries.delete(token);
    this.#anonymous.delete(token);
    if (entry.subject === undefined) return;
    const tokens = this.#bySubject.get(entry.subject);
    tokens?.delete(token);
    if (tokens?.size === 0) this.#bySubject.delete(entry.subject);
  }
}

function toText(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1");
}

function toStored({ data, expiry }: Entry): StoredSession {
  return { data: Buffer.from(data, "latin1"), expiry: new Date(expiry) };
}
