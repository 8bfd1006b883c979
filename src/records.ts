/** The store as the commit sees it: records instead of bytes, judged by our clock, with errors that leak nothing. */

import { stringify } from "devalue";
import type { Clock } from "./clock.ts";
import type { Codec, SessionRecord } from "./codec.ts";
import { SessionError, storeError } from "./errors.ts";
import type { Publish } from "./events.ts";
import type { Limit } from "./limit.ts";
import type { ReplaceAnswer, SessionToStore, Store, StoredSession } from "./store.ts";
import { sha256 } from "./token.ts";
import type { Values } from "./values.ts";

/** A record as it was last seen in the store. */
export interface Found {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly record: SessionRecord;
  /** Until when it is valid, in milliseconds since the epoch. */
  readonly expiry: number;
}

/** Tells whose session it is by its values. */
export type SubjectOf = (values: Values) => string | number | bigint | null | undefined;

/** Whether it only points to the session that it was renewed into. */
export function isMarker(found: Found): boolean {
  return found.record.successor !== undefined;
}

/** How long a marker stays under the token of a renewed session. */
const markerLifetime = 60_000;

/** What it takes to read and write records. */
export interface RecordsOptions {
  readonly store: Store;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly name: string;
  readonly hashTokenInStore: boolean;
  readonly idleTimeout: number | undefined;
  readonly maxBytes: number;
  readonly subject: SubjectOf | undefined;
  readonly publish: Publish;
}

/** The records of one manager. */
export class Records {
  readonly #options: RecordsOptions;

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** The store's key for a token. */
  keyOf(token: string): string {
    return this.#options.hashTokenInStore ? sha256(token) : token;
  }

  /** What may be shown of a session: the hash of its token. */
  idOf(key: string): string {
    return this.#options.hashTokenInStore ? key : sha256(key);
  }

  /** Whose session it is, or undefined. */
  subjectOf(values: Values): string | undefined {
    try {
      return this.#options.subject?.(values)?.toString();
    } catch (error) {
      const threw = error instanceof Error ? error.name : typeof error;
      const remedy = "it is asked about sessions of nobody, too: subject: (data) => data.user?.id";
      throw new SessionError("invalid-option", `The option subject threw (${threw}); ${remedy}.`, { cause: error });
    }
  }

  /** When a record that is written or touched now expires. */
  expiryOf(deadline: number): number {
    const { idleTimeout, clock } = this.#options;
    return idleTimeout === undefined ? deadline : Math.min(deadline, clock.now() + idleTimeout);
  }

  /** The record under a key, if it is one and still valid. */
  find(key: string, limit: Limit): Promise<Found | undefined> {
    return this.#find(key, limit, (stored) => {
      const found = stored && this.decode(key, stored);
      return found !== undefined && this.isValid(found) ? found : undefined;
    });
  }

  /** `find` for the key of a token that a client sent: says why there is nothing. */
  load<T>(key: string, limit: Limit, use: (found: Found | undefined) => T): Promise<T> {
    return this.#find(key, limit, (stored) => {
      const { publish } = this.#options;
      if (stored === undefined) publish({ type: "refused", reason: "unknown" });
      const found = stored && this.decode(key, stored);
      if (found === undefined || this.isValid(found)) return use(found);
      if (!isMarker(found)) publish({ type: "expired", session: this.idOf(key) });
      return use(undefined);
    });
  }

  /** Whether it is not over yet, by our clock. */
  isValid(found: Found): boolean {
    return found.expiry > this.#options.clock.now();
  }

  /** What a store handed out, as a record; undefined if it is none. */
  decode(key: string, { data, expiry }: StoredSession): Found | undefined {
    const { codec, name, publish } = this.#options;
    try {
      const record = codec.decode(data, { key, manager: name });
      return { key, bytes: data, record, expiry: Math.min(expiry.getTime(), record.deadline) };
    } catch (error) {
      if (error instanceof SessionError) {
        publish({ type: "store-error", error });
        throw error;
      }
      publish({ type: "undecodable", session: this.idOf(key) });
      return undefined;
    }
  }

  /** Stores a record under a key that nobody else can know yet. */
  create(key: string, record: SessionRecord, limit: Limit): Promise<Found> {
    const { found, toStore } = this.#encode(key, record, record.values);
    const commit = (): Promise<unknown> => this.#options.store.commit(key, toStore, limit);
    const lost = (latest: Found | undefined): Found | undefined => (isBy(latest, record) ? found : undefined);
    return this.#write(key, limit, commit, () => found, lost);
  }

  /** Replaces what was found by a new record, if it is still there as it was found. `expiry`: another than from now on. */
  replace(at: Found, record: SessionRecord, limit: Limit, expiry?: number): Promise<Found | "conflict" | "missing"> {
    return this.#replaceBy(at, record, record.values, "replaced", limit, expiry);
  }

  /** Replaces what was found by a marker. It stays in the index of its subject, so that `revoke` can follow it. */
  mark(at: Found, successor: string, commit: string, limit: Limit): Promise<Found | "conflict" | "missing"> {
    const createdAt = this.#options.clock.now();
    const deadline = createdAt + markerLifetime;
    const marker = { values: {}, deadline, createdAt, rememberMe: false, commit, successor };
    // When it was carried out and the answer lost, the successor may have been ended since: the caller has to look.
    return this.#replaceBy(at, marker, at.record.values, "conflict", limit);
  }

  /** Deletes what was found, if it is still there as it was found. */
  delete(at: Found, limit: Limit): Promise<ReplaceAnswer> {
    const remove = (): Promise<ReplaceAnswer> => this.#replace(at, undefined, limit);
    const lost = (latest: Found | undefined): ReplaceAnswer | undefined => (latest ? undefined : "replaced");
    return this.#write(at.key, limit, remove, (answer) => answer, lost);
  }

  /** Moves the expiry of a record without rewriting it; false when it is gone. */
  touch(at: Found, expiry: number, limit: Limit): Promise<boolean> {
    const { store } = this.#options;
    const date = new Date(expiry);
    const { deadline, values } = at.record;
    const same = { data: at.bytes, expiry: date, subject: this.subjectOf(values), deadline: new Date(deadline) };
    const touch = async (): Promise<boolean> =>
      store.touch?.(at.key, date, limit) ?? (await this.#replace(at, same, limit)) !== "missing";
    return this.#call("touch a session", limit, touch, (moved) => moved);
  }

  /** `of`: the values that tell whose session it is. `ifLost`: the answer when it was lost and the write carried out. */
  #replaceBy(
    at: Found,
    record: SessionRecord,
    of: Values,
    ifLost: ReplaceAnswer,
    limit: Limit,
    expiry?: number,
  ): Promise<Found | "conflict" | "missing"> {
    const { found, toStore } = this.#encode(at.key, record, of, expiry);
    const replace = (): Promise<ReplaceAnswer> => this.#replace(at, toStore, limit);
    const use = (answer: ReplaceAnswer): Found | "conflict" | "missing" => (answer === "replaced" ? found : answer);
    return this.#write(at.key, limit, replace, use, (latest) => (isBy(latest, record) ? use(ifLost) : undefined));
  }

  #replace(at: Found, next: SessionToStore | undefined, limit: Limit): Promise<ReplaceAnswer> {
    const { store } = this.#options;
    if (store.replace !== undefined) return store.replace(at.key, at.bytes, next, limit);
    // The last write wins, as the contract says of such stores.
    const written = next === undefined ? store.delete(at.key, limit) : store.commit(at.key, next, limit);
    return written.then(() => "replaced");
  }

  /** A write. When its answer was lost, what is stored now may tell: `lost` says what the result is then. */
  #write<Answer, Result>(
    key: string,
    limit: Limit,
    write: () => Promise<Answer>,
    use: (answer: Answer) => Result,
    lost: (latest: Found | undefined) => Result | undefined,
  ): Promise<Result> {
    return this.#call("store a session", limit, write, use, async (fault) => {
      const latest = await this.find(key, limit).catch(() => {
        throw fault;
      });
      const result = lost(latest);
      if (result === undefined) throw fault;
      return result;
    });
  }

  #find<T>(key: string, limit: Limit, use: (stored: StoredSession | undefined) => T): Promise<T> {
    return this.#call("find a session", limit, () => this.#options.store.find(key, limit), use);
  }

  /** One call of the store. No async function: on the way of every request each promise counts. */
  #call<Answer, Result>(
    action: string,
    limit: Limit,
    call: () => Promise<Answer>,
    use: (answer: Answer) => Result,
    recover = (fault: SessionError): Promise<Result> => Promise.reject(fault),
  ): Promise<Result> {
    const fail = (error: unknown): Promise<Result> => {
      const fault = storeError(action, error);
      this.#options.publish({ type: "store-error", error: fault });
      return recover(fault);
    };
    limit.check(); // what nobody waits for any more is not to be started
    try {
      return call().then(use, fail);
    } catch (error) {
      return fail(error);
    }
  }

  #encode(
    key: string,
    record: SessionRecord,
    of: Values,
    expiry = record.successor === undefined ? this.expiryOf(record.deadline) : record.deadline,
  ): { found: Found; toStore: SessionToStore } {
    const { codec, name, maxBytes } = this.#options;
    const bytes = codec.encode(record, { key, manager: name });
    if (bytes.length > maxBytes) throw tooLarge(record.values, bytes.length, maxBytes);
    const dates = { expiry: new Date(expiry), deadline: new Date(record.deadline) };
    const toStore = { data: bytes, ...dates, subject: this.subjectOf(of), ended: record.successor !== undefined };
    return { found: { key, bytes, record, expiry }, toStore };
  }
}

/** Whether it was written by the same commit. */
function isBy(found: Found | undefined, { commit }: SessionRecord): boolean {
  return found?.record.commit === commit;
}

function tooLarge(values: Values, size: number, maxBytes: number): SessionError {
  const largest = Object.keys(values)
    .map((key) => ({ key, size: stringify(values[key]).length }))
    .sort((a, b) => b.size - a.size)
    .slice(0, 3)
    .map((entry) => `"${entry.key}" (about ${String(entry.size)})`)
    .join(", ");
  const remedy = "Keep large data elsewhere and its key in the session, or raise maxBytes.";
  const message = `The session has ${String(size)} bytes, more than maxBytes (${String(maxBytes)}). Largest: ${largest}. ${remedy}`;
  return new SessionError("too-large", message);
}
