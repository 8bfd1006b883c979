/** What a request asked of its session since the last commit, kept so that it can be done again on newer data. */

import { SessionError } from "./errors.ts";
import type { Found } from "./records.ts";
import { alike, takeIn, type Values } from "./values.ts";

/** What was done to one key, or to all. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: unknown }
  | { readonly type: "update"; readonly key: string; readonly change: (value: unknown) => unknown }
  | PopOperation
  | { readonly type: "remove"; readonly key: string }
  | { readonly type: "clear" };

/** A value that was handed out and removed. */
export interface PopOperation {
  readonly type: "pop";
  readonly key: string;
  readonly popped: unknown;
  readonly once: boolean;
}

/** A session that is merged into another one. */
export interface Merged {
  readonly found: Found;
  /** Undefined: all that it has. */
  readonly keys: readonly string[] | undefined;
}

/** Everything that one commit carries out, all or nothing, in this order. */
export class Changes {
  /** Ends the stored session first; the rest makes a new one. */
  destroy = false;
  /** Gives the session a new token. Operations before the index are not the renewal's own purpose. */
  renewal: { readonly ownFrom: number } | undefined;
  operations: Operation[] = [];
  deadline: number | undefined;
  /** Set by merging: the later deadline counts. */
  earliestDeadline: number | undefined;
  rememberMe: boolean | undefined;
  /** Stores the session even if nothing is in it: the client is to have a token. */
  issue = false;
  /** Sessions that were merged into this one and end with the commit. */
  merged: Merged[] = [];

  /** What was popped `once` before `destroy()`: the session that is ended must still have it. */
  taking: PopOperation[] = [];

  /** Drawn by the first attempt and kept for the next: how a write whose answer was lost is recognised. */
  commitId: string | undefined;
  /** Commit ids of joint writes, which were to store these changes and those of other commits: recognised by them, too. */
  jointIds: string[] = [];
  /** Joint writes begun by other commits, as far as it is not known that they failed; `over`: the commit id of what they replace. */
  uncertain: { readonly id: string; readonly over: string }[] = [];
  /** Drawn by each attempt: what an earlier one has sent may still arrive. */
  newToken: string | undefined;
  earlierTokens: string[] = [];

  /** The tokens of all attempts, the newest first. */
  get tokens(): string[] {
    return this.newToken === undefined ? this.earlierTokens : [this.newToken, ...this.earlierTokens];
  }

  /** Whether there is anything to store, apart from ending the old session. */
  get saves(): boolean {
    return (
      this.operations.length > 0 ||
      this.renewal !== undefined ||
      this.deadline !== undefined ||
      this.earliestDeadline !== undefined ||
      this.rememberMe !== undefined ||
      this.issue ||
      this.merged.length > 0
    );
  }

  get isEmpty(): boolean {
    return !this.saves && !this.destroy;
  }

  /** These changes and then `later` ones, as those of one commit. */
  followedBy(later: Changes): Changes {
    if (later.destroy) {
      later.taking = [...this.taken(), ...later.taking];
      return later;
    }
    const both = new Changes();
    const shift = this.operations.length;
    both.destroy = this.destroy;
    both.taking = this.taking;
    both.renewal = this.renewal ?? (later.renewal && { ownFrom: later.renewal.ownFrom + shift });
    both.operations = [...this.operations, ...later.operations];
    both.deadline = later.deadline ?? this.deadline;
    both.earliestDeadline =
      later.deadline === undefined ? (later.earliestDeadline ?? this.earliestDeadline) : undefined;
    both.rememberMe = later.rememberMe ?? this.rememberMe;
    both.issue = this.issue || later.issue;
    both.merged = [...this.merged, ...later.merged];
    return both;
  }

  /** What was popped `once`. */
  taken(): PopOperation[] {
    return [
      ...this.taking,
      ...this.operations.filter((each): each is PopOperation => each.type === "pop" && each.once),
    ];
  }

  /** Notes an operation; a put of the key that was put just before replaces it. */
  add(operation: Operation): void {
    const last = this.operations.at(-1);
    const repeated = operation.type === "put" && last?.type === "put" && last.key === operation.key;
    if (repeated && this.operations.length > (this.renewal?.ownFrom ?? 0)) this.operations.pop();
    this.operations.push(operation);
  }
}

/** The values after the operations. Throws `taken` when a value popped `once` is no longer what was popped. */
export function apply(values: Values, operations: readonly Operation[]): Values {
  const result = copyOf(values);
  for (const operation of operations) perform(result, operation);
  return result;
}

/** Does one operation to the values it is given. */
export function perform(values: Values, operation: Operation): void {
  switch (operation.type) {
    case "put":
      values[operation.key] = operation.value;
      break;
    case "update":
      values[operation.key] = updated(operation.key, values[operation.key], operation.change);
      break;
    case "pop":
      // A replayed pop removes only what it returned.
      if (alike(values[operation.key], operation.popped)) Reflect.deleteProperty(values, operation.key);
      else if (operation.once) throw taken();
      break;
    case "remove":
      Reflect.deleteProperty(values, operation.key);
      break;
    case "clear":
      for (const key of Object.keys(values)) Reflect.deleteProperty(values, key);
      break;
  }
}

/** A value that was popped with `once` cannot be had: another request got it, or its session is gone. */
export function taken(): SessionError {
  return new SessionError(
    "taken",
    "Another request popped a value that was to be popped once; treat it as already used.",
  );
}

/** A copy that inherits no names, so that every key is an ordinary one. */
export function copyOf(values: Values): Values {
  return Object.assign(new Bag(), values);
}

/** Objects without a prototype are slow to fill; one of an empty prototype serves as well. */
const Bag = function () {
  // holds nothing yet
} as unknown as new () => Values;
Bag.prototype = Object.create(null) as object;

function updated(key: string, value: unknown, change: (value: unknown) => unknown): unknown {
  const result = change(value);
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
    const remedy = "await first, then call update with a function that only computes";
    throw new SessionError("invalid-value", `The function given to update("${key}") returned a Promise; ${remedy}.`);
  }
  return takeIn(key, result);
}
