/** Ends the session, for plain forms and other clients. */

import { redirect } from "next/navigation";
import { loadAndSave } from "scs-session/next";
import { sessions } from "@/lib/sessions";

export const POST = loadAndSave(sessions, async (request: Request) => {
  sessions.of(request).destroy();
  redirect("/");
});
