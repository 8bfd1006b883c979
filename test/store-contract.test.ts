// storeContract: a store that keeps the contract passes all of it, and each case finds the store that breaks it.
import { MemoryStore, type ReplaceAnswer, type SessionToStore, type Store, type StoredSession } from "scs-session";
import { storeContract } from "scs-session/testing";
import { describe, expect, test } from "vitest";

const hour = 3_600_000;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("MemoryStore", () => {
  for (const { name, run } of storeContract(() => new MemoryStore(), { push: true })) test(name, run);
});

describe("a store with the three verbs only", () => {
  const small = (): Store => {
    const memory = new MemoryStore();
    return {
      find: (token) => memory.find(token),
      commit: (token, session) => memory.commit(token, session),
      delete: (token) => memory.delete(token),
    };
  };
  const without = ["replace", "touch", "all", "findBySubject", "deleteExpired"] as const;
  for (const { name, run } of storeContract(small, { without })) test(name, run);

  test("fails the cases of an ability that it was not said to lack, and is told how to say so", async () => {
    const cases = storeContract(small, { without: ["replace"] });
    const touching = cases.find(({ name }) => name.startsWith("touch moves"));
    await expect(touching?.run()).rejects.toThrow(
      'has no method touch. If that is meant, tell storeContract: without: ["touch"]',
    );
    expect(cases.filter(({ name }) => name.startsWith("replace"))).toEqual([]);
  });
});

/** A memory store with some of its methods replaced. */
type Fault = (memory: MemoryStore) => Partial<Store>;

/** Compares as it is told, and writes in a step of its own or at once. */
const replaceBy =
  (memory: MemoryStore, alike: (stored: string, expected: string) => boolean, between?: () => Promise<void>) =>
  async (token: string, expected: Uint8Array, next: SessionToStore | undefined): Promise<ReplaceAnswer> => {
    const found = await memory.find(token);
    if (found === undefined) return "missing";
    if (!alike(text(found.data), text(expected))) return "conflict";
    await between?.();
    await (next === undefined ? memory.delete(token) : memory.commit(token, next));
    return "replaced";
  };

/** A pool of ten connections, of which the calls that go wrong keep theirs. */
function leakyPool(): () => void {
  let left = 10;
  return () => {
    if (left === 0) throw new Error("There are no connections left.");
    left--;
  };
}

const inTwoSteps: Fault = (memory) => ({ replace: replaceBy(memory, (a, b) => a === b, pause) });
const withExpiry =
  (change: (expiry: number) => number): Fault =>
  (memory) => ({
    async find(token) {
      const found = await memory.find(token);
      return found && { ...found, expiry: new Date(change(found.expiry.getTime())) };
    },
  });
const withKeys =
  (change: (token: string) => string): Fault =>
  (memory) => ({
    find: (token) => memory.find(change(token)),
    commit: (token, session) => memory.commit(change(token), session),
    delete: (token) => memory.delete(change(token)),
  });
const withSubjects =
  (change: (subject: string) => string): Fault =>
  (memory) => ({
    commit: (token, { subject, ...rest }) =>
      memory.commit(token, { ...rest, subject: subject === undefined ? undefined : change(subject) }),
    findBySubject: (subject) => memory.findBySubject(change(subject)),
  });

const faults: Readonly<Record<string, Fault>> = {
  "find answers undefined where nothing is": (memory) => ({
    find: async (token) => (await memory.find(token)) ?? { data: bytes(""), expiry: new Date() },
  }),
  "find answers what was committed": (memory) => ({
    async find(token) {
      const found = await memory.find(token);
      return found && { ...found, data: found.data.map((byte) => byte & 0x5f) };
    },
  }),
  "commit overwrites data and expiry": (memory) => ({
    async commit(token, session) {
      if ((await memory.find(token)) === undefined) await memory.commit(token, session);
    },
  }),
  "delete deletes one session only": (memory) => ({
    async delete() {
      for await (const [token] of memory.all()) await memory.delete(token);
    },
  }),
  "delete does nothing where nothing is": (memory) => ({
    async delete(token) {
      if ((await memory.find(token)) === undefined) throw new Error("There is nothing to delete.");
      await memory.delete(token);
    },
  }),
  "data of any bytes, of no length and of a megabyte comes back as it was": (memory) => ({
    commit: (token, session) => memory.commit(token, { ...session, data: bytes(text(session.data)) }),
  }),
  "data is copied on the way in and on the way out": () => {
    const sessions = new Map<string, StoredSession>();
    return {
      find: async (token) => sessions.get(token),
      commit: async (token, session) => void sessions.set(token, session),
    };
  },
  "the expiry comes back to the millisecond": withExpiry((expiry) => Math.round(expiry / 1000) * 1000),
  "what has expired is not found, or found with its expiry": withExpiry((expiry) =>
    expiry < Date.now() ? Date.now() + hour : expiry,
  ),
  "keys are compared byte by byte": withKeys((token) => token.toLowerCase()),
  "strange keys are keys like any other, or are refused by commit and known to nobody else": withKeys((token) =>
    token.slice(0, 43),
  ),
  "many calls at once do not disturb one another": (memory) => {
    let latest = "";
    return {
      async commit(token, session) {
        latest = token;
        await pause();
        await memory.commit(latest, session);
      },
    };
  },

  "replace answers `replaced`, and has written, when the stored bytes are the expected ones": (memory) => ({
    replace: async (token, expected) =>
      text((await memory.find(token))!.data) === text(expected) ? "replaced" : "conflict",
  }),
  "replace answers `replaced` also when nothing changes": (memory) => ({
    replace: async (token, expected, next) =>
      next !== undefined && text(next.data) === text(expected) ? "conflict" : memory.replace(token, expected, next),
  }),
  "replace moves the expiry where the bytes stay the same": (memory) => ({
    replace: async (token, expected, next) =>
      next !== undefined && text(next.data) === text(expected) ? "replaced" : memory.replace(token, expected, next),
  }),
  "replace deletes when there is no next one": (memory) => ({
    replace: (token, expected, next) =>
      memory.replace(token, expected, next ?? { data: bytes(""), expiry: new Date(Date.now() + hour) }),
  }),
  "replace answers `conflict`, and changes nothing, when the stored bytes are others": (memory) => ({
    replace: replaceBy(memory, (stored, expected) => stored.toLowerCase() === expected.trim().toLowerCase()),
  }),
  "replace compares any bytes, not their text": (memory) => ({ replace: replaceBy(memory, (a, b) => a === b) }),
  "replace answers `missing`, and creates nothing, where nothing is": (memory) => ({
    async replace(token, expected, next) {
      const answer = await memory.replace(token, expected, next);
      if (answer === "missing" && next !== undefined) await memory.commit(token, next);
      return answer;
    },
  }),
  "of 50 parallel replaces of the same bytes one wins": inTwoSteps,
  "of 50 parallel replaces and deletions of the same bytes one wins": inTwoSteps,
  "50 parallel counters that retry on conflict count to 50": inTwoSteps,
  "touch moves the expiry, and nothing else": (memory) => ({
    touch: async (token) => (await memory.find(token)) !== undefined,
  }),
  "touch answers true where the expiry stays the same": (memory) => ({
    async touch(token, expiry) {
      const before = await memory.find(token);
      return (await memory.touch(token, expiry)) && before?.expiry.getTime() !== expiry.getTime();
    },
  }),
  "touch answers false, and creates nothing, where nothing is": (memory) => ({
    async touch(token, expiry) {
      const found = await memory.find(token);
      if (found === undefined) await memory.commit(token, { data: bytes(""), expiry });
      return memory.touch(token, expiry).then(() => found !== undefined);
    },
  }),

  "all answers every session, with its data and expiry": (memory) => ({
    async *all() {
      for await (const [token, { expiry }] of memory.all()) yield [token, { data: bytes(""), expiry }];
    },
  }),
  "all answers each of many sessions once, while others come, change and go": (memory) => ({
    async *all() {
      for (let offset = 0; ; offset += 100) {
        const rows: [string, StoredSession][] = [];
        for await (const row of memory.all()) rows.push(row);
        if (offset >= rows.length) return;
        yield* rows.slice(offset, offset + 100);
      }
    },
  }),
  "all can be left early": (memory) => {
    const take = leakyPool();
    return {
      async *all() {
        take();
        yield* memory.all();
      },
    };
  },
  "findBySubject answers the sessions of a subject, with their data and expiry": (memory) => ({
    findBySubject: () => memory.all(),
  }),
  "findBySubject answers each of many sessions once": (memory) => ({
    async *findBySubject(subject) {
      let left = 1_000;
      for await (const row of memory.findBySubject(subject)) if (left-- > 0) yield row;
    },
  }),
  "findBySubject follows commit, replace, touch and delete": (memory) => {
    const first = new Map<string, string | undefined>();
    return {
      async commit(token, session) {
        if (!first.has(token)) first.set(token, session.subject);
        await memory.commit(token, { ...session, subject: first.get(token) });
      },
    };
  },
  "a session that is touched beyond its first expiry is still found by its subject": (memory) => {
    const first = new Map<string, Date>();
    return {
      async commit(token, session) {
        first.set(token, session.expiry);
        await memory.commit(token, session);
      },
      async *findBySubject(subject) {
        for await (const row of memory.findBySubject(subject)) {
          if (first.get(row[0])!.getTime() > Date.now()) yield row;
        }
      },
    };
  },
  "strange subjects are subjects like any other, or are refused": withSubjects((subject) => subject.trim()),
  "deleteExpired deletes what has expired, no more than it is told, and says how many": (memory) => ({
    deleteExpired: () => memory.deleteExpired(Infinity),
  }),
  "deleteExpired may run several times at once, beside writers": (memory) => ({
    async deleteExpired(limit) {
      const expired: string[] = [];
      for await (const [token, { expiry }] of memory.all()) {
        if (expiry.getTime() <= Date.now() && expired.length < limit) expired.push(token);
      }
      await pause();
      for (const token of expired) await memory.delete(token);
      return expired.length;
    },
  }),

  "a call whose signal is aborted settles, and the store goes on working": (memory) => {
    const take = leakyPool();
    return {
      async commit(token, session) {
        take();
        await memory.commit(token, session);
      },
    };
  },
  "close may be called twice": () => {
    let isOpen = true;
    return {
      async close() {
        if (!isOpen) throw new Error("The store is closed.");
        isOpen = false;
      },
    };
  },
  "watch tells the token of a session that replace ends": deaf,
  "watch tells the token of a session that replace leaves a marker of": (memory) => ({
    replace: (token, expected, next) => memory.replace(token, expected, next && { ...next, ended: false }),
  }),
  "watch tells the token of a session that is deleted": deaf,
  "watch has told each of its listeners, and none that has ended": (memory) => ({
    async watch(listener) {
      await memory.watch(listener);
      return async () => undefined;
    },
  }),
  "find rejects with an error when the server is gone": () => ({}),
  "commit rejects with an error when the server is gone": () => ({}),
  "delete rejects with an error when the server is gone": () => ({}),
  "replace rejects with an error when the server is gone": () => ({}),
  "touch rejects with an error when the server is gone": () => ({}),
};

function deaf(): Partial<Store> {
  return { watch: async () => async () => undefined };
}

function storeWith(fault: Fault | undefined): Store {
  const memory = new MemoryStore();
  return {
    find: (token) => memory.find(token),
    commit: (token, session) => memory.commit(token, session),
    delete: (token) => memory.delete(token),
    replace: (token, expected, next) => memory.replace(token, expected, next),
    touch: (token, expiry) => memory.touch(token, expiry),
    all: () => memory.all(),
    findBySubject: (subject) => memory.findBySubject(subject),
    deleteExpired: (limit) => memory.deleteExpired(limit),
    watch: (listener) => memory.watch(listener),
    ...fault?.(memory),
  };
}

describe("a store with one fault fails the case of it", () => {
  const names = storeContract(() => storeWith(undefined), { push: true, unreachable: () => storeWith(undefined) }).map(
    ({ name }) => name,
  );

  test("every case is known to fail", () => {
    expect(Object.keys(faults).sort()).toStrictEqual([...names].sort());
  });

  test.each(Object.keys(faults))("%s", async (name) => {
    const make = (): Store => storeWith(faults[name]);
    const broken = storeContract(make, { push: true, unreachable: make }).find((each) => each.name === name);
    await expect(broken?.run()).rejects.toThrow();
  });
});

test("a store whose server is gone passes the cases of that", async () => {
  const gone = (): Promise<never> => Promise.reject(new Error("connection refused"));
  const store: Store = { find: gone, commit: gone, delete: gone, replace: gone, touch: gone };
  const cases = storeContract(() => store, { unreachable: () => store }).filter(({ name }) =>
    name.includes("server is gone"),
  );
  expect(cases).toHaveLength(5);
  for (const { run } of cases) await run();
});
