/** Whether a call of a store is still waited for. */

import type { CallOptions } from "../store.ts";

/** Throws when nobody waits for the answer of a call any more. */
export function checkAborted(options: Partial<CallOptions> | undefined): void {
  if (options?.aborted !== false) options?.signal?.throwIfAborted();
}
