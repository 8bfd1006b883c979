/** The request that the running code belongs to, as far as AsyncLocalStorage can tell. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Exchange } from "./exchange.ts";

/** One storage for all managers: each exchange knows the one around it. */
export const storage: AsyncLocalStorage<Exchange> = new AsyncLocalStorage<Exchange>();

/** Runs work, from anywhere, as the code that called this would. */
export function sameContext(): <T>(work: () => T) => T {
  return AsyncLocalStorage.snapshot();
}
