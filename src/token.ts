/** Tokens: how they are made, recognised, hashed for the store, and signed for the cookie. */

import * as crypto from "node:crypto";

/** A new token: 32 random bytes in base64url, 43 characters. OWASP asks for at least 128 bits. */
export function newToken(): string {
  return crypto.randomBytes(32).toString("base64url");
}

/** SHA-256 in base64url. A token has 256 random bits, so neither salt nor a slow hash would add anything. */
export const sha256: (text: string) => string =
  typeof crypto.hash === "function"
    ? (text) => crypto.hash("sha256", text, "base64url")
    : (text) => crypto.createHash("sha256").update(text).digest("base64url");

/** A token as it was found in what a client sent. */
export interface OpenedToken {
  readonly token: string;
  /** Whether the client should get it again, signed with the newest secret. */
  readonly stale: boolean;
}

/** How tokens look to clients: bare, or `token.signature` when there are secrets. */
export interface TokenFraming {
  wrap(token: string): string;
  /** Undefined for what this server cannot have issued. */
  open(text: string): OpenedToken | undefined;
}

const bareToken = /^[A-Za-z0-9_-]{43}$/;
const signedToken = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** Tokens as they are. */
export const unsigned: TokenFraming = Object.freeze({
  wrap: (token: string) => token,
  open: (text: string) => (bareToken.test(text) ? { token: text, stale: false } : undefined),
});

/** Tokens signed with HMAC-SHA-256 under the first secret, accepted under any. */
export function signed(secrets: readonly string[], allowUnsigned: boolean): TokenFraming {
  const sign = (token: string, secret: string): string =>
    crypto.createHmac("sha256", secret).update(token).digest("base64url");
  const newest = secrets[0] ?? "";
  const equal = (a: string, b: string): boolean =>
    a.length === b.length && crypto.timingSafeEqual(new TextEncoder().encode(a), new TextEncoder().encode(b));
  return {
    wrap: (token) => `${token}.${sign(token, newest)}`,
    open(text) {
      const [, token, signature] = signedToken.exec(text) ?? [];
      if (token === undefined || signature === undefined) {
        return allowUnsigned && bareToken.test(text) ? { token: text, stale: true } : undefined;
      }
      const secret = secrets.find((candidate) => equal(sign(token, candidate), signature));
      return secret === undefined ? undefined : { token, stale: secret !== newest };
    },
  };
}
