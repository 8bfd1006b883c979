/** What happened to sessions, for logs and metrics, on Node's diagnostics channel `scs-session`. */

import * as diagnostics from "node:diagnostics_channel";
import type { SessionError } from "./errors.ts";
import { warnOnce } from "./warnings.ts";

/**
 * An event of the channel. It holds no token and no values; `session` is the session's `id`.
 *
 * - `created`, `renewed`, `destroyed`: was carried out. `automatic`: the commit changed the subject and renewed by itself.
 * - `expired`: a request came with the token of a session that is over.
 * - `refused`: a request came with a token that is malformed, wrongly signed, or unknown.
 * - `gone`: a write was dropped, since another request had ended or renewed the session.
 * - `conflict`: another request had written in between; the operations were applied again.
 * - `overwrote`: a key was written that had changed since the session was loaded.
 * - `ambiguous`: a request came with the cookies of live sessions of several subjects; none was taken.
 * - `undecodable`: the stored bytes are no session record; the request got a fresh session.
 * - `store-error`: a store call failed; also where the request did not have to fail for it.
 */
export type SessionEvent = { readonly manager: string } & (
  | {
      readonly type: "created" | "destroyed" | "expired" | "gone" | "conflict" | "undecodable";
      readonly session: string;
    }
  | { readonly type: "renewed"; readonly session: string; readonly successor: string; readonly automatic: boolean }
  | { readonly type: "overwrote"; readonly session: string; readonly key: string }
  | { readonly type: "refused"; readonly reason: "malformed" | "unknown" }
  | { readonly type: "ambiguous"; readonly sessions: readonly string[] }
  | { readonly type: "store-error"; readonly error: SessionError }
);

type WithoutManager<E> = E extends unknown ? Omit<E, "manager"> : never;

const name = "scs-session";
const channel = diagnostics.channel(name);

/**
 * Calls `listener` for every event of every manager; the function returned ends that. What the listener throws becomes a
 * process warning, once. (`diagnostics_channel.subscribe("scs-session", …)` works too, but there Node ends the process
 * when a listener throws.)
 */
export function subscribe(listener: (event: SessionEvent) => void): () => void {
  const contained = (event: unknown): void => {
    try {
      listener(event as SessionEvent);
    } catch (error) {
      warnOnce(
        "subscriber",
        `A listener of session events threw: ${error instanceof Error ? error.name : typeof error}.`,
      );
    }
  };
  diagnostics.subscribe(name, contained);
  return () => {
    diagnostics.unsubscribe(name, contained);
  };
}

/** Publishes what one manager does. */
export type Publish = (event: WithoutManager<SessionEvent>) => void;

/** The publisher of a manager. */
export function publisher(manager: string): Publish {
  return (event) => {
    if (channel.hasSubscribers) channel.publish({ manager, ...event });
  };
}
