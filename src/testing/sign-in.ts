/** Signing in without a login page. */

import type { SessionManager } from "../manager.ts";
import type { KeyOf, ValueOf } from "../types.ts";

/**
 * Stores a session with the given values and returns the request headers of a client that has it:
 *
 * ```ts
 * const headers = await signIn(sessions, { userId: 1 });
 * await fetch(url, { headers }); // { cookie: "session=…" }
 * ```
 */
export async function signIn<Data extends object>(
  sessions: SessionManager<Data>,
  values: Partial<Data>,
): Promise<Record<string, string>> {
  const session = await sessions.load();
  for (const [key, value] of Object.entries(values))
    session.put(key as KeyOf<Data>, value as ValueOf<Data, KeyOf<Data>>);
  const { headers } = await sessions.commit(session);
  const answer = headers.filter(([name]) => name.toLowerCase() !== "cache-control");
  return Object.fromEntries(
    answer.map(([name, value]) =>
      name.toLowerCase() === "set-cookie" ? ["cookie", value.split(";", 1)[0] ?? ""] : [name.toLowerCase(), value],
    ),
  );
}
