import { SessionManager } from "scs-session";

interface SessionData {
  user: string;
  visits: number;
}

export const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });
