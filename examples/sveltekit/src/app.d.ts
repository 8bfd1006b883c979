import type { Session } from "scs-session";
import type { SessionData } from "$lib/server/sessions";

declare global {
  namespace App {
    interface Locals {
      session: Session<SessionData>;
    }
  }
}
