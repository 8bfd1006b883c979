/** The request that opens a socket: how it is read, and from which pages it may come. */

import { SessionError } from "./errors.ts";
import type { IncomingRequest } from "./transport.ts";

/**
 * The request that opens a socket: that of Node's event `upgrade`, a Request of fetch (on Hono `c.req.raw`), or Socket.IO's
 * `socket.request` and `socket.handshake`. Only its headers are read.
 */
export interface UpgradeRequest {
  readonly headers:
    { get(name: string): string | null } | Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly url?: string | undefined;
}

/** The pages that may open a socket: their origins, or a function that knows them. */
export type Origins = readonly string[] | ((origin: string) => boolean);

/** The request as transports read it. */
export function incomingUpgrade(request: UpgradeRequest): IncomingRequest {
  const { headers, url = "" } = (request as UpgradeRequest | undefined) ?? {};
  if (typeof headers !== "object" || (headers as unknown) === null) {
    const accepted = "the request of Node's event upgrade, a Request (on Hono: c.req.raw), socket.request of Socket.IO";
    throw new SessionError("wrong-adapter", `attach takes the request that opens the socket: ${accepted}.`);
  }
  const header = (name: string): string | undefined => {
    if (typeof headers.get === "function") return (headers as Headers).get(name) ?? undefined;
    const fields = headers as Record<string, string | string[] | undefined>;
    const value = fields[name] ?? (name === "host" ? fields[":authority"] : undefined); // HTTP/2
    return Array.isArray(value) ? value.join(", ") : value;
  };
  return { header, isSecure: () => /^(https|wss):/i.test(url), keys: [] };
}

/** Calls back when the connection of an upgraded request of Node closes: there it is the socket's alone. */
export function onceClosed(request: UpgradeRequest, listener: () => void): void {
  const { upgrade, socket } = request as {
    readonly upgrade?: unknown;
    readonly socket?: { readonly destroyed: boolean; once(event: "close", listener: () => void): unknown };
  };
  if (upgrade !== true || socket === undefined) return;
  if (socket.destroyed) listener();
  else socket.once("close", listener);
}

/** Throws `invalid-option` for origins that no browser sends. */
export function checkOrigins(origins: Origins | undefined): void {
  if (origins === undefined || typeof origins === "function") return;
  const isOrigin = (each: unknown): boolean =>
    typeof each === "string" && (each === "null" || /^[a-z][a-z0-9+.-]*:\/\/[^/*]+$/i.test(each));
  if (Array.isArray(origins) && origins.every(isOrigin)) return;
  const form = 'scheme, host and, if it is not the usual one, port: "https://app.example.com"';
  throw new SessionError("invalid-option", `origins must be a function or a list of ${form}.`);
}

/**
 * Throws `wrong-origin` when a page opens the socket that may not. Browsers always send the header Origin with it, so who
 * sends none is no page, and no user can have been tricked into it (RFC 6455 section 10.2; what is no browser can send any
 * Origin, section 10.1). The long polling of Socket.IO is a plain GET, though, which browsers send from the same
 * origin without Origin, and from an `<img>` of any: there Sec-Fetch-Site tells.
 */
export function checkOrigin(request: IncomingRequest, url: string | undefined, origins: Origins | undefined): void {
  const origin = request.header("origin");
  if (origin === undefined) {
    if (!["cross-site", "same-site"].includes(request.header("sec-fetch-site") ?? "")) return;
  } else {
    const own = (request.header("host") ?? hostOf(url))?.toLowerCase();
    const isAllowed =
      origins === undefined
        ? hostsOf(origin).includes(own ?? "")
        : typeof origins === "function"
          ? (origins(origin) as unknown) === true // not a Promise of false
          : origins.some((each) => each.toLowerCase() === origin.toLowerCase());
    if (isAllowed) return;
  }
  const remedy = "If it is yours, or a proxy changes the header Host, name it in the option origins";
  throw new SessionError("wrong-origin", `A page of another origin opened the socket. ${remedy}.`);
}

/** The host of an origin, as a Host header may have it: with and without the port of its scheme. */
function hostsOf(origin: string): string[] {
  const host = hostOf(origin);
  if (host === undefined) return [];
  const port = origin.toLowerCase().startsWith("https:") ? ":443" : ":80";
  return [host, host + port];
}

function hostOf(url = ""): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, host } = new URL(url);
  return ["http:", "https:"].includes(protocol) ? host : undefined;
}
