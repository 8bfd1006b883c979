/** Runs the contract of an adapter, wherever its framework is ready; contract-table.ts makes one table of all results. */

import { adapterContract } from "scs-session/testing";
import { describe, test } from "vitest";
import type { Harness } from "./tools.ts";

declare module "vitest" {
  interface TaskMeta {
    /** Of a case of the adapter contract: the adapter. */
    contract?: string;
  }
}

/** Defines a test for each case. */
export function testContract({ name, serve, without = [] }: Harness): void {
  describe(`${name}:`, () => {
    for (const each of adapterContract(serve, { without })) test(each.name, { meta: { contract: name } }, each.run);
  });
}
