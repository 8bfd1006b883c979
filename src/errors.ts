/** The one error class of the library: what happened, and what to do about it. */

const statuses = {
  "no-session": 500,
  "session-closed": 500,
  "headers-sent": 500,
  "store-unavailable": 503,
  "too-large": 500,
  "invalid-value": 500,
  "invalid-option": 500,
  "wrong-adapter": 500,
  "wrong-origin": 403,
  unsupported: 500,
  gone: 409,
  taken: 409,
} as const;

/**
 * What went wrong.
 *
 * - `no-session`: the middleware did not run for this request.
 * - `session-closed`: the request of this session is over.
 * - `headers-sent`: a change after the first byte of the response, or one by a socket that would need a new cookie; it could
 *   not be stored truthfully.
 * - `store-unavailable`: the store failed, or did not answer within `storeTimeout`.
 * - `too-large`: the session is larger than `maxBytes`.
 * - `invalid-value`: a value, key or date that a session cannot hold.
 * - `invalid-option`: an option that cannot be meant; thrown by the constructor and by `loadAndSave`.
 * - `wrong-adapter`: `loadAndSave` was called as another framework's.
 * - `wrong-origin`: a page of another site opened the socket (`attach`).
 * - `unsupported`: the store, or the framework, lacks the ability that the call needs.
 * - `gone`: the session was ended or renewed by another request (with `onGone: "error"`).
 * - `taken`: another request popped the value first (`pop` with `once`).
 */
export type SessionErrorCode = keyof typeof statuses;

/** Every error that the library throws. Its message holds no token and no session data. */
export class SessionError extends Error {
  override readonly name = "SessionError";
  readonly code: SessionErrorCode;
  /** The HTTP status that an error page should have: 503, 409, 403 or 500. Express and Koa read it. */
  readonly status: number;

  constructor(code: SessionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = statuses[code];
  }

  /** The same under the name that http-errors gives it, which Fastify and Nest read. */
  get statusCode(): number {
    return this.status;
  }

  /** Whether visitors may read the message: as in http-errors, those of a status below 500. Koa and Nest read it. */
  get expose(): boolean {
    return this.status < 500;
  }
}

/** Whether an error is one of the library: by name, for where bundlers have put several copies of this class into one process. */
export function isSessionError(error: unknown): error is SessionError {
  return error instanceof Error && error.name === "SessionError";
}

/** A fault of the store as a `store-unavailable` error, with a clean cause. */
export function storeError(action: string, error: unknown): SessionError {
  if (error instanceof SessionError) return error;
  return new SessionError("store-unavailable", `The session store failed to ${action}.`, { cause: clean(error) });
}

/**
 * The error of a driver without what it may tell: drivers put statements, arguments and data on their errors and into their
 * messages. Only name, code and frames are kept, and the message where the operating system wrote it.
 */
export function clean(error: unknown): Error {
  if (!(error instanceof Error)) return new Error("The store rejected with something that is not an Error.");
  const { name, message, stack = "" } = error;
  const cause = new Error("syscall" in error ? message : "(message withheld: it may contain session data)");
  cause.name = name;
  const frames = stack.startsWith(`${name}: ${message}\n`) ? stack.slice(name.length + message.length + 2) : "";
  cause.stack = `${name}: ${cause.message}${frames}`;
  // The names of a system call and of an error; what is clean already stays as it is.
  for (const key of ["code", "syscall"] as const) {
    const value: unknown = (error as Error & Partial<Record<typeof key, unknown>>)[key];
    if (typeof value === "string") Object.assign(cause, { [key]: value });
  }
  return cause;
}

/** Whether the commit that failed so is not tried again as it was. */
export function isFinal(error: unknown): boolean {
  return !(error instanceof SessionError && error.code === "store-unavailable");
}
