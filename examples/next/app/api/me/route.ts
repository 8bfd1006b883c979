/** Who is logged in, as JSON. */

import { loadAndSave } from "scs-session/next";
import { sessions } from "@/lib/sessions";

export const GET = loadAndSave(sessions, async (request: Request) => {
  const user = sessions.of(request).get("user");
  return user === undefined ? new Response(null, { status: 401 }) : Response.json({ user });
});
