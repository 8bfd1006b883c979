/** The session manager. Without a store it keeps sessions in memory; vite forgets them whenever this file is edited. */

import { SessionManager } from "scs-session";

export interface SessionData {
  user: string;
  visits: number;
}

export const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });
