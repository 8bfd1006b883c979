/** What a store does when nobody waits any more, or its server is gone. */

import type { CallOptions, Store } from "../../store.ts";
import { same } from "../check.ts";
import { inMs, newKey, session, succeeds, textAt, type Case } from "./tools.ts";

type Call = (store: Store, key: string, options?: CallOptions) => Promise<unknown> | undefined;

/** Every call of a store that takes a signal. */
const calls: Readonly<Record<"find" | "commit" | "delete" | "replace" | "touch", Call>> = {
  find: (store, key, options) => store.find(key, options),
  commit: (store, key, options) => store.commit(key, session("one"), options),
  delete: (store, key, options) => store.delete(key, options),
  replace: (store, key, options) => store.replace?.(key, session("one").data, session("two"), options),
  touch: (store, key, options) => store.touch?.(key, inMs(60_000), options),
};

/** What bounds an outage. */
export const faults: readonly Case[] = [
  {
    name: "a call whose signal is aborted settles, and the store goes on working",
    async check(store) {
      const aborted = async (call: Call, when: "before" | "after"): Promise<void> => {
        const controller = new AbortController();
        if (when === "before") controller.abort();
        const settled = succeeds("an aborted call", async () => call(store, newKey(), { signal: controller.signal }));
        controller.abort();
        await settled;
      };
      // More than a pool has connections, so that one that is lost each time would be missed.
      const all = Object.values(calls).flatMap((call) => Array.from({ length: 10 }, () => call));
      await Promise.all(all.map((call) => aborted(call, "after")));
      await Promise.all(all.map((call) => aborted(call, "before")));
      const key = newKey();
      await store.commit(key, session("one"));
      same("what is stored afterwards", await textAt(store, key), "one");
    },
  },
  {
    name: "close may be called twice",
    async check(store) {
      const { close } = store as Partial<typeof store>;
      for (let i = 0; i < 2; i++) await close?.call(store);
    },
  },
];

/** For a store whose server does not answer or whose client is closed. */
export const outages: readonly Case[] = Object.entries(calls).map(([name, call]) => ({
  name: `${name} rejects with an error when the server is gone`,
  needs: name === "replace" || name === "touch" ? [name] : [],
  async check(store) {
    same(`whether ${name} went through`, await succeeds(name, async () => call(store, newKey())), false);
  },
}));
