import type { APIRoute } from "astro";
import { sessions } from "../sessions.ts";

export const POST: APIRoute = ({ request, redirect }) => {
  sessions.of(request).destroy();
  return redirect("/", 303);
};
