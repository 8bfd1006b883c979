/** The session of a request: a state machine without I/O. What is asked of it is carried out by the commit. */

import { Changes, copyOf, perform, type Operation } from "./changes.ts";
import { SessionError } from "./errors.ts";
import type { Found } from "./records.ts";
import type { DeepReadonly, KeyOf, KeyOfType, ValueOf } from "./types.ts";
import { handOut, takeIn, valueOf, type Values } from "./values.ts";

/** Whether a commit would have something to store, or to end. */
export type SessionStatus = "unmodified" | "modified" | "destroyed";

/** What the client is to be told: a token to keep, or to forget the one it has. */
export type Outcome = { readonly token: string; readonly expiry: number; readonly persistent: boolean } | "cleared";

/** What manager and commit know of a session. The application sees only the methods of `Session`. */
export interface SessionState {
  /** Its manager, as far as a session needs it. */
  readonly home: SessionHome;
  /** The token of `stored`; "" where only its hash is known. */
  token: string;
  /** The token with which it was loaded; "" for a new one. */
  presented: string;
  /** The record it stands on; undefined for a new session and for one that is gone. */
  stored: Found | undefined;
  /** Set when it was renewed or ended by another request; `marker` is what is left of it. */
  gone: { readonly marker: Found | undefined } | undefined;
  /** Other live sessions whose tokens came with the request: destroy ends them too. */
  others: readonly Found[];
  values: Values;
  deadline: number;
  createdAt: number;
  rememberMe: boolean;
  status: SessionStatus;
  /** What was asked since the last commit. */
  changes: Changes;
  /** What the commit that runs, or last failed, is carrying out. */
  committing: Changes | undefined;
  /** False when the store failed at load and `outage` is "anonymous". */
  available: boolean;
  /** Whether it is one of `iterate`: there is no client to be told another token. */
  unattended: boolean;
  /** Set once the response can no longer wait for a change: it is on its way, or is to say that the commit has failed. */
  sealed: boolean;
  /** Whether it belongs to a socket, which cannot hand out a token. */
  attached: boolean;
  /** Whether the response may depend on it: something of it was read or changed. */
  observed: boolean;
  /** Settles when the idle timeout that the load has moved is stored; false when it could not be. */
  touched: Promise<boolean> | undefined;
  /** Whether the client is to get its token again: it was signed with an old secret. */
  stale: boolean;
  outcome: Outcome | undefined;
  /** How the commit went that the response waited for. */
  answer: "stored" | "failed" | undefined;
  /** The commit that runs; the next one waits for it. */
  running: Promise<void> | undefined;
  /** The request it belongs to, which sees to it that destroy is carried out even if no response is ever sent. */
  exchange: { onDestroy(): void } | undefined;
}

/** What a session takes from its manager. */
export interface SessionHome {
  readonly lifetime: number;
  now(): number;
  idOf(key: string): string;
}

/** What a helper needs that works with sessions of several managers: any session whose data has these keys and types. */
export type SessionOf<Data extends object> = Pick<Session<Data>, Exclude<keyof Session<Data>, "keys">>;

/** A session where nothing can be changed, and without the secret: safe to hand to the code of a page. */
export type ReadonlySession<Data extends object = Record<string, unknown>> = Pick<
  Session<Data>,
  "get" | "exists" | "keys" | `get${GetterName}` | "id" | "deadline" | "createdAt" | "isNew" | "available"
>;

type GetterName = "String" | "Number" | "Boolean" | "BigInt" | "Bytes" | "Date";

/** Keeps sessions apart whose keys have other types: when it compares sessions, the compiler erases their generic methods. */
type Types<Data> = {
  readonly [K in keyof Data]-?: (value: Exclude<Data[K], undefined>) => Exclude<Data[K], undefined>;
};

/** The state behind a session. */
export let stateOf: <Data extends object>(session: Session<Data>) => SessionState;

/** Whether a value is a session. */
export let isSession: (value: unknown) => boolean;

/** What is asked of a session, to be added to; throws where it cannot be changed. */
export let changesOf: <Data extends object>(session: Session<Data>) => Changes;

/**
 * A session. Every method is synchronous; what was asked for is carried out when the response is sent, all or nothing,
 * or earlier by `await sessions.commit(session)`.
 *
 * Changing methods throw `headers-sent` after the first byte of the response, and `store-unavailable` when the store
 * failed and `outage` is "anonymous".
 */
export class Session<Data extends object = Record<string, unknown>> {
  /** For the compiler only; there is no such property. */
  declare readonly "~types": Types<Data>;
  readonly #state: SessionState;

  static {
    stateOf = (session) => session.#state;
    isSession = (value) => typeof value === "object" && value !== null && #state in value;
    changesOf = (session) => session.#change();
  }

  /** @internal */
  constructor(state: SessionState) {
    this.#state = state;
    Object.preventExtensions(this); // `session.user = …`, as elsewhere, would be lost without a word
  }

  /** The value of a key, or undefined. Values are read-only. */
  get<K extends KeyOf<Data>>(key: K): DeepReadonly<Data[K]> | undefined {
    return handOut(this.#read(key)) as DeepReadonly<Data[K]> | undefined;
  }

  /** Sets a key. The value is copied; throws `invalid-value`, naming the path, for what a session cannot hold. */
  put<K extends KeyOf<Data>>(key: K, value: ValueOf<Data, K>): void {
    this.#perform({ type: "put", key, value: takeIn(key, value) });
  }

  /**
   * Sets a key to what `change` makes of its newest value. When parallel requests conflict, `change` runs again on what
   * the other has stored, so that no update is lost. It must be synchronous and must do nothing else.
   */
  update<K extends KeyOf<Data>>(key: K, change: (value: DeepReadonly<Data[K]> | undefined) => ValueOf<Data, K>): void {
    const safe = (value: unknown): unknown => change(handOut(value) as DeepReadonly<Data[K]> | undefined);
    this.#perform({ type: "update", key, change: safe });
  }

  /**
   * The value of a key, which is removed: for messages that are shown once. Replayed after a conflict it removes only
   * the value that it returned. With `once`, the commit fails with `taken` if another request got the value as well:
   * for one-time codes and OAuth's `state`.
   */
  pop<K extends KeyOf<Data>>(key: K, options?: { readonly once?: boolean }): DeepReadonly<Data[K]> | undefined {
    this.#change();
    if (!this.exists(key)) return undefined;
    const popped = this.#read(key);
    this.#perform({ type: "pop", key, popped, once: options?.once === true });
    return handOut(popped) as DeepReadonly<Data[K]>;
  }

  /** Removes a key; does nothing when there is none. */
  remove(key: KeyOf<Data>): void {
    this.#change();
    if (this.exists(key)) this.#perform({ type: "remove", key });
  }

  /** Whether the key is there. */
  exists(key: KeyOf<Data>): boolean {
    this.#state.observed = true;
    return Object.hasOwn(this.#state.values, key);
  }

  /** All keys, sorted. */
  keys(): KeyOf<Data>[] {
    this.#state.observed = true;
    return Object.keys(this.#state.values).sort() as KeyOf<Data>[];
  }

  /** Removes all keys, and `rememberMe`; token and deadline stay. */
  clear(): void {
    const changes = this.#change();
    if (this.#state.rememberMe) changes.rememberMe = this.#state.rememberMe = false;
    else if (this.keys().length === 0) return;
    this.#perform({ type: "clear" });
  }

  /** The string under a key; "" when it is missing or of another type. */
  getString(key: KeyOfType<Data, string>): string {
    return asString(this.#read(key));
  }

  /** The number under a key; 0 when it is missing or of another type. */
  getNumber(key: KeyOfType<Data, number>): number {
    return asNumber(this.#read(key));
  }

  /** The boolean under a key; false when it is missing or of another type. */
  getBoolean(key: KeyOfType<Data, boolean>): boolean {
    return asBoolean(this.#read(key));
  }

  /** The bigint under a key; 0n when it is missing or of another type. */
  getBigInt(key: KeyOfType<Data, bigint>): bigint {
    return asBigInt(this.#read(key));
  }

  /** A copy of the bytes under a key; empty when they are missing or of another type. */
  getBytes(key: KeyOfType<Data, Uint8Array>): Uint8Array {
    return asBytes(this.#read(key));
  }

  /** The date under a key; undefined when it is missing or of another type. */
  getDate(key: KeyOfType<Data, Date>): Date | undefined {
    return asDate(this.#read(key));
  }

  /** `getString`, then `remove`. */
  popString(key: KeyOfType<Data, string>): string {
    return asString(this.#take(key));
  }

  /** `getNumber`, then `remove`. */
  popNumber(key: KeyOfType<Data, number>): number {
    return asNumber(this.#take(key));
  }

  /** `getBoolean`, then `remove`. */
  popBoolean(key: KeyOfType<Data, boolean>): boolean {
    return asBoolean(this.#take(key));
  }

  /** `getBigInt`, then `remove`. */
  popBigInt(key: KeyOfType<Data, bigint>): bigint {
    return asBigInt(this.#take(key));
  }

  /** `getBytes`, then `remove`. */
  popBytes(key: KeyOfType<Data, Uint8Array>): Uint8Array {
    return asBytes(this.#take(key));
  }

  /** `getDate`, then `remove`. */
  popDate(key: KeyOfType<Data, Date>): Date | undefined {
    return asDate(this.#take(key));
  }

  /**
   * Gives the session a new token and ends the old one. Call it when the user logs in or gains rights (OWASP, Session
   * Management, "Renew the Session ID After Any Privilege Level Change"). The deadline starts anew unless `keepDeadline`.
   */
  renewToken(options?: { readonly keepDeadline?: boolean }): void {
    const changes = this.#change();
    changes.renewal ??= { ownFrom: changes.operations.length };
    if (options?.keepDeadline !== true) this.#moveDeadline(this.#state.home.now() + this.#state.home.lifetime);
    this.#modified();
  }

  /** Ends the session, and every other live one whose token this request sent. What is put afterwards starts a new one. */
  destroy(...none: readonly never[]): void {
    // A callback, as express-session takes one, would never be called.
    if (none.length > 0)
      throw new SessionError("invalid-value", "destroy() takes no argument; it is carried out with the response.");
    const state = this.#state;
    const before = this.#change();
    state.changes = new Changes();
    state.changes.destroy = true;
    state.changes.taking = before.taken();
    state.others = [...state.others, ...before.merged.map(({ found }) => found)];
    state.values = copyOf({});
    state.createdAt = state.home.now();
    state.deadline = state.createdAt + state.home.lifetime;
    state.rememberMe = false;
    state.status = "destroyed";
    state.exchange?.onDestroy();
  }

  /** Whether the cookie outlives the browser, where `cookie.persist` is false. */
  rememberMe(on: boolean): void {
    const changes = this.#change();
    const { stored, gone, rememberMe } = this.#state;
    if (on === rememberMe && stored === undefined && gone === undefined) return; // would store a session with nothing in it
    changes.rememberMe = this.#state.rememberMe = on;
    this.#modified();
  }

  /** Ends the session at another time than `lifetime` would. Throws `invalid-value` for a date that is not ahead. */
  setDeadline(deadline: Date): void {
    this.#change();
    if (!(deadline.getTime() > this.#state.home.now())) {
      throw new SessionError("invalid-value", "The deadline must be ahead; to end the session now, call destroy().");
    }
    this.#moveDeadline(deadline.getTime());
    this.#modified();
  }

  /** The token of the stored session: the secret itself. "" before the first commit, and in `iterate` where it is hashed. */
  get token(): string {
    this.#state.observed = true;
    return this.#state.changes.destroy ? "" : this.#state.token;
  }

  /** The hash of the token, safe to log and to show; undefined before the first commit. */
  get id(): string | undefined {
    this.#state.observed = true;
    const { stored, changes, home } = this.#state;
    return stored === undefined || changes.destroy ? undefined : home.idOf(stored.key);
  }

  get status(): SessionStatus {
    return this.#state.status;
  }

  /** When the session ends, whatever is done with it. */
  get deadline(): Date {
    this.#state.observed = true;
    return new Date(this.#state.deadline);
  }

  get createdAt(): Date {
    this.#state.observed = true;
    return new Date(this.#state.createdAt);
  }

  /** Whether nothing of it is stored yet. */
  get isNew(): boolean {
    this.#state.observed = true;
    const { stored, gone, changes } = this.#state;
    return changes.destroy || (stored === undefined && gone === undefined);
  }

  /** False when the store failed and `outage` is "anonymous": the session reads empty and every change throws. */
  get available(): boolean {
    this.#state.observed = true;
    return this.#state.available;
  }

  #read(key: string): unknown {
    this.#state.observed = true;
    return valueOf(this.#state.values, key);
  }

  #take(key: KeyOf<Data>): unknown {
    const value = this.#read(key);
    this.pop(key);
    return value;
  }

  #change(): Changes {
    const state = this.#state;
    state.observed = true;
    if (!state.available) {
      throw new SessionError(
        "store-unavailable",
        "The session store is out of order, so the session cannot be changed.",
      );
    }
    if (state.sealed) {
      const remedy = "change the session first, or call await sessions.commit(session) before you stream";
      throw new SessionError(
        "headers-sent",
        `The response has started, or its session could not be stored: it is too late for a change; ${remedy}.`,
      );
    }
    return state.changes;
  }

  #perform(operation: Operation): void {
    const changes = this.#change();
    // Until the first operation the values are those of the stored record, which a commit starts from.
    if (changes.operations.length === 0) this.#state.values = copyOf(this.#state.values);
    perform(this.#state.values, operation);
    changes.add(operation);
    this.#modified();
  }

  #moveDeadline(deadline: number): void {
    const { changes } = this.#state;
    changes.deadline = this.#state.deadline = deadline;
    changes.earliestDeadline = undefined;
  }

  #modified(): void {
    this.#state.status = "modified";
  }
}

const asString = (value: unknown): string => (typeof value === "string" ? value : "");
const asNumber = (value: unknown): number => (typeof value === "number" ? value : 0);
const asBoolean = (value: unknown): boolean => value === true;
const asBigInt = (value: unknown): bigint => (typeof value === "bigint" ? value : 0n);
const asBytes = (value: unknown): Uint8Array =>
  value instanceof Uint8Array ? new Uint8Array(value) : new Uint8Array();
const asDate = (value: unknown): Date | undefined => (value instanceof Date ? (handOut(value) as Date) : undefined);
