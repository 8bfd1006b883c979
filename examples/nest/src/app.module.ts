/** The application. */

import { Module } from "@nestjs/common";
import { SessionManager } from "scs-session";
import { AppController } from "./app.controller.js";
import { sessions } from "./sessions.js";

@Module({
  controllers: [AppController],
  // For services, which call `current()` of it, or `revoke`.
  providers: [{ provide: SessionManager, useValue: sessions }],
})
export class AppModule {}
