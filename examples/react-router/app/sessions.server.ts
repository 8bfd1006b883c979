/** The session manager, and the middleware by which React Router loads and saves sessions. */

import type { MiddlewareFunction } from "react-router";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";

interface SessionData {
  user: string;
  visits: number;
}

export const sessions = new SessionManager<SessionData>({ lifetime: "12h", subject: (data) => data.user });

const load = loadAndSave(sessions, (_request, next: () => Promise<Response>) => next());

export const sessionMiddleware: MiddlewareFunction<Response> = ({ request }, next) => load(request, next);
