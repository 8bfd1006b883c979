/** The cases of watch: processes learn which sessions others have ended. */

import type { Store } from "../../store.ts";
import { same } from "../check.ts";
import { bytes, newKey, session, type Case } from "./tools.ts";

/** How long an announcement may take. */
const patience = 2_000;

/** Watches a store; `expect` waits until a token was told. */
async function watched(store: Required<Store>) {
  const told: (string | undefined)[] = [];
  let onTold = (): void => undefined;
  const stop = await store.watch((token) => {
    told.push(token);
    onTold();
  });
  const expect = (what: string, token: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`watch did not tell of ${what} within two seconds.`)), patience);
      onTold = () => {
        if (!told.includes(token)) return;
        clearTimeout(timer);
        resolve();
      };
      onTold();
    });
  return { told, stop, expect };
}

/** What sockets stand on; run for stores that say that they have it. */
export const watching: readonly Case[] = [
  {
    name: "watch tells the token of a session that replace ends",
    needs: ["watch", "replace"],
    async check(store) {
      const { stop, expect } = await watched(store);
      const key = newKey();
      await store.commit(key, session("one"));
      same("the answer", await store.replace(key, bytes("one"), undefined), "replaced");
      await expect("a session that replace has deleted", key);
      await stop();
    },
  },
  {
    name: "watch tells the token of a session that replace leaves a marker of",
    needs: ["watch", "replace"],
    async check(store) {
      const { stop, expect } = await watched(store);
      const key = newKey();
      await store.commit(key, session("one", { subject: "somebody" }));
      const marker = session("marker", { ended: true, subject: "somebody" });
      same("the answer", await store.replace(key, bytes("one"), marker), "replaced");
      await expect("a session that has ended", key);
      await stop();
    },
  },
  {
    name: "watch tells the token of a session that is deleted",
    needs: ["watch"],
    async check(store) {
      const { stop, expect } = await watched(store);
      const key = newKey();
      await store.commit(key, session("one"));
      await store.delete(key);
      await expect("a session that was deleted", key);
      await stop();
    },
  },
  {
    name: "watch has told each of its listeners, and none that has ended",
    needs: ["watch"],
    async check(store) {
      const ended = await watched(store);
      await ended.stop();
      const others = [await watched(store), await watched(store)];
      const key = newKey();
      await store.commit(key, session("one"));
      await store.delete(key);
      for (const other of others) await other.expect("a session that was deleted", key);
      same("what was told to a listener that has ended", ended.told.includes(key), false);
      for (const other of others) await other.stop();
    },
  },
];
