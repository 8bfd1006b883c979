/** The pages: the same on both platforms. */

import { Body, Controller, Get, Header, Post, Redirect, Session } from "@nestjs/common";
import type { UserSession } from "./sessions.js";

@Controller()
export class AppController {
  @Get()
  @Header("content-type", "text/plain; charset=utf-8")
  home(@Session() session: UserSession): string {
    const user = session.get("user");
    if (user === undefined) return "Please log in";
    session.update("visits", (visits = 0) => visits + 1);
    return `Hello, ${user}: visit ${session.getNumber("visits")}`;
  }

  @Post("login")
  @Redirect("/", 303)
  login(@Session() session: UserSession, @Body("user") user: string): void {
    session.renewToken(); // against session fixation
    session.put("user", user);
  }

  @Post("logout")
  @Redirect("/", 303)
  logout(@Session() session: UserSession): void {
    session.destroy();
  }
}
