/** The same as the server action, for plain forms and other clients. */

import { redirect } from "next/navigation";
import { loadAndSave } from "scs-session/next";
import { sessions } from "@/lib/sessions";

export const POST = loadAndSave(sessions, async (request: Request) => {
  const form = await request.formData();
  const session = sessions.of(request);
  session.renewToken();
  session.put("user", String(form.get("user")));
  redirect("/");
});
