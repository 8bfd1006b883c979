/** The session cookie: its options and what is refused of them, and how it is read and written. */

import { stringifySetCookie } from "cookie";
import { SessionError } from "./errors.ts";
import type { Credential, IncomingRequest, ResponseHeaders, Transport } from "./transport.ts";
import { warnOnce } from "./warnings.ts";

/** A Set-Cookie line in its parts, for frameworks that take no lines. */
export { parseSetCookie } from "cookie";

/** The options of the session cookie. Its lifetime follows from the session's. */
export interface CookieOptions {
  /**
   * The name. With `__Host-` (and `secure: true`) browsers let no other host and no plain HTTP set it, which is the only
   * protection against cookies planted from a sister domain (RFC 6265bis section 4.1.3.2).
   *
   * @default "session"
   */
  readonly name?: string;
  /**
   * The domain whose subdomains get the cookie too. Unset, only the host that set it gets it.
   *
   * @default undefined
   */
  readonly domain?: string | undefined;
  /**
   * The path below which it is sent.
   *
   * @default "/"
   */
  readonly path?: string;
  /**
   * Whether scripts in the page cannot read it. OWASP: keep it so.
   *
   * @default true
   */
  readonly httpOnly?: boolean;
  /**
   * Whether other sites' requests carry it. `"none"` needs `secure: true`, and protection against CSRF.
   *
   * @default "lax"
   */
  readonly sameSite?: "strict" | "lax" | "none";
  /**
   * Whether it is sent over HTTPS only. `"auto"`: when the request came over HTTPS, as the framework reports it or as
   * `X-Forwarded-Proto: https` says. Behind a proxy that tells neither, set `true`.
   *
   * @default "auto"
   */
  readonly secure?: boolean | "auto" | ((request: IncomingRequest) => boolean);
  /**
   * Whether embedded pages of several sites get a cookie each (CHIPS). Needs `secure: true`.
   *
   * @default false
   */
  readonly partitioned?: boolean;
  /**
   * Whether it outlives the browser. With false it does so only after `session.rememberMe(true)`.
   *
   * @default true
   */
  readonly persist?: boolean;
}

/** The cookie's defaults. */
export const cookieDefaults: Required<CookieOptions> = Object.freeze({
  name: "session",
  domain: undefined,
  path: "/",
  httpOnly: true,
  sameSite: "lax",
  secure: "auto",
  partitioned: false,
  persist: true,
});

/** RFC 6265bis section 5.5: user agents limit persistence to 400 days. */
export const maxPersistence: number = 400 * 24 * 60 * 60 * 1000;

/** The transport by cookie, which is the default one. Throws `invalid-option` for what browsers would refuse or ignore. */
export function cookie(options: CookieOptions = {}): Transport & { readonly persist: boolean } {
  const complete = complement(options);
  check(complete);
  const { name, domain, path, httpOnly, sameSite, secure, partitioned, persist } = complete;
  // All that follows the value is the same for each cookie: the library writes and checks it once.
  const attributes = {
    name,
    value: "",
    path,
    httpOnly,
    sameSite,
    partitioned,
    ...(domain === undefined ? {} : { domain }),
  };
  const plainAttributes = stringifySetCookie(attributes).slice(name.length + 1);
  const secureAttributes = stringifySetCookie({ ...attributes, secure: true }).slice(name.length + 1);

  const isSecure = (request: IncomingRequest): boolean => {
    if (typeof secure === "function") return secure(request);
    const https = request.isSecure() || forwardedOverHttps(request);
    if (secure === "auto") return https;
    if (secure && !https && request.keys.length > 0) {
      warnOnce(
        "secure-cookie",
        "A session cookie with the attribute Secure was sent over plain HTTP; browsers ignore it there. Behind a proxy " +
          'that ends TLS, let it send X-Forwarded-Proto; for local development use secure: "auto".',
      );
    }
    return secure;
  };

  return Object.freeze({
    name,
    vary: "Cookie",
    persist,
    read: (request: IncomingRequest) => readCookie(request.header("cookie"), name),
    write(headers: ResponseHeaders, credential: Credential | undefined, request: IncomingRequest): void {
      const attributes = isSecure(request) ? secureAttributes : plainAttributes;
      headers.append("Set-Cookie", `${name}=${credential?.token ?? ""}${lifespan(credential)}${attributes}`);
    },
  });
}

/** Expires and Max-Age, rounded up to the next second; nothing for a cookie that ends with the browser. */
function lifespan(credential: Credential | undefined): string {
  if (credential === undefined) return "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT";
  if (!credential.persistent) return "";
  const left = Math.min(credential.expiry - credential.now, maxPersistence);
  const expires = new Date(Math.ceil((credential.now + left) / 1000) * 1000);
  return `; Max-Age=${String(Math.ceil(left / 1000))}; Expires=${expires.toUTCString()}`;
}

/** The values of every cookie of one name, in the order in which they were sent. */
export function readCookie(header: string | undefined, name: string): string[] {
  const values: string[] = [];
  if (header === undefined) return values;
  const isBlank = (at: number): boolean => header[at] === " " || header[at] === "\t";
  for (let start = 0; start < header.length;) {
    const semicolon = header.indexOf(";", start);
    let end = semicolon === -1 ? header.length : semicolon;
    const next = end + 1;
    while (isBlank(start)) start++;
    if (header.startsWith(name, start) && header[start + name.length] === "=") {
      start += name.length + 1;
      while (isBlank(start)) start++;
      while (end > start && isBlank(end - 1)) end--;
      const value = header.slice(start, end);
      values.push(/^"[^"]*"$/.test(value) ? value.slice(1, -1) : value);
    }
    start = next;
  }
  return values;
}

/** An untrusted header may raise the protection of the cookie, never lower it. */
function forwardedOverHttps(request: IncomingRequest): boolean {
  return request.header("x-forwarded-proto")?.split(",")[0]?.trim().toLowerCase() === "https";
}

/** Undefined means the default: `httpOnly: undefined` must not take the protection away. */
function complement(options: CookieOptions): Required<CookieOptions> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) if (!Object.hasOwn(cookieDefaults, name)) refuse(`${name} is no option of the cookie`);
  return { ...cookieDefaults, ...(Object.fromEntries(given) as CookieOptions) };
}

function refuse(fault: string): never {
  throw new SessionError("invalid-option", `cookie.${fault}.`);
}

function check({
  name,
  domain,
  path,
  httpOnly,
  sameSite,
  secure,
  partitioned,
  persist,
}: Required<CookieOptions>): void {
  // RFC 6265 section 4.1.1: a name is a token of RFC 9110.
  if (typeof name !== "string" || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    refuse(`name "${name}" is no cookie name: use letters, digits, "-" and "_" (RFC 6265 section 4.1.1)`);
  }
  for (const [option, value] of Object.entries({ httpOnly, partitioned, persist })) {
    if (typeof value !== "boolean") refuse(`${option} must be true or false`);
  }
  if (!["boolean", "function"].includes(typeof secure) && secure !== "auto") {
    refuse('secure must be true, false, "auto" or a function');
  }
  if (typeof path !== "string" || !path.startsWith("/")) refuse(`path must start with "/"`);
  if (domain !== undefined && domain === "") refuse("domain is empty: leave it out for a cookie of this host only");
  if (!["strict", "lax", "none"].includes(sameSite)) refuse('sameSite must be "strict", "lax" or "none"');
  try {
    stringifySetCookie({ name, value: "", path, ...(domain === undefined ? {} : { domain }) });
  } catch (error) {
    refuse(`domain or path has a form that RFC 6265 section 4.1.1 does not allow (${(error as Error).message})`);
  }
  if (secure === true) {
    if (/^__Host-/i.test(name) && (domain !== undefined || path !== "/")) {
      refuse('name with "__Host-" allows no domain and no path but "/" (RFC 6265bis section 4.1.3.2)');
    }
    return;
  }
  if (/^__(Host|Secure)-/i.test(name)) refuse(`name "${name}" needs cookie.secure: true (RFC 6265bis section 4.1.3)`);
  if (sameSite === "none") refuse('sameSite "none" needs cookie.secure: true (RFC 6265bis section 5.7)');
  if (partitioned) refuse("partitioned needs cookie.secure: true (CHIPS)");
}
