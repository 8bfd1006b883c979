/** Server actions of Next.js: what asks for the session, and is told its cookie, by next/headers instead of a request and a response. */
// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- declares a module, and cannot be imported
/// <reference path="./next-headers.d.ts" />

import type { CookieJar } from "next/headers.js";
import { parseSetCookie } from "../cookie.ts";
import { SessionError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { IncomingRequest } from "../transport.ts";
import { isAnswer } from "./next-digest.ts";
import type { AnyManager } from "./serve.ts";

/** Runs a server action: its session is stored, and its cookie set, before it answers. Next itself answers what it throws. */
export async function act<T>(manager: AnyManager, work: () => T): Promise<Awaited<T>> {
  const { jar, incoming } = await here();
  const exchange = await manager.open(incoming);
  let isOver = false;
  exchange.driver = { isOver: () => isOver, onDestroy: () => undefined };
  const save = async (): Promise<void> => {
    isOver = true;
    exchange.seal();
    try {
      if (exchange.needsCommit) await exchange.commit();
    } finally {
      setCookies(jar, exchange);
    }
  };
  let result: Awaited<T>;
  try {
    result = await exchange.run(work);
  } catch (error) {
    if (isAnswer(error)) await save();
    else await save().catch(() => undefined); // of two errors the application's own tells more
    throw error;
  }
  await save();
  return result;
}

/** The request that the running code belongs to. */
export async function requestHere(): Promise<IncomingRequest> {
  return (await here()).incoming;
}

/** The same, and its cookies. */
async function here(): Promise<{ jar: CookieJar; incoming: IncomingRequest }> {
  // With the extension, Node finds it as well, where this package is left outside of the application's bundle.
  const { cookies, headers } = await import("next/headers.js");
  const [jar, sent] = await Promise.all([cookies(), headers()]);
  // What proxy.ts, or an action of this request, has set is only in the jar; several cookies of one name only in the header.
  const known = jar.getAll().filter(({ value }) => value !== "");
  const cookie = [...known.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`), sent.get("cookie") ?? ""];
  const incoming = {
    header: (name: string) => (name === "cookie" ? cookie.join("; ") : (sent.get(name) ?? undefined)),
    isSecure: () => sent.get("x-forwarded-proto")?.startsWith("https") === true, // Next sets it where no proxy does
    keys: [{}],
  };
  return { jar, incoming };
}

/** Hands out the token by `cookies()`. Next itself forbids to cache the responses of actions. */
function setCookies(jar: CookieJar, exchange: Exchange): void {
  const headers = new Headers();
  exchange.writeHeaders(headers);
  for (const line of headers.getSetCookie()) jar.set(parseSetCookie(line));
  for (const name of ["set-cookie", "cache-control", "vary"]) headers.delete(name);
  const [lost] = headers.keys();
  if (lost === undefined) return;
  const remedy = "Use the cookie, or do this in a route handler";
  throw new SessionError("unsupported", `A server action of Next.js cannot set the header "${lost}". ${remedy}.`);
}
