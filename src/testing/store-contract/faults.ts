/** What a store does when nobody waits any more, or its server is gone. */

import type { CallOptions, Store } from "../../store.ts";
import { same } from "../check.ts";
import { inMs, keysOf, newKey, session, succeeds, textAt, within, type Ability, type Case } from "./tools.ts";

type Call = (store: Required<Store>, key: string, options?: CallOptions) => Promise<unknown>;

const secret = "data that no error may tell";

/** Every call of a store that takes a signal. */
const calls: Readonly<Record<"find" | "commit" | "delete" | "replace" | "touch", Call>> = {
  find: (store, key, options) => store.find(key, options),
  commit: (store, key, options) => store.commit(key, session(secret), options),
  delete: (store, key, options) => store.delete(key, options),
  replace: (store, key, options) => store.replace(key, session("one").data, session(secret), options),
  touch: (store, key, options) => store.touch(key, inMs(60_000), options),
};

/** The others that ask the server. */
const lists: Readonly<Record<"all" | "findBySubject" | "deleteExpired", Call>> = {
  all: (store) => keysOf(store.all()),
  findBySubject: (store, key) => keysOf(store.findBySubject(`subject ${key}`)),
  deleteExpired: (store) => store.deleteExpired(10),
};

/** How long a call whose signal is aborted may still take. */
const patience = 5_000;

/** What bounds an outage. */
export const faults: readonly Case[] = [
  {
    name: "a call whose signal is aborted settles, and the store goes on working",
    async check(store) {
      const aborted = async (name: string, call: Call, when: "before" | "after"): Promise<void> => {
        if (!(name in store)) return;
        const controller = new AbortController();
        if (when === "before") controller.abort();
        const key = newKey();
        const settled = succeeds(name, async () => call(store, key, { signal: controller.signal }), [key, secret]);
        controller.abort();
        await within(patience, `${name}, aborted ${when} it was called,`, settled);
      };
      // More than a pool has connections, so that one that is lost each time would be missed.
      const all = Object.entries(calls).flatMap((call) => Array.from({ length: 10 }, () => call));
      await Promise.all(all.map(([name, call]) => aborted(name, call, "after")));
      await Promise.all(all.map(([name, call]) => aborted(name, call, "before")));
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

const abilities: readonly string[] = ["replace", "touch", ...Object.keys(lists)];

/** For a store whose server does not answer or whose client is closed. */
export const outages: readonly Case[] = Object.entries({ ...calls, ...lists }).map(([name, call]) => ({
  name: `${name} rejects with an error when the server is gone, and the error tells neither key nor data`,
  needs: abilities.includes(name) ? [name as Ability] : [],
  async check(store) {
    const key = newKey();
    same(`whether ${name} went through`, await succeeds(name, async () => call(store, key), [key, secret]), false);
  },
}));
