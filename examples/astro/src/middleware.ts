/** Astro's middleware: around every page and endpoint that is rendered on demand. */

import type { MiddlewareNext } from "astro";
import { defineMiddleware } from "astro:middleware";
import { loadAndSave } from "scs-session/fetch";
import { sessions } from "./sessions.ts";

const load = loadAndSave(sessions, (_request, next: MiddlewareNext) => next());

export const onRequest = defineMiddleware(({ request, isPrerendered }, next) =>
  isPrerendered ? next() : load(request, next),
);
