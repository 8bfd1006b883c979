/** For tests: of applications that use sessions, and of stores. */

export {
  adapterContract,
  type AdapterAbility,
  type AdapterContractCase,
  type AdapterContractOptions,
  type ContractApp,
  type ContractData,
  type ContractReply,
  type ContractRequest,
  type ContractServer,
} from "./adapter-contract/index.ts";
export { TestClock } from "./clock.ts";
export { FaultyStore, type StoreCall } from "./faulty-store.ts";
export { signIn } from "./sign-in.ts";
export { storeContract, type StoreContractCase, type StoreContractOptions } from "./store-contract/index.ts";
