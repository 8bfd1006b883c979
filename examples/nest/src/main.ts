/** Nest on Express, or on Fastify: `node dist/main.js express|fastify`. */

import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { loadAndSave as onExpress } from "scs-session/express";
import { loadAndSave as onFastify } from "scs-session/fastify";
import { AppModule } from "./app.module.js";
import { sessions } from "./sessions.js";

const port = Number(process.env["PORT"] ?? 3000);
const host = "127.0.0.1";

// Nest's decorator `@Session()` reads the property `session` of the request.
if (process.argv[2] === "fastify") {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter());
  await app.register(onFastify(sessions, { property: "session" }));
  await app.listen(port, host);
} else {
  const app = await NestFactory.create<NestExpressApplication>(AppModule);
  app.use(onExpress(sessions, { property: "session" }));
  await app.listen(port, host);
}
