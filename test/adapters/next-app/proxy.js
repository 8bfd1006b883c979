// Keeps strangers out.
import { NextResponse } from "next/server";
import { loadAndSave } from "scs-session/next";
import { sessions } from "./lib/sessions";

export const proxy = loadAndSave(sessions, (request) => {
  if (sessions.of(request).exists("user")) return NextResponse.next();
  sessions.of(request).update("n", (n = 0) => n + 1);
  return NextResponse.redirect(new URL("/site", request.url), 303);
});

export const config = { matcher: "/site/api/guarded" };
