/** How a token travels: where a request has it, and how a response hands it out. */

import { SessionError } from "./errors.ts";

/** What is known of a request; adapters make it from their framework's. */
export interface IncomingRequest {
  /** The value of a header by its lower-case name; several are joined as HTTP says. */
  header(name: string): string | undefined;
  /** Whether it came over HTTPS, as the framework reports it. */
  isSecure(): boolean;
  /** The objects under which `sessions.of` finds its session: the raw request, and the framework's own context. */
  readonly keys: readonly object[];
  /** Whether the code of another request makes it, within the server: with the same token, it shares the session of that one. */
  readonly isInner?: boolean;
}

/** The headers of a response that has not been sent. The `Headers` of fetch are such an object. */
export interface ResponseHeaders {
  get(name: string): string | null;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  delete(name: string): void;
}

/** What a client is to keep. */
export interface Credential {
  /** The token, signed where there are secrets. */
  readonly token: string;
  /** When it ends, in milliseconds since the epoch. */
  readonly expiry: number;
  /** The present time by the manager's clock. */
  readonly now: number;
  /** Whether it outlives the browser. */
  readonly persistent: boolean;
}

/** A way for the token. `cookie()` and `header()` make the usual ones; two functions of your own make another. */
export interface Transport {
  /** Tells the managers of one request apart; shown in events. */
  readonly name: string;
  /** The request header that responses depend on, for `Vary`. */
  readonly vary?: string;
  /** Whether what it writes outlives the browser without `rememberMe`. @default true */
  readonly persist?: boolean;
  /** Everything in the request that may be a token of this manager. */
  read(request: IncomingRequest): readonly string[];
  /** Hands out a token, or (with undefined) tells the client to forget the one it has. */
  write(headers: ResponseHeaders, credential: Credential | undefined, request: IncomingRequest): void;
}

/** The transport by a header of one's own, for clients that are no browsers. An empty value tells them to forget theirs. */
export function header(name: string): Transport {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new SessionError(
      "invalid-option",
      `header "${name}" is no header name (RFC 9110 section 5.1); try "X-Session".`,
    );
  }
  const key = name.toLowerCase();
  return Object.freeze({
    name,
    vary: name,
    read(request: IncomingRequest): readonly string[] {
      const value = request.header(key);
      return value === undefined || value === "" ? [] : [value];
    },
    write(headers: ResponseHeaders, credential: Credential | undefined): void {
      headers.set(name, credential?.token ?? "");
    },
  });
}
