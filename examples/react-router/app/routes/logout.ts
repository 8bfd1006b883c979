import { redirect, type ActionFunctionArgs } from "react-router";
import { sessions } from "../sessions.server.ts";

export function action({ request }: ActionFunctionArgs) {
  sessions.of(request).destroy();
  return redirect("/");
}
