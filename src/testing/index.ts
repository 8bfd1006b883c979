/** For tests: of applications that use sessions, and of stores. */

export { TestClock } from "./clock.ts";
export { FaultyStore, type StoreCall } from "./faulty-store.ts";
export { signIn } from "./sign-in.ts";
export { storeContract, type StoreContractCase, type StoreContractOptions } from "./store-contract/index.ts";
