/** One look at the store for all sockets of a session: who are told when it has ended. */

import type { AttachmentEnd } from "./attachment.ts";
import type { Core } from "./core.ts";
import type { Loader } from "./loader.ts";
import { isMarker, type Found } from "./records.ts";

/** How often a store that pushes is asked all the same: what others delete, and what was announced to nobody, is found so. */
const pushedInterval = 10_000;

/** What a watch is told of those around it. */
export interface Surroundings {
  /** Whether the store tells when a session ends. */
  isPushed(): boolean;
  /** Nobody watches any more. */
  onOver(): void;
}

/** One of the sockets. */
export class Member {
  readonly interval: number;
  readonly touch: boolean;
  readonly ended: Promise<AttachmentEnd>;
  isOver = false;
  #resolve: (reason: AttachmentEnd) => void = () => undefined;
  readonly #onEnd: (member: Member) => void;

  constructor(interval: number, touch: boolean, onEnd: (member: Member) => void) {
    this.interval = interval;
    this.touch = touch;
    this.#onEnd = onEnd;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
  }

  end(reason: AttachmentEnd): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onEnd(this);
    this.#resolve(reason);
  }
}

/** The sockets of one session. */
export class Watch {
  readonly #core: Core;
  readonly #loader: Loader;
  readonly #around: Surroundings;
  readonly #members = new Set<Member>();
  #at: Found;
  #due = Infinity;
  #cancel: (() => void) | undefined;
  #isLooking = false;
  /** Whether to look once more, since something happened after the look that is under way. */
  #again = false;

  constructor(core: Core, loader: Loader, at: Found, around: Surroundings) {
    this.#core = core;
    this.#loader = loader;
    this.#at = at;
    this.#around = around;
  }

  join(interval: number, touch: boolean): Member {
    const member = new Member(interval, touch, (each) => {
      this.#members.delete(each);
      if (this.#members.size > 0) return;
      this.#cancel?.();
      this.#around.onOver();
    });
    this.#members.add(member);
    // Soon, also where the store pushes: what it told between the load and now was told to nobody.
    this.#lookIn(interval);
    return member;
  }

  end(reason: AttachmentEnd): void {
    for (const member of this.#members) member.end(reason);
  }

  /** The session as it is now; undefined when it is over, of which all are told. */
  async find(): Promise<Found | undefined> {
    const { limits, records, options } = this.#core;
    const at = await limits.run((limit) => records.find(this.#at.key, limit));
    if (at !== undefined && !isMarker(at)) return (this.#at = at);
    this.end(at !== undefined ? "renewed" : this.#at.expiry <= options.clock.now() ? "expired" : "destroyed");
    return undefined;
  }

  /** Looks now whether it is still there. */
  look(): void {
    this.#again = this.#isLooking;
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#cancel?.();
    this.#due = Infinity;
    const looked = this.#look().then((answered) => {
      this.#isLooking = false;
      if (this.#members.size === 0) return;
      if (this.#again) this.look();
      else this.#lookIn(this.#pause(answered));
    });
    this.#core.track(looked);
  }

  /** False when the store did not answer. */
  async #look(): Promise<boolean> {
    try {
      const at = await this.find();
      if (at !== undefined && this.#keepsAlive) this.#loader.touch(this.#loader.standingOn(at, ""), at);
      return true;
    } catch {
      // That is an event already, and says nothing about the session; but no session outlives its deadline.
      if (this.#at.record.deadline <= this.#core.options.clock.now()) this.end("expired");
      return false;
    }
  }

  get #keepsAlive(): boolean {
    return [...this.#members].some(({ touch }) => touch);
  }

  /** How long to wait before the next look. */
  #pause(answered: boolean): number {
    const { idleTimeout = Infinity } = this.#core.options;
    let interval = Infinity;
    for (const member of this.#members) interval = Math.min(interval, member.interval);
    if (!answered || !this.#around.isPushed()) return interval;
    return Math.max(interval, this.#keepsAlive ? Math.min(pushedInterval, idleTimeout / 2) : pushedInterval);
  }

  /** Looks after so many milliseconds, and when the session expires, if it does not do so earlier. */
  #lookIn(ms: number): void {
    if (this.#isLooking) return;
    const { clock } = this.#core.options;
    const left = this.#at.expiry - clock.now();
    const wait = left > 0 ? Math.min(ms, left) : ms;
    if (clock.now() + wait >= this.#due) return;
    this.#cancel?.();
    this.#due = clock.now() + wait;
    this.#cancel = clock.after(wait, () => this.look());
  }
}
