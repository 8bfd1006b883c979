/** The options of a manager: their meaning, their defaults, and what is refused of them. */

import { systemClock, type Clock } from "./clock.ts";
import { defaultCodec, type Codec } from "./codec.ts";
import { cookie, maxPersistence, type CookieOptions } from "./cookie.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { SessionError } from "./errors.ts";
import type { Store } from "./store.ts";
import { MemoryStore } from "./stores/memory.ts";
import { signed, unsigned, type TokenFraming } from "./token.ts";
import type { Transport } from "./transport.ts";
import type { DeepReadonly } from "./types.ts";
import { warnOnce } from "./warnings.ts";

/** The options of a `SessionManager`. Durations are strings with a unit: `"30m"`. */
export interface SessionOptions<Data extends object = Record<string, unknown>> {
  /**
   * How long a session lasts at most, whatever is done with it (OWASP: absolute timeout).
   *
   * @default "24h"
   */
  readonly lifetime?: Duration;
  /**
   * How long a session lasts without a request (OWASP: idle timeout). Undefined: no such limit.
   *
   * @default undefined
   */
  readonly idleTimeout?: Duration | undefined;
  /**
   * How much the idle timeout must have moved before a request stores it: that much earlier than `idleTimeout` says may
   * a session end. Shorter means more writes. Undefined: a twentieth of `idleTimeout`.
   *
   * @default undefined
   */
  readonly touchInterval?: Duration | undefined;
  /** The session cookie. Its defaults are those of `CookieOptions`. Not together with `transport`. */
  readonly cookie?: CookieOptions;
  /** Another way for the token than the cookie: `header("X-Session")`, or one's own. Undefined: the cookie. */
  readonly transport?: Transport | undefined;
  /** Where sessions are kept. Undefined: a `MemoryStore`, for one process and for development. */
  readonly store?: Store | undefined;
  /** How sessions become bytes. Undefined: JSON, or devalue where values need it. */
  readonly codec?: Codec | undefined;
  /**
   * Whose session it is: a user id, or undefined for nobody. Makes `list` and `revoke` by user possible, and makes a login
   * that forgot `renewToken` safe: a commit that changes the subject renews the token by itself. Only computes; no I/O.
   */
  readonly subject?: ((data: Partial<DeepReadonly<Data>>) => string | number | bigint | null | undefined) | undefined;
  /**
   * Whether the store sees only the SHA-256 of tokens, so that a leaked table is no bag of live logins. False only to
   * share sessions with a Go application that does not hash.
   *
   * @default true
   */
  readonly hashTokenInStore?: boolean;
  /**
   * Secrets that sign tokens, newest first, each of 32 characters or more: forged tokens are refused without asking the
   * store. Old ones are accepted, and signed anew on use. Empty: tokens are not signed.
   *
   * @default []
   */
  readonly secrets?: readonly string[];
  /**
   * Whether tokens without signature are accepted, and signed on use: to introduce `secrets` without logging users out.
   *
   * @default false
   */
  readonly allowUnsigned?: boolean;
  /**
   * Whether a visitor gets a stored session and its token with the first response, even if nothing is put. Mind consent rules
   * (ASVS 5.0, 7.6.2), and that every robot gets one, too.
   *
   * @default false
   */
  readonly alwaysIssueToken?: boolean;
  /**
   * How long a request waits for the store: once for the load, once for a commit.
   *
   * @default "5s"
   */
  readonly storeTimeout?: Duration;
  /**
   * What becomes of a request whose session cannot be loaded. `"error"`: it fails with status 503. `"anonymous"`: it runs with an
   * empty session whose `available` is false and whose every change throws.
   *
   * @default "error"
   */
  readonly outage?: "error" | "anonymous";
  /**
   * What becomes of a write to a session that another request has ended or renewed. `"drop"`: it is dropped, with an event.
   * `"error"`: the commit fails with `gone`, status 409.
   *
   * @default "drop"
   */
  readonly onGone?: "drop" | "error";
  /**
   * How many bytes an encoded session may have. A commit of more fails with `too-large`, naming the largest keys.
   *
   * @default 1_000_000
   */
  readonly maxBytes?: number;
  /**
   * How often expired sessions are swept from the store, beginning with the first commit. False: never; call `prune()`.
   *
   * @default "5m"
   */
  readonly sweepInterval?: Duration | false;
  /** Where time comes from. Undefined: the system. */
  readonly clock?: Clock | undefined;
}

/** The defaults, but for those of the cookie. */
export const defaults: Required<
  Omit<SessionOptions, "cookie" | "transport" | "store" | "codec" | "subject" | "clock">
> = Object.freeze({
  lifetime: "24h",
  idleTimeout: undefined,
  touchInterval: undefined,
  hashTokenInStore: true,
  secrets: [],
  allowUnsigned: false,
  alwaysIssueToken: false,
  storeTimeout: "5s",
  outage: "error",
  onGone: "drop",
  maxBytes: 1_000_000,
  sweepInterval: "5m",
});

/** The options as the manager uses them: checked, complete, durations in milliseconds. */
export interface ResolvedOptions {
  readonly lifetime: number;
  readonly idleTimeout: number | undefined;
  readonly touchInterval: number;
  readonly transport: Transport;
  readonly store: Store;
  readonly codec: Codec;
  readonly hashTokenInStore: boolean;
  readonly framing: TokenFraming;
  readonly alwaysIssueToken: boolean;
  readonly storeTimeout: number;
  readonly outage: "error" | "anonymous";
  readonly onGone: "drop" | "error";
  readonly maxBytes: number;
  readonly sweepInterval: number | undefined;
  readonly clock: Clock;
}

/** Checks and completes the options; throws `invalid-option`, naming option and remedy. */
export function resolveOptions(given: SessionOptions<never>): ResolvedOptions {
  checkShapes(given);
  const options = { ...defaults, ...withoutUndefined(given) };
  const {
    hashTokenInStore,
    maxBytes,
    outage,
    onGone,
    secrets,
    allowUnsigned,
    alwaysIssueToken,
    clock = systemClock,
  } = options;
  const duration = (name: "lifetime" | "idleTimeout" | "touchInterval" | "storeTimeout"): number | undefined =>
    options[name] === undefined ? undefined : milliseconds(options[name], name);

  const lifetime = milliseconds(options.lifetime, "lifetime");
  const idleTimeout = duration("idleTimeout");
  const touchInterval = duration("touchInterval") ?? (idleTimeout ?? 0) / 20;
  if (idleTimeout === undefined && touchInterval > 0) refuse("touchInterval has no meaning without idleTimeout.");
  if (idleTimeout !== undefined && touchInterval >= idleTimeout) {
    refuse("touchInterval must be shorter than idleTimeout; leave it out for a twentieth of it.");
  }
  if (options.transport !== undefined && options.cookie !== undefined) {
    refuse("give either cookie or transport, not both.");
  }
  const transport = options.transport ?? cookie(options.cookie);
  if (transport.persist !== false && transport.vary === "Cookie" && lifetime > maxPersistence) {
    refuse("lifetime is over 400 days, more than browsers keep a cookie (RFC 6265bis section 5.5); shorten it.");
  }
  if (allowUnsigned && secrets.length === 0) refuse("allowUnsigned has no meaning without secrets.");
  if (options.store === undefined && typeof process === "object" && process.env["NODE_ENV"] === "production") {
    warnOnce(
      "memory-store",
      "Sessions are kept in the memory of this process: they are lost when it ends and not shared with others. Give " +
        "SessionManager a store; pass new MemoryStore() yourself if this is what you want.",
    );
  }
  const resolved = {
    lifetime,
    idleTimeout,
    touchInterval,
    transport,
    store: options.store ?? new MemoryStore({ clock }),
    codec: options.codec ?? defaultCodec,
    hashTokenInStore,
    framing: secrets.length === 0 ? unsigned : signed([...secrets], allowUnsigned),
    alwaysIssueToken,
    storeTimeout: milliseconds(options.storeTimeout, "storeTimeout"),
    outage,
    onGone,
    maxBytes,
    sweepInterval: options.sweepInterval === false ? undefined : milliseconds(options.sweepInterval, "sweepInterval"),
    clock,
  };
  claim(resolved.store, transport.name);
  return Object.freeze(resolved);
}

/** What the compiler would find. */
function checkShapes(given: SessionOptions<never>): void {
  for (const name of Object.keys(given)) {
    if (!known.has(name)) refuse(`${name} is no option of SessionManager. Is it misspelt?`);
  }
  const { maxBytes = 1, outage, onGone, secrets = [], subject } = given;
  for (const name of ["hashTokenInStore", "allowUnsigned", "alwaysIssueToken"] as const) {
    if (!["boolean", "undefined"].includes(typeof given[name])) refuse(`${name} must be true or false.`);
  }
  if (!["function", "undefined"].includes(typeof subject)) {
    refuse("subject must be a function: subject: (data) => data.userId.");
  }
  if (![undefined, "error", "anonymous"].includes(outage)) refuse('outage must be "error" or "anonymous".');
  if (![undefined, "drop", "error"].includes(onGone)) refuse('onGone must be "drop" or "error".');
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) refuse("maxBytes must be a whole number of bytes above zero.");
  if (!Array.isArray(secrets) || secrets.some((secret) => typeof secret !== "string" || secret.length < 32)) {
    refuse("secrets must be a list of random strings of at least 32 characters each: openssl rand -base64 32.");
  }
  for (const [name, methods] of Object.entries(methodsOf)) {
    const object = given[name as keyof typeof methodsOf] as Record<string, unknown> | undefined;
    const missing = object && methods.find((method) => typeof object[method] !== "function");
    if (missing !== undefined) refuse(`${name} has no method ${missing}: give an instance, not a class or options.`);
  }
}

const methodsOf = {
  store: ["find", "commit", "delete"],
  codec: ["encode", "decode"],
  transport: ["read", "write"],
  clock: ["now", "after"],
};

const known = new Set([...Object.keys(defaults), "cookie", "transport", "store", "codec", "subject", "clock"]);

/** By which name each store instance is used. */
const claims = new WeakMap<Store, string>();

/** A store shared by two cookies would let the token of one be used as the other's. */
function claim(store: Store, name: string): void {
  const other = claims.get(store);
  if (other !== undefined && other !== name) {
    const remedy = `give "${name}" a store of its own (another table or prefix)`;
    refuse(`store is in use under the name "${other}" already; ${remedy}.`);
  }
  claims.set(store, name);
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function refuse(fault: string): never {
  throw new SessionError("invalid-option", fault);
}
