/** The cases of find, commit and delete. */

import { same } from "../check.ts";
import {
  bytes,
  forEach,
  inMs,
  newKey,
  sameSession,
  session,
  succeeds,
  textAt,
  withoutExpiry,
  type Case,
} from "./tools.ts";

/** Keys that the manager never makes, but that a store must not take for another. */
const hostile = [
  "__proto__",
  "",
  "'; DROP TABLE sessions; --",
  'a"b`c\\d',
  "a\0b",
  "%_*?[a]",
  "a b\r\nc",
  "x".repeat(10_240),
  "ä\u0301ß😀",
  "\ud83d",
];

const day = 86_400_000;

/** What every store must do. */
export const basics: readonly Case[] = [
  {
    name: "find answers undefined where nothing is",
    async check(store) {
      same("find", await store.find(newKey()), undefined);
    },
  },
  {
    name: "find answers what was committed",
    async check(store) {
      const [key, other] = [newKey(), newKey()];
      const committed = session("one");
      await store.commit(other, session("other"));
      await store.commit(key, committed);
      sameSession("what was found", await store.find(key), committed);
    },
  },
  {
    name: "commit overwrites data and expiry",
    async check(store) {
      const key = newKey();
      for (const ms of [3_600_000, 9_000_000, 60_000]) {
        const committed = session(`until ${String(ms)}`, { expiry: inMs(ms) });
        await store.commit(key, committed);
        sameSession("what was found", await store.find(key), committed);
      }
    },
  },
  {
    name: "delete deletes one session only",
    async check(store) {
      const [key, other] = [newKey(), newKey()];
      await store.commit(key, session("one"));
      await store.commit(other, session("two"));
      await store.delete(key);
      same("find after delete", await store.find(key), undefined);
      same("another session", await textAt(store, other), "two");
    },
  },
  {
    name: "delete does nothing where nothing is",
    async check(store) {
      await store.delete(newKey());
    },
  },
  {
    name: "data of any bytes, of no length and of a megabyte comes back as it was",
    async check(store) {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const large = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 7) % 256);
      for (const data of [all, all.slice().reverse(), new Uint8Array(), large]) {
        const key = newKey();
        await store.commit(key, session("", { data }));
        same("data", (await store.find(key))?.data, data);
      }
    },
  },
  {
    name: "data is copied on the way in and on the way out",
    async check(store) {
      const key = newKey();
      const view = bytes("..one..").subarray(2, 5);
      const expiry = inMs(3_600_000);
      const committed = { data: view.slice(), expiry: new Date(expiry) };
      await store.commit(key, { data: view, expiry });
      view.fill(0);
      expiry.setTime(0);
      for (const time of ["after the caller changed what it gave", "after a reader changed what it got"]) {
        const found = await store.find(key);
        sameSession(time, found, committed);
        found?.data.fill(0);
        found?.expiry.setTime(0);
      }
    },
  },
  {
    name: "the expiry comes back to the millisecond",
    async check(store) {
      const whole = Math.ceil(Date.now() / 1000) * 1000;
      for (const ms of [60_000, 60_001, 60_499, 60_500, 60_999, 400 * day + 123]) {
        const key = newKey();
        const committed = session("one", { expiry: new Date(whole + ms) });
        await store.commit(key, committed);
        sameSession(`${String(ms)} ms ahead`, await store.find(key), committed);
      }
    },
  },
  {
    name: "find for those who do not ask for the expiry answers the data, and no earlier expiry",
    async check(store) {
      const key = newKey();
      same("find where nothing is", await store.find(key, withoutExpiry()), undefined);
      const committed = session("one");
      await store.commit(key, committed);
      const found = await store.find(key, withoutExpiry());
      same("data", found?.data, committed.data);
      const isEarlier = found === undefined || !(found.expiry.getTime() >= committed.expiry.getTime());
      same("whether the expiry is earlier than the stored one", isEarlier, false);
    },
  },
  {
    name: "what has expired is not found, or found with its expiry",
    async check(store) {
      const [key, live] = [newKey(), newKey()];
      const expired = session("two", { expiry: inMs(-1) });
      await store.commit(live, session("one"));
      for (const each of [key, live]) {
        await store.commit(each, expired);
        const found = await store.find(each);
        if (found !== undefined) sameSession("what has expired", found, expired);
      }
    },
  },
  {
    name: "keys are compared byte by byte",
    async check(store) {
      const key = `aB-_${newKey().slice(5)}z`;
      const alike = [key.toLowerCase(), key.toUpperCase(), `${key} `, ` ${key}`, key.slice(0, 42), `${key}\0`];
      alike.push(key.replace("a", "á"), key.replace("_", "%"), key.replace("-", "_"));
      await store.commit(key, session("one"));
      for (const other of alike) {
        same("find of a similar key", await store.find(other), undefined);
        await store.delete(other);
      }
      same("the session", await textAt(store, key), "one");
    },
  },
  {
    name: "strange keys are keys like any other, or are refused by commit and known to nobody else",
    async check(store) {
      const kept: string[] = [];
      for (const key of hostile) {
        same("find", await store.find(key), undefined);
        if (await succeeds("commit", () => store.commit(key, session(key)), [key])) kept.push(key);
      }
      for (const key of hostile) {
        same("find", (await store.find(key))?.data, kept.includes(key) ? bytes(key) : undefined);
        same("find of a longer key", await store.find(`${key} `), undefined);
      }
      for (const key of hostile) await store.delete(key);
      for (const key of hostile) same("find after delete", await store.find(key), undefined);
    },
  },
  {
    name: "many calls at once do not disturb one another",
    async check(store) {
      const keys = Array.from({ length: 200 }, newKey);
      await Promise.all(keys.map((key) => store.commit(key, session(key))));
      await forEach(keys, async (key) => {
        same("find", await textAt(store, key), key);
      });
    },
  },
];
