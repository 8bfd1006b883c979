/** The sessions of this application. */

import "server-only";
import { MemoryStore, SessionManager } from "scs-session";
import { readSession } from "scs-session/next";
import { cache } from "react";

export interface SessionData {
  user: string;
}

export const sessions = new SessionManager<SessionData>({
  lifetime: "12h",
  subject: (data) => data.user,
  // For one process. Next loads this module several times; all copies find this store. With several: Redis, PostgreSQL, …
  store: MemoryStore.shared(),
});

/** For pages: however many components ask, the store is asked once. */
export const getSession = cache(() => readSession(sessions));
