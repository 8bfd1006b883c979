/** What a session does to the headers of a response besides handing out its token. */

import type { ResponseHeaders } from "./transport.ts";

/** Caches in front of the server that have a header of their own, before which Cache-Control does not count (RFC 9213). */
const cdnHeaders = [
  "cdn-cache-control",
  "surrogate-control",
  "cloudflare-cdn-cache-control",
  "vercel-cdn-cache-control",
];

/**
 * No cache may keep the response: it hands out a token, or was made while the session was not to be had. SCS's value,
 * and that of OWASP, Session Management, "Web Content Caching".
 */
export function forbidCaching(headers: ResponseHeaders): void {
  headers.set("Cache-Control", 'no-store, no-cache="Set-Cookie"');
  for (const name of cdnHeaders) headers.delete(name);
}

/** The response depends on the session: caches must tell requests apart, and shared ones keep out by default. */
export function varyBySession(headers: ResponseHeaders, by: string | undefined): void {
  if (headers.get("cache-control") === null) headers.set("Cache-Control", "private");
  if (by === undefined) return;
  const vary = headers.get("vary");
  const fields =
    vary === null
      ? []
      : vary
          .toLowerCase()
          .split(",")
          .map((field) => field.trim());
  if (fields.includes("*") || fields.includes(by.toLowerCase())) return;
  headers.set("Vary", vary === null || vary === "" ? by : `${vary}, ${by}`);
}
