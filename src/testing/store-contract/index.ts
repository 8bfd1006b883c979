/** The contract of a session store, as cases that any test runner can run. */

import { milliseconds, type Duration } from "../../duration.ts";
import type { Store } from "../../store.ts";
import { basics } from "./basics.ts";
import { faults, outages } from "./faults.ts";
import { listing } from "./listing.ts";
import { replacing } from "./replacing.ts";
import { within, type Ability, type Case } from "./tools.ts";
import { watching } from "./watching.ts";

/** One case of the contract. */
export interface StoreContractCase {
  /** What it proves, as a sentence. */
  readonly name: string;
  /** Rejects with an error that says what was wrong. */
  run(): Promise<void>;
}

/** What `storeContract` is told of a store. */
export interface StoreContractOptions {
  /**
   * Abilities that the store does not have: their cases are left out. Any other that is missing fails.
   *
   * @default []
   */
  readonly without?: readonly Ability[];
  /**
   * Whether the store pushes: the cases of `watch`.
   *
   * @default false
   */
  readonly push?: boolean;
  /**
   * Makes a store whose server is gone, or whose client is closed: its calls must reject, and the errors tell neither key
   * nor data. Undefined: not checked, since the store has no server.
   *
   * @default undefined
   */
  readonly unreachable?: (() => Store | Promise<Store>) | undefined;
  /**
   * How long one case may take. It fails then: a call that never settles is a fault of the store.
   *
   * @default "20s"
   */
  readonly timeLimit?: Duration;
}

/**
 * The cases that a store must pass. `make` is called for each and gives an empty store, one with a table or prefix of its
 * own; it is closed in the end. The cases use the real time, and take moments.
 *
 * ```ts
 * for (const { name, run } of storeContract(() => new MemoryStore())) test(name, run);
 * ```
 */
export function storeContract(
  make: () => Store | Promise<Store>,
  { without = [], push = false, unreachable, timeLimit = "20s" }: StoreContractOptions = {},
): StoreContractCase[] {
  const limit = milliseconds(timeLimit, "timeLimit");
  const runnable = (cases: readonly Case[], from: () => Store | Promise<Store>): StoreContractCase[] =>
    cases
      .filter(({ needs = [] }) => !needs.some((ability) => without.includes(ability)))
      .map((each) => ({ name: each.name, run: () => run(each, from, limit) }));
  const contract = runnable([...basics, ...replacing, ...listing, ...faults, ...(push ? watching : [])], make);
  return unreachable === undefined ? contract : [...contract, ...runnable(outages, unreachable)];
}

async function run(each: Case, make: () => Store | Promise<Store>, limit: number): Promise<void> {
  const store = await within(limit, "The function that makes a store", Promise.resolve(make()));
  try {
    const missing = each.needs?.find((ability) => typeof store[ability] !== "function");
    if (missing !== undefined) {
      throw new Error(
        `The store has no method ${missing}. If that is meant, tell storeContract: without: ["${missing}"].`,
      );
    }
    await within(limit, "A call of the store that this case waits for", each.check(store as Required<Store>));
  } finally {
    await within(limit, "close", Promise.resolve(store.close?.()));
  }
}
