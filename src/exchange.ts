/** One request and its response: what an adapter drives. */

import { storage } from "./context.ts";
import { forbidCaching, varyBySession } from "./headers.ts";
import type { Session, SessionState } from "./session.ts";
import { stateOf } from "./session.ts";
import type { IncomingRequest, ResponseHeaders, Transport } from "./transport.ts";

/** What an exchange needs of its manager. */
export interface ExchangeHost {
  readonly transport: Transport;
  /** An empty session, of a request that brought no token. */
  blank(): Session;
  commit(session: Session): Promise<void>;
  /** Carries out a pending destroy, and nothing else. */
  carryOutDestroy(session: Session): Promise<void>;
  /** Hands out, or takes back, the token. */
  writeToken(session: Session, headers: ResponseHeaders, request: IncomingRequest): void;
}

/** What an adapter wants to know of an exchange, and what it knows better. */
export interface Driver {
  /** `sessions.of` is used for the first time: until then nothing needs to be held for a request without token. */
  onFirstUse?(): void;
  /** `session.destroy()` was called; it is to be carried out even if no response is ever sent. */
  onDestroy(): void;
  /** Whether the response is over. */
  isOver(): boolean;
}

/**
 * The session of one request, for as long as the response takes. An adapter
 * 1. opens it (`await sessions.open(request)`), which loads the session,
 * 2. runs the handler in its context (`run`),
 * 3. before the first byte leaves, calls `seal`, awaits `commit` if `needsCommit`, and lets `writeHeaders` add its headers;
 *    when `commit` rejects, it sends an error response instead,
 * 4. calls `close` when the response is over, or never came to be.
 */
export class Exchange {
  readonly request: IncomingRequest;
  /** The exchange of another manager around this one. */
  readonly outer: Exchange | undefined;
  readonly host: ExchangeHost;
  /** What the adapter wants to know. */
  driver: Driver | undefined;
  #session: Session | undefined;
  #sealed = false;
  #closed = false;
  #isToBeEnded = false;

  constructor(host: ExchangeHost, request: IncomingRequest, session: Session | undefined) {
    this.host = host;
    this.request = request;
    this.outer = storage.getStore();
    if (session !== undefined) this.#adopt(session);
  }

  /** The session; made on first use where the request brought none. */
  get session(): Session {
    if (this.#session !== undefined) return this.#session;
    const session = this.#adopt(this.host.blank());
    this.driver?.onFirstUse?.();
    return session;
  }

  /** Whether there is a session yet: the request brought a token, or `sessions.of` was used. */
  get inUse(): boolean {
    return this.#session !== undefined;
  }

  /** Whether the response is over. */
  get isOver(): boolean {
    return this.driver?.isOver() ?? this.#closed;
  }

  /** Runs code for which `sessions.current()` is this session. */
  run<T>(work: () => T): T {
    return storage.run(this, work);
  }

  /** From now on changes throw `headers-sent`. */
  seal(): void {
    this.#sealed = true;
    if (this.#session !== undefined) stateOf(this.#session).sealed = true;
  }

  /**
   * Whether the response has to wait. False for a session that was only read, once `commit` has done its work until there
   * are changes again, and when it has failed.
   */
  get needsCommit(): boolean {
    const state = this.#state;
    if (state === undefined || state.answer === "failed") return false;
    const { changes, committing, touched, stale, outcome, answer } = state;
    if (!changes.isEmpty || committing !== undefined) return true;
    return answer === undefined && (touched !== undefined || stale || outcome !== undefined);
  }

  /** Stores what was asked for. When it rejects, nothing of this session belongs into the response. */
  commit(): Promise<void> {
    return this.#session === undefined ? Promise.resolve() : this.host.commit(this.#session);
  }

  /** Whether `writeHeaders` has anything to add. */
  get hasHeaders(): boolean {
    return this.#state !== undefined && (this.#state.observed || this.#state.outcome !== undefined);
  }

  /**
   * Whether all that `writeHeaders` adds is that caches have to tell requests apart: it may stand on a response that others
   * get, too. A token must not, and a failure of the store is over some day.
   */
  get onlyVaries(): boolean {
    const state = this.#state;
    return state !== undefined && state.outcome === undefined && state.available && state.answer !== "failed";
  }

  /** Adds the token and what caches must know. Call it once for each response head. */
  writeHeaders(headers: ResponseHeaders): void {
    const state = this.#state;
    if (this.#session === undefined || state === undefined) return;
    // What an earlier commit has stored is true though this one failed; a token that the client has it need not get again.
    const isNews =
      state.outcome === "cleared" || (state.outcome !== undefined && state.outcome.token !== state.presented);
    if (!state.available || (state.answer === "failed" && !isNews)) {
      if (state.observed) headers.set("Cache-Control", "no-store");
      return;
    }
    if (state.outcome !== undefined) {
      this.host.writeToken(this.#session, headers, this.request);
      forbidCaching(headers);
    }
    if (state.outcome !== undefined || state.observed) varyBySession(headers, this.host.transport.vary);
  }

  /** Called by `session.destroy()`. */
  onDestroy(): void {
    if (!this.#isToBeEnded) this.driver?.onDestroy();
    this.#isToBeEnded = true;
  }

  /** The response is over, or will never be. A pending destroy is carried out; nothing else is. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#session !== undefined) await this.host.carryOutDestroy(this.#session);
  }

  get #state(): SessionState | undefined {
    return this.#session === undefined ? undefined : stateOf(this.#session);
  }

  #adopt(session: Session): Session {
    this.#session = session;
    const state = stateOf(session);
    state.sealed = this.#sealed;
    state.exchange = this;
    return session;
  }
}
