/** What loading and storing of one manager have in common. */

import { Changes } from "./changes.ts";
import { storeError, type SessionError } from "./errors.ts";
import type { Publish } from "./events.ts";
import { Limits } from "./limit.ts";
import type { ResolvedOptions } from "./options.ts";
import { Records, type SubjectOf } from "./records.ts";
import { Session, stateOf, type SessionHome } from "./session.ts";

/** One for each manager. */
export class Core {
  readonly options: ResolvedOptions;
  readonly publish: Publish;
  readonly records: Records;
  readonly limits: Limits;
  /** Sessions with this home are this manager's. */
  readonly home: SessionHome;
  /** How many pieces of work are under way that closing has to wait for, and who waits. */
  #underWay = 0;
  #onIdle: (() => void)[] = [];

  constructor(options: ResolvedOptions, subject: SubjectOf | undefined, publish: Publish) {
    this.options = options;
    this.publish = publish;
    this.records = new Records({ ...options, name: options.transport.name, subject, publish });
    const wantsExpiry = options.idleTimeout !== undefined;
    this.limits = new Limits(options.clock, options.storeTimeout, wantsExpiry, (error) => {
      publish({ type: "store-error", error });
    });
    this.home = {
      lifetime: options.lifetime,
      now: () => options.clock.now(),
      idOf: (key) => this.records.idOf(key),
    };
  }

  /** A new, empty session. */
  session(): Session {
    const now = this.options.clock.now();
    return new Session({
      home: this.home,
      token: "",
      presented: "",
      stored: undefined,
      gone: undefined,
      others: [],
      values: {},
      deadline: now + this.options.lifetime,
      createdAt: now,
      rememberMe: false,
      status: "unmodified",
      changes: new Changes(),
      committing: undefined,
      available: true,
      unattended: false,
      sealed: false,
      attached: false,
      observed: false,
      touched: undefined,
      stale: false,
      outcome: undefined,
      answer: undefined,
      running: undefined,
      exchange: undefined,
    });
  }

  /** The session of a request whose own cannot be had: empty, and not to be changed. */
  unavailable(): Session {
    const session = this.session();
    stateOf(session).available = false;
    return session;
  }

  /** A fault of the store outside of a load or commit, as an error that leaks nothing; also an event. */
  storeError(action: string, fault: unknown): SessionError {
    const error = storeError(action, fault);
    this.publish({ type: "store-error", error });
    return error;
  }

  /** Work that closing has to wait for. */
  track(work: Promise<unknown>): void {
    this.begin();
    const end = (): void => {
      this.end();
    };
    work.then(end, end);
  }

  /** `track` for work that says itself, by `end`, that it is over: it saves a promise. */
  begin(): void {
    this.#underWay++;
  }

  end(): void {
    if (--this.#underWay > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Settles when all that was begun is done. */
  async idle(): Promise<void> {
    while (this.#underWay > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }
}
