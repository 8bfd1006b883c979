/** The contract of an adapter, as cases that any test runner can run. */

import { errors } from "./errors.ts";
import { headers } from "./headers.ts";
import { requests } from "./requests.ts";
import { responses } from "./responses.ts";
import { withServers, type AdapterAbility, type Serve } from "./tools.ts";

export type {
  AdapterAbility,
  ContractApp,
  ContractData,
  ContractReply,
  ContractRequest,
  ContractServer,
} from "./tools.ts";

/** One case of the contract. */
export interface AdapterContractCase {
  /** What it proves, as a sentence. */
  readonly name: string;
  /** Rejects with an error that says what was wrong. */
  run(): Promise<void>;
}

/** What `adapterContract` is told of an adapter. */
export interface AdapterContractOptions {
  /**
   * What the framework does not have: the cases that need it are left out.
   *
   * @default []
   */
  readonly without?: readonly AdapterAbility[];
}

/**
 * The cases that an adapter must pass. `serve` starts a server of the framework on the loopback, with the managers of the
 * application mounted, and answers its address.
 *
 * ```ts
 * for (const { name, run } of adapterContract(serve)) test(name, run);
 * ```
 */
export function adapterContract(serve: Serve, { without = [] }: AdapterContractOptions = {}): AdapterContractCase[] {
  return [...headers, ...responses, ...errors, ...requests]
    .filter(({ needs = [] }) => !needs.some((ability) => without.includes(ability)))
    .map((each) => ({ name: each.name, run: () => withServers(serve, (start) => each.check(start)) }));
}
