/** The session manager: what applications and adapters call. */

import { Attachments, type Attachment, type AttachOptions } from "./attachment.ts";
import { storage } from "./context.ts";
import { Core } from "./core.ts";
import { Directory } from "./directory.ts";
import { endInTurn } from "./ending.ts";
import { SessionError } from "./errors.ts";
import { publisher } from "./events.ts";
import { Exchange, type ExchangeHost } from "./exchange.ts";
import { forbidCaching } from "./headers.ts";
import { Loader } from "./loader.ts";
import { resolveOptions, type SessionOptions } from "./options.ts";
import { isMarker, type Found, type SubjectOf } from "./records.ts";
import type { CommitResult, ListedSession, LoadOptions, OfSubject } from "./results.ts";
import { Saver } from "./saver.ts";
import { changesOf, isSession, stateOf, type ReadonlySession, type Session, type SessionState } from "./session.ts";
import { Sweeper } from "./sweeper.ts";
import type { IncomingRequest, ResponseHeaders } from "./transport.ts";
import type { DeepReadonly, KeyOf } from "./types.ts";
import type { UpgradeRequest } from "./upgrade.ts";
import { handOut } from "./values.ts";
import { warnOnce } from "./warnings.ts";

/**
 * Loads and stores sessions. `Data` declares keys and values; the compiler checks them wherever a session is used.
 *
 * ```ts
 * const sessions = new SessionManager<{ userId: number }>({ lifetime: "12h", subject: (data) => data.userId });
 * ```
 *
 * The constructor does no I/O, and throws `invalid-option` for options that cannot be meant.
 */
export class SessionManager<Data extends object = Record<string, unknown>> {
  readonly #core: Core;
  readonly #loader: Loader;
  readonly #saver: Saver;
  readonly #host: ExchangeHost;
  readonly #directory: Directory;
  readonly #sweeper: Sweeper;
  readonly #attachments: Attachments;
  /** Under which each request carries its exchange. A WeakMap would do, but measurably burdens the garbage collector. */
  readonly #slot = Symbol("scs-session");
  /** Whether it was given no store, and keeps its sessions in a memory of its own. */
  readonly hasDefaultStore: boolean;

  constructor(options: SessionOptions<Data> = {}) {
    this.hasDefaultStore = options.store === undefined;
    const resolved = resolveOptions(options);
    const subject = options.subject as SubjectOf | undefined;
    const core = new Core(resolved, subject, publisher(resolved.transport.name));
    this.#core = core;
    this.#loader = new Loader(core);
    this.#saver = new Saver(core);
    this.#directory = new Directory(core, subject !== undefined);
    this.#sweeper = new Sweeper(core);
    this.#attachments = new Attachments(core, this.#loader);
    this.#host = {
      transport: resolved.transport,
      blank: () => core.session(),
      commit: (session) => this.#save(stateOf(session), true),
      carryOutDestroy: (session) => this.#saver.saveDestroy(stateOf(session)),
      writeToken: (session, headers, request) => {
        this.#writeToken(stateOf(session), headers, request);
      },
    };
  }

  /**
   * The session of a request: given the framework's context or its raw request. Throws `no-session` where the middleware
   * did not run.
   */
  of(request: object): Session<Data> {
    const session = this.lookup(request);
    if (session !== undefined) return session;
    const remedy = "Mount loadAndSave(sessions) before the handlers that use it, and pass this request or its context";
    throw new SessionError("no-session", `There is no session for this request. ${remedy}.`);
  }

  /** The session of a request, or undefined where the middleware did not run. */
  lookup(request: object): Session<Data> | undefined {
    return this.#exchangeOf(request)?.session as Session<Data> | undefined;
  }

  /**
   * The session of the request that the calling code belongs to (AsyncLocalStorage). Throws `no-session` outside of
   * requests, and `session-closed` once the response is over.
   */
  current(): Session<Data> {
    const exchange = this.#running();
    if (exchange === undefined) {
      throw new SessionError("no-session", "This code does not run on behalf of a request; use sessions.of(request).");
    }
    if (!exchange.isOver) return exchange.session as unknown as Session<Data>;
    const remedy = "Take what you need out of the session before the response ends";
    throw new SessionError("session-closed", `The response of this request is over. ${remedy}.`);
  }

  /**
   * Opens the exchange of a request, which loads its session: what adapters call. Answers at once when the request
   * brings no token. An exchange whose `request` is another one was opened by an adapter mounted before.
   */
  open(request: IncomingRequest): Exchange | Promise<Exchange> {
    for (const key of request.keys) {
      const opened = this.#exchangeOf(key);
      if (opened === undefined) continue;
      warnOnce("mounted-twice", "loadAndSave runs twice for one request with the same manager; mount it once.");
      return opened;
    }
    const { transport } = this.#core.options;
    const presented = transport.read(request);
    const around = request.isInner === true ? this.#running() : undefined;
    if (around !== undefined && presentsSame(presented, transport.read(around.request))) {
      return this.#carry(request, around);
    }
    const tokens = this.#loader.recognise(presented);
    if (tokens.length === 0) return this.#register(request, undefined);
    return this.#loader.load(tokens, true).then(
      (session) => this.#register(request, session),
      (error: unknown) => {
        // The error page may ask for it as any page does.
        this.#register(request, this.#core.unavailable());
        throw error;
      },
    );
  }

  /**
   * The session of a token; a new, empty one when there is no token or it is not (or no longer) known. Given several,
   * as when a browser sends two cookies of one name, up to three well-formed ones are tried.
   */
  async load(token?: string | readonly string[], options: LoadOptions = {}): Promise<Session<Data>> {
    const presented = token === undefined ? [] : typeof token === "string" ? [token] : token;
    const session = await this.#loader.load(this.#loader.recognise(presented), options.touch ?? false);
    return session as unknown as Session<Data>;
  }

  /**
   * The session of a request, only to be read: for adapters, where a framework renders a page whose headers are not theirs.
   * Does not slide the idle timeout; changes throw `headers-sent`.
   */
  async read(request: IncomingRequest): Promise<ReadonlySession<Data>> {
    const session = await this.load(this.#core.options.transport.read(request));
    stateOf(session).sealed = true;
    return session;
  }

  /**
   * Carries out what was asked of a session, all or nothing. Adapters do it before the first byte of the response; call it
   * to store earlier. Costs nothing when nothing is new, and the response one `find`, to see whether the session is still
   * there. After `store-unavailable` and `too-large` it can be called again; after `taken` and `gone`, or when an `update`
   * threw, what was asked is dropped, and the session can be used on. `request` tells `cookie.secure: "auto"` whether it came over HTTPS.
   */
  async commit(session: Session<Data>, request: IncomingRequest = noRequest): Promise<CommitResult> {
    const state = this.#own(session);
    await this.#save(state);
    const headers: [string, string][] = [];
    const append = (name: string, value: string): void => void headers.push([name, value]);
    const collector = { get: () => null, set: append, append, delete: () => undefined };
    if (state.outcome !== undefined && !state.attached) {
      this.#writeToken(state, collector, request);
      forbidCaching(collector);
    }
    const { stored, token } = state;
    const isKnown = stored !== undefined && token !== "";
    return {
      token: isKnown ? this.#core.options.framing.wrap(token) : "",
      expiry: stored && new Date(stored.expiry),
      headers,
    };
  }

  /**
   * Attaches a socket to the session of the request that opens it. Undefined when it brings none that is live: answer 401.
   * Throws `wrong-origin` (status 403) when a page of another origin opened it, and `store-unavailable` (503).
   *
   * ```ts
   * const attached = await manager.attach(request);
   * if (attached !== undefined) void attached.closed.then((reason) => socket.close(4401, reason));
   * ```
   */
  attach(request: UpgradeRequest, options: AttachOptions = {}): Promise<Attachment<Data> | undefined> {
    return this.#attachments.attach(request, options) as Promise<unknown> as Promise<Attachment<Data> | undefined>;
  }

  /**
   * Takes over the values of another session, which ends with the commit; the later deadline counts. Its values win over
   * those already there. An unknown token, or the session's own, changes nothing. With `keys`, only these are taken over.
   */
  async merge(
    session: Session<Data>,
    token: string,
    options?: { readonly keys?: readonly KeyOf<Data>[] },
  ): Promise<void> {
    const state = this.#own(session);
    const { records, limits } = this.#core;
    const [opened] = this.#loader.recognise([token]);
    if (opened === undefined) return;
    const key = records.keyOf(opened.token);
    if (key === state.stored?.key) return;
    const other = await limits.run((limit) => records.load(key, limit, (found) => found));
    if (other === undefined || isMarker(other)) return;
    const names: readonly string[] = options?.keys ?? Object.keys(other.record.values);
    for (const name of names) {
      if (Object.hasOwn(other.record.values, name))
        session.put(name as KeyOf<Data>, other.record.values[name] as never);
    }
    const changes = changesOf(session);
    changes.merged.push({ found: other, keys: options?.keys });
    changes.earliestDeadline = Math.max(changes.earliestDeadline ?? 0, other.record.deadline);
    state.deadline = Math.max(state.deadline, other.record.deadline);
    state.status = "modified";
  }

  /**
   * Every live session, for maintenance. What is asked of one is carried out by `commit`. Does not slide idle timeouts.
   * Throws `unsupported` for a store without `all`.
   */
  async *iterate(): AsyncGenerator<Session<Data>> {
    for await (const found of this.#directory.all()) {
      if (isMarker(found)) continue;
      const session = this.#loader.standingOn(found, this.#core.options.hashTokenInStore ? "" : found.key);
      stateOf(session).unattended = true;
      yield session as unknown as Session<Data>;
    }
  }

  /**
   * The live sessions of a subject. Needs the option `subject`. Does not slide idle timeouts.
   *
   * ```ts
   * for await (const { id, createdAt } of manager.list({ subject: 1 })) console.log(id, createdAt);
   * ```
   */
  async *list({ subject }: OfSubject): AsyncGenerator<ListedSession<Data>> {
    for await (const found of this.#directory.ofSubject(String(subject))) {
      if (isMarker(found)) continue;
      const { createdAt, deadline, values } = found.record;
      const shown = Object.entries(values).map(([key, value]) => [key, handOut(value)]);
      yield {
        id: this.#core.records.idOf(found.key),
        createdAt: new Date(createdAt),
        deadline: new Date(deadline),
        expiry: new Date(found.expiry),
        values: Object.fromEntries(shown) as Partial<DeepReadonly<Data>>,
      };
    }
  }

  /**
   * Ends the sessions of a subject: all, the one with an `id`, or all `except` one. Goes on until none is left, also when
   * they are renewed meanwhile. Needs the option `subject`; the subject is required because ids come from clients. To end
   * the session of this request, call `session.destroy()` instead, which also takes its cookie back. Rejects, having ended
   * the others, when the store has a record under this subject that this version cannot read.
   */
  async revoke(whose: OfSubject & { readonly id?: string; readonly except?: Session<Data> }): Promise<void> {
    const { records, limits } = this.#core;
    const subject = String(whose.subject);
    const spared = whose.except === undefined ? new Set<string>() : this.#keysOf(this.#own(whose.except));
    const isWanted = ({ key, record }: Found): boolean =>
      !spared.has(key) && records.subjectOf(record.values) === subject;

    let unknown: SessionError | undefined;
    const onUnknown = (error: SessionError): void => void (unknown = error);
    for (let ended = true; ended;) {
      ended = false;
      const listed: Found[] = [];
      for await (const found of this.#directory.ofSubject(subject, onUnknown)) listed.push(found);
      // A spared session that was renewed meanwhile is still spared.
      const successors = new Map(listed.map(({ key, record }) => [key, record.successor]));
      for (const key of spared) {
        const successor = successors.get(key);
        if (successor !== undefined) spared.add(successor);
      }
      for (const found of listed) {
        if (spared.has(found.key) || (whose.id !== undefined && records.idOf(found.key) !== whose.id)) continue;
        await limits.run((limit) => endInTurn(this.#saver.work(limit), found, isWanted));
        ended ||= !isMarker(found);
      }
    }
    if (unknown !== undefined) throw unknown; // whose session it is cannot be told: not all may have been ended
  }

  /** Deletes what has expired, in batches, and says how many. For cron jobs and serverless; servers sweep by themselves. */
  prune(): Promise<number> {
    return this.#sweeper.prune();
  }

  /**
   * Stops the sweep, lets sockets go, waits for what is still being stored, for `storeTimeout` at most, and closes the store (but not the
   * client it was given).
   */
  async close(): Promise<void> {
    this.#sweeper.stop();
    await this.#core.limits.run(() => this.#attachments.close()).catch(() => undefined);
    await this.#core.limits.run(() => this.#core.idle()).catch(() => undefined);
    await this.#core.options.store.close?.();
  }

  #register(request: IncomingRequest, found: Session | undefined): Exchange {
    let session = found;
    if (this.#core.options.alwaysIssueToken) this.#issueToken((session ??= this.#core.session()));
    return this.#carry(request, new Exchange(this.#host, request, session));
  }

  #carry(request: IncomingRequest, exchange: Exchange): Exchange {
    for (const key of request.keys) (key as Carrier)[this.#slot] = exchange;
    return exchange;
  }

  /** The exchange that the calling code runs in. */
  #running(): Exchange | undefined {
    let exchange = storage.getStore();
    while (exchange !== undefined && exchange.host !== this.#host) exchange = exchange.outer;
    return exchange;
  }

  #issueToken(session: Session): void {
    const { stored, gone, available, changes } = stateOf(session);
    if (stored === undefined && gone === undefined && available) changes.issue = true;
  }

  #exchangeOf(key: object): Exchange | undefined {
    return (key as Carrier | undefined)?.[this.#slot];
  }

  #save(state: SessionState, responds = false): Promise<void> {
    this.#sweeper.start();
    return this.#saver.save(state, responds);
  }

  #writeToken({ outcome }: SessionState, headers: ResponseHeaders, request: IncomingRequest): void {
    const { transport, framing, clock } = this.#core.options;
    if (outcome === undefined) return;
    if (outcome === "cleared") {
      transport.write(headers, undefined, request);
    } else {
      const { token, expiry, persistent } = outcome;
      transport.write(headers, { token: framing.wrap(token), expiry, persistent, now: clock.now() }, request);
    }
  }

  #own(session: Session<Data>): SessionState {
    if (!isSession(session)) {
      throw new SessionError(
        "no-session",
        "This is no session; take one of sessions.of(request), load() or iterate().",
      );
    }
    const state = stateOf(session);
    if (state.home === this.#core.home) return state;
    throw new SessionError("no-session", "The session belongs to another SessionManager.");
  }

  /** The keys under which a session is stored, or is about to be. */
  #keysOf({ stored, changes, committing }: SessionState): Set<string> {
    const keys = new Set<string>();
    if (stored !== undefined) keys.add(stored.key);
    for (const each of [changes, committing]) {
      for (const token of each?.tokens ?? []) keys.add(this.#core.records.keyOf(token));
    }
    return keys;
  }
}

/** Whether a request presents what the one around it does, of which some frameworks pass on only the first. */
function presentsSame(tokens: readonly string[], around: readonly string[]): boolean {
  return tokens.length === 0 ? around.length === 0 : tokens.every((token) => around.includes(token));
}

/** A request, as far as it carries exchanges. */
type Carrier = Record<symbol, Exchange | undefined>;

/** For sessions that belong to no request. */
const noRequest: IncomingRequest = Object.freeze({ header: () => undefined, isSecure: () => false, keys: [] });
