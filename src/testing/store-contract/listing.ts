/** The cases of all, findBySubject and deleteExpired. */

import { same } from "../check.ts";
import {
  bytes,
  forEach,
  inMs,
  keysOf,
  newKey,
  newKeys,
  sameSession,
  session,
  succeeds,
  textAt,
  type Case,
} from "./tools.ts";

/** More than fit into one page. */
const many = 1_200;

const strangeSubjects = ["'; --", "a%b_c*", "", "ä😀", "1 ", "a\0b", "x".repeat(300), "__proto__"];

/** What lists, revocation and sweeps stand on. */
export const listing: readonly Case[] = [
  {
    name: "all answers every session, with its data and expiry",
    needs: ["all"],
    async check(store) {
      same("all of an empty store", await keysOf(store.all()), []);
      const committed = new Map(newKeys(3).map((key) => [key, session(key, { expiry: inMs(60_001) })]));
      for (const [key, each] of committed) await store.commit(key, each);
      same("all", await keysOf(store.all()), [...committed.keys()].sort());
      for await (const [key, found] of store.all()) sameSession("a session", found, committed.get(key) ?? session(""));
    },
  },
  {
    name: "all answers each of many sessions once, while others come, change and go",
    needs: ["all"],
    async check(store) {
      const [stay, go] = [newKeys(many), newKeys(100)];
      await forEach([...stay, ...go], (key) => store.commit(key, session("one")));
      const seen = new Map<string, number>();
      for await (const [key] of store.all()) {
        seen.set(key, (seen.get(key) ?? 0) + 1);
        if (seen.size % 100 !== 1) continue;
        await store.commit(newKey(), session("new"));
        await store.commit(stay[seen.size] ?? newKey(), session("two"));
        await store.delete(go.pop() ?? "");
      }
      same("sessions missed", stay.filter((key) => !seen.has(key)).length, 0);
      same("sessions answered twice", stay.filter((key) => (seen.get(key) ?? 0) > 1).length, 0);
    },
  },
  {
    name: "all can be left early",
    needs: ["all"],
    async check(store) {
      await forEach(newKeys(5), (key) => store.commit(key, session("one")));
      for (let i = 0; i < 30; i++) {
        const rows = store.all()[Symbol.asyncIterator]();
        await rows.next();
        await rows.return?.();
      }
      same("all afterwards", (await keysOf(store.all())).length, 5);
    },
  },
  {
    name: "findBySubject answers the sessions of a subject, with their data and expiry",
    needs: ["findBySubject"],
    async check(store) {
      const [a, b, c, nobodys] = newKeys(4) as [string, string, string, string];
      const expiry = inMs(60_001);
      for (const key of [a, b]) await store.commit(key, session(key, { subject: "1", expiry }));
      await store.commit(c, session("c", { subject: "2" }));
      await store.commit(nobodys, session("nobody's"));
      same("the sessions of 1", await keysOf(store.findBySubject("1")), [a, b].sort());
      same("the sessions of 2", await keysOf(store.findBySubject("2")), [c]);
      same("the sessions of 3", await keysOf(store.findBySubject("3")), []);
      for await (const [key, found] of store.findBySubject("1")) {
        sameSession("a session", found, session(key, { expiry }));
      }
    },
  },
  {
    name: "findBySubject answers each of many sessions once",
    needs: ["findBySubject"],
    async check(store) {
      const keys = newKeys(many);
      await forEach(keys, (key) => store.commit(key, session("one", { subject: "1" })));
      same("the sessions", await keysOf(store.findBySubject("1")), keys.sort());
    },
  },
  {
    name: "findBySubject follows commit, replace, touch and delete",
    needs: ["findBySubject", "replace", "touch"],
    async check(store) {
      const [key, other, deleted, ended] = newKeys(4) as [string, string, string, string];
      await store.commit(key, session("one"));
      await store.commit(key, session("two", { subject: "1" }));
      same("after a login", await keysOf(store.findBySubject("1")), [key]);
      await store.replace(key, bytes("two"), session("three", { subject: "2" }));
      same("after a switch", await keysOf(store.findBySubject("2")), [key]);
      await store.touch(key, inMs(9_000_000));
      same("after a touch", await keysOf(store.findBySubject("2")), [key]);
      for (const each of [other, deleted, ended]) await store.commit(each, session("one", { subject: "2" }));
      await store.delete(deleted);
      await store.replace(ended, bytes("one"), undefined);
      same("after a logout", await keysOf(store.findBySubject("2")), [key, other].sort());
    },
  },
  {
    name: "findBySubject still answers a session that was replaced with the same subject",
    needs: ["findBySubject", "replace"],
    async check(store) {
      const key = newKey();
      await store.commit(key, session("one", { subject: "1" }));
      for (const [before, after] of [
        ["one", "two"],
        ["two", "two"],
        ["two", "three"],
      ] as const) {
        await store.replace(key, bytes(before), session(after, { subject: "1" }));
        same(`after ${before} was replaced by ${after}`, await keysOf(store.findBySubject("1")), [key]);
      }
    },
  },
  {
    name: "a session that is touched beyond its first expiry is still found by its subject",
    needs: ["findBySubject", "touch"],
    async check(store) {
      const key = newKey();
      const soon = inMs(300);
      const deadline = inMs(3_600_000);
      await store.commit(key, session("one", { subject: "1", expiry: soon, deadline }));
      await store.touch(key, deadline);
      while (Date.now() <= soon.getTime()) await store.find(key);
      same("the sessions", await keysOf(store.findBySubject("1")), [key]);
    },
  },
  {
    name: "strange subjects are subjects like any other, or are refused",
    needs: ["findBySubject"],
    async check(store) {
      const kept = new Map<string, string>();
      for (const subject of strangeSubjects) {
        const key = newKey();
        const commit = (): Promise<void> => store.commit(key, session("one", { subject }));
        if (await succeeds("commit", commit, [key, subject])) kept.set(subject, key);
      }
      for (const subject of strangeSubjects) {
        const expected = kept.get(subject);
        const found = await keysOf(store.findBySubject(subject));
        same(`the sessions of ${subject.slice(0, 20)}`, found, expected === undefined ? [] : [expected]);
      }
      same("the sessions of 1", await keysOf(store.findBySubject("1")), []);
    },
  },
  {
    name: "deleteExpired deletes what has expired, no more than it is told, and says how many",
    needs: ["deleteExpired", "all"],
    async check(store) {
      const live = newKeys(3);
      const expired = newKeys(5);
      for (const key of live) await store.commit(key, session("one", { subject: "1" }));
      for (const key of expired) await store.commit(key, session("one", { subject: "1", expiry: inMs(-1_000) }));
      // Some databases remove them by themselves.
      let left = (await keysOf(store.all())).length - live.length;
      while (left > 0) {
        const deleted = await store.deleteExpired(2);
        same("how many were deleted", deleted, Math.min(2, left));
        left -= deleted;
        same("how many are left", (await keysOf(store.all())).length, live.length + left);
      }
      same("what is deleted when nothing has expired", await store.deleteExpired(2), 0);
      for (const key of live) same("a live session", await textAt(store, key), "one");
      for (const key of expired) same("an expired session", await store.find(key), undefined);
    },
  },
  {
    name: "deleteExpired may run several times at once, beside writers",
    needs: ["deleteExpired", "all", "replace"],
    async check(store) {
      const [live, expired] = [newKeys(50), newKeys(100)];
      await forEach(expired, (key) => store.commit(key, session("one", { expiry: inMs(-1_000), subject: "1" })));
      const before = (await keysOf(store.all())).length;
      const sweep = async (): Promise<number> => {
        let total = 0;
        for (let round = 0; round < 5; round++) total += await store.deleteExpired(20);
        return total;
      };
      const write = async (key: string): Promise<void> => {
        await store.commit(key, session("one", { subject: "1" }));
        await store.replace(key, bytes("one"), session("two", { subject: "2" }));
      };
      const sweeps = Promise.all(Array.from({ length: 4 }, sweep));
      await Promise.all(live.map(write));
      const deleted = (await sweeps).reduce((sum, each) => sum + each, 0);
      const rest = (await keysOf(store.all())).length - live.length;
      same("how many are deleted and left", deleted + rest, before);
      for (const key of live) same("a live session", await textAt(store, key), "two");
    },
  },
  {
    name: "deleteExpired spares what is touched before it is deleted",
    needs: ["deleteExpired", "touch"],
    async check(store) {
      const keys = newKeys(60);
      await forEach(keys, (key) => store.commit(key, session("one", { expiry: inMs(-1_000) })));
      // Now and then, so that some come between any two steps that it takes.
      const touch = async (key: string, i: number): Promise<boolean> => {
        if (i % 2 === 0) for (let turn = 0; turn < 2 * i; turn++) await Promise.resolve();
        else await new Promise((resolve) => setTimeout(resolve, i / 6));
        return store.touch(key, inMs(3_600_000));
      };
      const swept = store.deleteExpired(100);
      const touched = await Promise.all(keys.map(touch));
      await swept;
      for (const [i, key] of keys.entries()) {
        if (touched[i] === true) same("a session that was touched", await textAt(store, key), "one");
      }
    },
  },
];
