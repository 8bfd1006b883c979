/** The sessions of this application. */

import { SessionManager, type Session } from "scs-session";

export interface SessionData {
  user: string;
  visits: number;
}

export type UserSession = Session<SessionData>;

export const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });
