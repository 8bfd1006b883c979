/** What the methods of a manager take and answer. */

import type { DeepReadonly } from "./types.ts";

/** What `commit` has to say to the client. */
export interface CommitResult {
  /** What the client is to send with its next request; "" when there is no session (any more). */
  readonly token: string;
  /** When the session expires; undefined when there is none. */
  readonly expiry: Date | undefined;
  /** Headers that say so, to be appended to the response; empty when the client has nothing to learn. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A session as `list` shows it. */
export interface ListedSession<Data extends object> {
  /** The hash of its token, as in `session.id`; `revoke` takes it. */
  readonly id: string;
  /** When it began; logging in and renewing do not change that. */
  readonly createdAt: Date;
  /** When it ends, whatever is done with it. */
  readonly deadline: Date;
  /** When it ends if nothing more is done with it. */
  readonly expiry: Date;
  readonly values: Partial<DeepReadonly<Data>>;
}

/** How a session is loaded outside of a request. */
export interface LoadOptions {
  /**
   * Whether it counts as a visit, from which the idle timeout runs anew. Loads by requests always do.
   *
   * @default false
   */
  readonly touch?: boolean;
}

/** Whose sessions: what the option `subject` answers for them. */
export interface OfSubject {
  readonly subject: string | number | bigint;
}
