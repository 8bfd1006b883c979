import { redirect, type ActionFunctionArgs } from "react-router";
import { sessions } from "../sessions.server.ts";

export async function action({ request }: ActionFunctionArgs) {
  const form = await request.formData();
  const session = sessions.of(request);
  session.renewToken(); // against session fixation
  session.put("user", String(form.get("user")));
  return redirect("/"); // leaves once it is stored
}
