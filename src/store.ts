/** The contract of a session store: three verbs, opaque bytes, an absolute expiry. */

/** What a store keeps under a token. */
export interface StoredSession {
  /** The encoded session. Opaque to the store; never changed in place. */
  readonly data: Uint8Array;
  /** When the session ends. Stores use it to sweep; whether a session is still valid is judged by the manager. */
  readonly expiry: Date;
}

/** What a store is given to keep. */
export interface SessionToStore extends StoredSession {
  /** Whose session it is, for the index of `findBySubject`. Never read back. */
  readonly subject?: string | undefined;
  /** When the session ends at the latest: no later `touch` moves its expiry beyond. Undefined: the expiry. */
  readonly deadline?: Date | undefined;
  /** Whether this is only what a renewal leaves under the old token: that session has ended, and watchers are told. */
  readonly ended?: boolean | undefined;
}

/** Given to every call of a store. */
export interface CallOptions {
  /** Aborted when nobody waits for the answer any more. What a store does then, it documents. */
  readonly signal: AbortSignal;
  /** `signal.aborted` without the signal, which a manager makes when it is asked for: that costs as much as a short call. */
  readonly aborted?: boolean;
  /** `signal.addEventListener("abort", listener)`, likewise. */
  onAbort?(listener: () => void): void;
  /**
   * False when the caller of `find` has no use for the expiry: a store that would have to ask for it may answer a later one.
   *
   * @default true
   */
  readonly expiry?: boolean;
}

/**
 * The answer of `replace`: the stored bytes were the expected ones (`replaced`), were others (`conflict`), or there were
 * none (`missing`).
 */
export type ReplaceAnswer = "replaced" | "conflict" | "missing";

/**
 * Where sessions live. `find`, `commit` and `delete` are required; the other methods are abilities. Without `replace`
 * the last write wins, as in SCS: parallel requests overwrite each other and a slow one can bring an ended session back.
 *
 * - The `token` of a call is the store's key: by default the SHA-256 of what the cookie carries. Compare it byte by byte.
 * - A rejection means a fault of the system. What is absent or no longer valid is `undefined`, not an error.
 * - Errors carry no statements, arguments or data. Deadlocks and serialisation failures are retried, not surfaced.
 * - Bytes are copied on the way in and on the way out.
 */
export interface Store {
  /** The session under a token, or undefined. */
  find(token: string, options?: CallOptions): Promise<StoredSession | undefined>;
  /** Creates or overwrites. */
  commit(token: string, session: SessionToStore, options?: CallOptions): Promise<void>;
  /** Deletes; does nothing when there is nothing. */
  delete(token: string, options?: CallOptions): Promise<void>;

  /** Writes `next`, or deletes when it is undefined, if and only if the stored bytes equal `expected`: one atomic step. */
  replace?(
    token: string,
    expected: Uint8Array,
    next: SessionToStore | undefined,
    options?: CallOptions,
  ): Promise<ReplaceAnswer>;
  /** Moves the expiry. Never creates; false when there is nothing under the token. */
  touch?(token: string, expiry: Date, options?: CallOptions): Promise<boolean>;
  /** Every session, in pages; sessions that come or go meanwhile may be missed. */
  all?(): AsyncIterable<[token: string, session: StoredSession]>;
  /** The sessions that were stored with this subject, and possibly some that no longer have it. */
  findBySubject?(subject: string): AsyncIterable<[token: string, session: StoredSession]>;
  /** Deletes at most `limit` sessions whose expiry has passed, and says how many. */
  deleteExpired?(limit: number): Promise<number>;
  /**
   * Calls `listener` with the token of every session that any process ends from now on: deletes, or replaces by one that is
   * `ended`; and with undefined when some may have been missed. It may be called too often. That a session expires is not
   * told. The function that it answers with ends it.
   */
  watch?(listener: (token: string | undefined) => void): Promise<() => Promise<void>>;
  /** Stops what the store itself started. The client it was given stays open. */
  close?(): Promise<void>;
}
