import type { APIRoute } from "astro";
import { sessions } from "../sessions.ts";

export const POST: APIRoute = async ({ request, redirect }) => {
  const form = await request.formData();
  const session = sessions.of(request);
  session.renewToken(); // against session fixation
  session.put("user", String(form.get("user")));
  return redirect("/", 303); // leaves once it is stored
};
