/** What happened to sessions, for logs and metrics, on Node's diagnostics channel `scs-session`. */

import { channel } from "node:diagnostics_channel";
import type { SessionError } from "./errors.ts";

/** The name of the channel: `diagnostics_channel.subscribe("scs-session", (event) => …)`. */
export const channelName = "scs-session";

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

const events = channel(channelName);

/** Publishes what one manager does. */
export type Publish = (event: WithoutManager<SessionEvent>) => void;

/** A subscriber that throws breaks nothing here: Node reports it as an uncaught exception of the process. */
export function publisher(manager: string): Publish {
  return (event) => {
    if (events.hasSubscribers) events.publish({ manager, ...event });
  };
}
