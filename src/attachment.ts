/** Sessions of sockets: an upgrade request is authenticated, and the socket learns that its session has ended. */

import type { Core } from "./core.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { SessionError } from "./errors.ts";
import type { Loader } from "./loader.ts";
import type { Found } from "./records.ts";
import { stateOf, type Session } from "./session.ts";
import {
  checkOrigin,
  checkOrigins,
  incomingUpgrade,
  onceClosed,
  type Origins,
  type UpgradeRequest,
} from "./upgrade.ts";
import { Watch } from "./watch.ts";

/** How a socket is attached to its session. */
export interface AttachOptions {
  /**
   * The pages that may open the socket: a list of origins such as `"https://app.example.com"`, or a function that answers true
   * for them. Undefined: those of the host that the request names, over HTTP or HTTPS. Without this check any page could
   * open a socket in the name of its visitor (cross-site WebSocket hijacking).
   *
   * @default undefined
   */
  readonly origins?: Origins | undefined;
  /**
   * How soon the socket learns that its session has ended: so often the store is asked, once for all sockets of a session
   * in this process. A store that pushes (see its option `push`) tells at once, and is asked every 10 seconds.
   *
   * @default "500ms"
   */
  readonly interval?: Duration;
  /**
   * Whether the socket keeps the session alive while it is attached, as if it made requests. The cookie it cannot prolong.
   *
   * @default false
   */
  readonly touch?: boolean;
}

/** The defaults. */
export const attachDefaults: Required<AttachOptions> = Object.freeze({
  origins: undefined,
  interval: "500ms",
  touch: false,
});

/**
 * Why a socket is no longer attached: its session was destroyed, expired, or was renewed (the browser has a new cookie; let
 * it connect again), or `detach` or the manager's `close` was called.
 */
export type AttachmentEnd = "destroyed" | "expired" | "renewed" | "detached";

/** A socket's hold on its session. */
export interface Attachment<Data extends object = Record<string, unknown>> {
  /** The session as it was when the socket was attached; `load` answers a newer one. */
  readonly session: Session<Data>;
  /** Resolves with the reason once the session is over. Never rejects. A store that is out of order ends nothing. */
  readonly closed: Promise<AttachmentEnd>;
  /**
   * The session as it is now; undefined once it is over. Changes are carried out by `sessions.commit(session)`, which rejects
   * with `headers-sent` for what would need a new cookie. `touch`: whether it counts as a visit; undefined: as `attach` was told.
   */
  load(options?: { readonly touch?: boolean }): Promise<Session<Data> | undefined>;
  /**
   * Stops watching the session: to be called when the socket closes. That of Node's event `upgrade` does so by itself; one that
   * Socket.IO began by polling, or that came as a Request, does not.
   */
  readonly detach: () => void;
}

/** The sockets of one manager. */
export class Attachments {
  readonly #core: Core;
  readonly #loader: Loader;
  /** By the keys of their sessions. */
  readonly #watches = new Map<string, Watch>();
  /** The store's watch, once the first socket was attached; answers how to end it. */
  #watching: Promise<(() => Promise<void>) | undefined> | undefined;
  #isPushed = false;
  #isClosed = false;

  constructor(core: Core, loader: Loader) {
    this.#core = core;
    this.#loader = loader;
  }

  /** Undefined when the request brings no live session. */
  async attach(
    request: UpgradeRequest,
    { origins, interval = attachDefaults.interval, touch = attachDefaults.touch }: AttachOptions,
  ): Promise<Attachment | undefined> {
    const ms = milliseconds(interval, "interval");
    checkOrigins(origins);
    const incoming = incomingUpgrade(request);
    checkOrigin(incoming, request.url, origins);
    const tokens = this.#loader.recognise(this.#core.options.transport.read(incoming));
    const session = await this.#loader.load(tokens, touch);
    const state = stateOf(session);
    if (!state.available) throw new SessionError("store-unavailable", "The session of the socket could not be loaded.");
    const { stored, token } = state;
    if (stored === undefined) return undefined;
    state.attached = true;
    const watch = this.#watchOf(stored);
    const member = watch.join(ms, touch);
    const detach = (): void => member.end("detached");
    if (this.#isClosed) detach();
    onceClosed(request, detach);
    return {
      session,
      closed: member.ended,
      load: (options = {}) => this.#load(watch, member, token, options.touch ?? touch),
      detach,
    };
  }

  /** Lets all sockets go. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const watch of this.#watches.values()) watch.end("detached");
    const stop = await this.#watching;
    await stop?.();
  }

  async #load(watch: Watch, member: { readonly isOver: boolean }, token: string, touch: boolean) {
    if (member.isOver) return undefined;
    const at = await watch.find();
    if (at === undefined) return undefined;
    const session = this.#loader.standingOn(at, token);
    stateOf(session).attached = true;
    if (touch) this.#loader.touch(session, at);
    return session;
  }

  #watchOf(stored: Found): Watch {
    this.#watching ??= this.#watchStore();
    const known = this.#watches.get(stored.key);
    if (known !== undefined) return known;
    const watch: Watch = new Watch(this.#core, this.#loader, stored, {
      isPushed: () => this.#isPushed,
      onOver: () => void this.#watches.delete(stored.key),
    });
    this.#watches.set(stored.key, watch);
    return watch;
  }

  async #watchStore(): Promise<(() => Promise<void>) | undefined> {
    const { store } = this.#core.options;
    if (store.watch === undefined) return undefined;
    try {
      const stop = await store.watch((token) => {
        for (const watch of token === undefined ? this.#watches.values() : [this.#watches.get(token)]) watch?.look();
      });
      this.#isPushed = true;
      return stop;
    } catch (error) {
      this.#core.storeError("watch sessions", error);
      this.#watching = undefined; // the next socket tries again
      return undefined;
    }
  }
}
