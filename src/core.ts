/** What loading and storing of one manager have in common. */

import { Changes } from "./changes.ts";
import type { Publish } from "./events.ts";
import { Limits } from "./limit.ts";
import type { ResolvedOptions } from "./options.ts";
import { Records, type SubjectOf } from "./records.ts";
import { Session, type SessionHome, type SessionState } from "./session.ts";

export class Core {
  readonly options: ResolvedOptions;
  readonly publish: Publish;
  readonly records: Records;
  readonly limits: Limits;
  /** Sessions with this home are this manager's. */
  readonly home: SessionHome;
  /** What goes on beside requests; closing waits for it. */
  readonly #background = new Set<Promise<unknown>>();

  constructor(options: ResolvedOptions, subject: SubjectOf | undefined, publish: Publish) {
    this.options = options;
    this.publish = publish;
    this.records = new Records({ ...options, name: options.transport.name, subject, publish });
    this.limits = new Limits(options.clock, options.storeTimeout, (error) => {
      publish({ type: "store-error", error });
    });
    this.home = {
      lifetime: options.lifetime,
      now: () => options.clock.now(),
      idOf: (key) => this.records.idOf(key),
    };
  }

  /** A session; a new, empty one but for what is given. */
  session(given: Partial<SessionState> = {}): Session {
    const now = this.options.clock.now();
    return new Session({
      home: this.home,
      token: "",
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
      sealed: false,
      observed: false,
      touched: undefined,
      stale: false,
      outcome: undefined,
      running: undefined,
      onDestroy: undefined,
      ...given,
    });
  }

  /** Runs beside requests. The promise must not reject. */
  track(work: Promise<unknown>): void {
    this.#background.add(work);
    void work.then(() => this.#background.delete(work));
  }

  /** Settles when nothing goes on beside requests. */
  async idle(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }
}
