/** The cases of replace and touch, which change a session only as it was found. */

import { same } from "../check.ts";
import { bytes, inMs, newKey, newKeys, sameSession, session, textAt, type Case } from "./tools.ts";

/** What the guarantees against lost updates and resurrection stand on. */
export const replacing: readonly Case[] = [
  {
    name: "replace answers `replaced`, and has written, when the stored bytes are the expected ones",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("one"));
      const next = session("two", { expiry: inMs(9_000_123) });
      same("the answer", await store.replace(key, bytes("one"), next), "replaced");
      sameSession("what is stored now", await store.find(key), next);
    },
  },
  {
    name: "replace answers `replaced` also when nothing changes",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      const committed = session("one");
      await store.commit(key, committed);
      for (const time of ["first", "second"]) {
        same(`the ${time} answer`, await store.replace(key, bytes("one"), committed), "replaced");
      }
      sameSession("what is stored", await store.find(key), committed);
    },
  },
  {
    name: "replace moves the expiry where the bytes stay the same",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("one"));
      const next = session("one", { expiry: inMs(60_000) });
      same("the answer", await store.replace(key, bytes("one"), next), "replaced");
      sameSession("what is stored now", await store.find(key), next);
    },
  },
  {
    name: "replace deletes when there is no next one",
    needs: ["replace"],
    async check(store) {
      const [key, other] = newKeys(2) as [string, string];
      await store.commit(key, session("one"));
      await store.commit(other, session("one"));
      same("the answer", await store.replace(key, bytes("one"), undefined), "replaced");
      same("find", await store.find(key), undefined);
      same("another session", await textAt(store, other), "one");
    },
  },
  {
    name: "replace answers `conflict`, and changes nothing, when the stored bytes are others",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      const committed = session("one");
      await store.commit(key, committed);
      for (const expected of ["two", "on", "one ", "", "One", "one\0"]) {
        for (const next of [session("two", { expiry: inMs(60_000) }), undefined]) {
          same("the answer", await store.replace(key, bytes(expected), next), "conflict");
          sameSession("what is stored", await store.find(key), committed);
        }
      }
    },
  },
  {
    name: "replace compares any bytes, not their text",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      const data = Uint8Array.from({ length: 256 }, (_, i) => i);
      await store.commit(key, session("", { data }));
      const other = data.slice();
      other[200] = 201;
      same("the answer for other bytes", await store.replace(key, other, session("two")), "conflict");
      same("the answer for the same bytes", await store.replace(key, data, session("two")), "replaced");
    },
  },
  {
    name: "replace answers `missing`, and creates nothing, where nothing is",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      for (const next of [session("two"), undefined]) {
        same("the answer", await store.replace(key, bytes("one"), next), "missing");
        same("find", await store.find(key), undefined);
      }
    },
  },
  {
    name: "of 50 parallel replaces of the same bytes one wins",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("start"));
      const names = Array.from({ length: 50 }, (_, i) => `writer ${String(i)}`);
      const answers = await Promise.all(names.map((name) => store.replace(key, bytes("start"), session(name))));
      same("how many won", answers.filter((answer) => answer === "replaced").length, 1);
      same("how many were told of a conflict", answers.filter((answer) => answer === "conflict").length, 49);
      same("what is stored", await textAt(store, key), names[answers.indexOf("replaced")]);
    },
  },
  {
    name: "of 50 parallel replaces and deletions of the same bytes one wins",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("start"));
      const nexts = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? undefined : session(`writer ${String(i)}`)));
      const answers = await Promise.all(nexts.map((next) => store.replace(key, bytes("start"), next)));
      same("how many won", answers.filter((answer) => answer === "replaced").length, 1);
      const winner = nexts[answers.indexOf("replaced")];
      same("what is stored", (await store.find(key))?.data, winner?.data);
      const told = answers.filter((answer) => answer === (winner === undefined ? "missing" : "conflict")).length;
      // Who looks while the session is being deleted may be told of either.
      if (winner !== undefined) same("how many were told of a conflict", told, 49);
    },
  },
  {
    name: "50 parallel counters that retry on conflict count to 50",
    needs: ["replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("0"));
      const count = async (): Promise<void> => {
        for (;;) {
          const found = await store.find(key);
          if (found === undefined) throw new Error("The session is gone.");
          const next = session(String(Number(new TextDecoder().decode(found.data)) + 1));
          if ((await store.replace(key, found.data, next)) === "replaced") return;
        }
      };
      await Promise.all(Array.from({ length: 50 }, count));
      same("the count", await textAt(store, key), "50");
    },
  },
  {
    name: "touch moves the expiry, and nothing else",
    needs: ["touch"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("one"));
      for (const expiry of [inMs(9_000_123), inMs(60_000)]) {
        same("the answer", await store.touch(key, expiry), true);
        sameSession("what is stored", await store.find(key), session("one", { expiry }));
      }
    },
  },
  {
    name: "touch answers true where the expiry stays the same",
    needs: ["touch"],
    async check(store) {
      const key = newKey();
      const expiry = inMs(60_000);
      await store.commit(key, session("one", { expiry }));
      same("the answer", await store.touch(key, expiry), true);
    },
  },
  {
    name: "touch answers false, and creates nothing, where nothing is",
    needs: ["touch"],
    async check(store) {
      const key = newKey();
      same("the answer", await store.touch(key, inMs(60_000)), false);
      same("find", await store.find(key), undefined);
    },
  },
  {
    name: "touch brings nothing back that is deleted at the same time",
    needs: ["touch"],
    async check(store) {
      await Promise.all(
        newKeys(20).map(async (key) => {
          await store.commit(key, session("one"));
          await Promise.all([store.touch(key, inMs(9_000_000)), store.delete(key)]);
          same("find after delete", await store.find(key), undefined);
        }),
      );
    },
  },
  {
    name: "touch undoes no replace of the same time",
    needs: ["replace", "touch"],
    async check(store) {
      await Promise.all(
        newKeys(20).map(async (key, i) => {
          await store.commit(key, session("one"));
          const next = i % 2 === 0 ? session("two") : undefined;
          const touched = store.touch(key, inMs(9_000_000));
          same("the answer to replace", await store.replace(key, bytes("one"), next), "replaced");
          await touched;
          same("what is stored", await textAt(store, key), next && "two");
        }),
      );
    },
  },
];
