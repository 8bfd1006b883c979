/** The server actions. */

"use server";

import { redirect } from "next/navigation";
import { loadAndSave } from "scs-session/next";
import { sessions } from "@/lib/sessions";

export const login = loadAndSave(sessions, async (form: FormData) => {
  const session = sessions.current();
  session.renewToken(); // against session fixation
  session.put("user", String(form.get("user")));
  redirect("/"); // leaves once it is stored, with the cookie
});

export const logout = loadAndSave(sessions, async () => sessions.current().destroy());
