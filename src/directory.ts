/** The sessions that the store can list. */

import type { Core } from "./core.ts";
import { SessionError } from "./errors.ts";
import { isMarker, type Found } from "./records.ts";
import type { StoredSession } from "./store.ts";

/** What a store lists. */
type Listed = [key: string, session: StoredSession];

/**
 * The listing half of a manager. What it answers is valid, and may be a marker. Records of a format that this version does
 * not know are left out, with an event; `onUnknown` is told.
 */
export class Directory {
  readonly #core: Core;
  readonly #hasSubjects: boolean;

  constructor(core: Core, hasSubjects: boolean) {
    this.#core = core;
    this.#hasSubjects = hasSubjects;
  }

  /** Everything. Throws `unsupported` for a store that cannot list. */
  async *all(): AsyncGenerator<Found> {
    const { store } = this.#core.options;
    const all = this.#open(() => store.all?.());
    if (all === undefined) {
      throw new SessionError("unsupported", "The store cannot list its sessions: it has no method `all`.");
    }
    yield* this.#valid(all);
  }

  /** The sessions of a subject, verified; of stores without an index no markers. */
  async *ofSubject(subject: string, onUnknown?: (error: SessionError) => void): AsyncGenerator<Found> {
    const { options, records } = this.#core;
    if (!this.#hasSubjects) {
      const remedy = "for example subject: (data) => data.userId";
      throw new SessionError("invalid-option", `list and revoke need the option subject of SessionManager, ${remedy}.`);
    }
    const indexed = this.#open(() => options.store.findBySubject?.(subject));
    for await (const found of indexed === undefined ? this.all() : this.#valid(indexed, onUnknown)) {
      if (isMarker(found) ? indexed !== undefined : records.subjectOf(found.record.values) === subject) yield found;
    }
  }

  #decode(key: string, session: StoredSession, onUnknown?: (error: SessionError) => void): Found | undefined {
    try {
      return this.#core.records.decode(key, session);
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      onUnknown?.(error);
      return undefined;
    }
  }

  /** Begins to read what the store lists; undefined when it cannot list. */
  #open(list: () => AsyncIterable<Listed> | undefined): AsyncIterator<Listed> | undefined {
    try {
      return list()?.[Symbol.asyncIterator]();
    } catch (error) {
      throw this.#core.storeError("list sessions", error);
    }
  }

  async *#valid(reader: AsyncIterator<Listed>, onUnknown?: (error: SessionError) => void): AsyncGenerator<Found> {
    const { records, limits } = this.#core;
    try {
      for (;;) {
        const next = await limits
          .run(() => reader.next())
          .catch((error: unknown) => {
            throw this.#core.storeError("list sessions", error);
          });
        if (next.done === true) return;
        const [key, session] = next.value;
        const found = this.#decode(key, session, onUnknown);
        if (found !== undefined && records.isValid(found)) yield found;
      }
    } finally {
      // Not awaited: a generator that still waits for the store would let us wait, too.
      reader.return?.().then(undefined, () => undefined);
    }
  }
}
