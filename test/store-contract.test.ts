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

/** A fault, and a part of what the case that finds it says. */
interface Broken {
  readonly reason: string;
  readonly fault: Fault;
}
const because = (reason: string, fault: Fault): Broken => ({ reason, fault });

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

/** Finds something else where nobody asks for the expiry. */
const withoutAsking =
  (change: (found: StoredSession | undefined) => StoredSession | undefined): Fault =>
  (memory) => ({
    async find(token, options) {
      const found = await memory.find(token);
      return options?.expiry === false ? change(found) : found;
    },
  });
/** Reads, and writes what it has read. */
const touchInTwoSteps: Fault = (memory) => ({
  async touch(token, expiry) {
    const found = await memory.find(token);
    if (found === undefined) return false;
    await pause();
    await memory.commit(token, { ...found, expiry });
    return true;
  },
});
/** Looks what has expired, and deletes that. */
const sweepInTwoSteps: Fault = (memory) => ({
  async deleteExpired(limit) {
    const expired: string[] = [];
    for await (const [token, { expiry }] of memory.all()) {
      if (expiry.getTime() <= Date.now() && expired.length < limit) expired.push(token);
    }
    await pause();
    for (const token of expired) await memory.delete(token);
    return expired.length;
  },
});

const faults: Readonly<Record<string, readonly Broken[]>> = {
  "find answers undefined where nothing is": [
    because("find: [object Object], but it has to be undefined", (memory) => ({
      find: async (token) => (await memory.find(token)) ?? { data: bytes(""), expiry: new Date() },
    })),
  ],
  "find answers what was committed": [
    because("what was found, data", (memory) => ({
      async find(token) {
        const found = await memory.find(token);
        return found && { ...found, data: found.data.map((byte) => byte & 0x5f) };
      },
    })),
  ],
  "commit overwrites data and expiry": [
    because("what was found, data", (memory) => ({
      async commit(token, session) {
        if ((await memory.find(token)) === undefined) await memory.commit(token, session);
      },
    })),
  ],
  "delete deletes one session only": [
    because("another session: undefined", (memory) => ({
      async delete() {
        for await (const [token] of memory.all()) await memory.delete(token);
      },
    })),
  ],
  "delete does nothing where nothing is": [
    because("There is nothing to delete.", (memory) => ({
      async delete(token) {
        if ((await memory.find(token)) === undefined) throw new Error("There is nothing to delete.");
        await memory.delete(token);
      },
    })),
  ],
  "data of any bytes, of no length and of a megabyte comes back as it was": [
    because("data: bytes [512 of them", (memory) => ({
      commit: (token, session) => memory.commit(token, { ...session, data: bytes(text(session.data)) }),
    })),
  ],
  "data is copied on the way in and on the way out": [
    because("after the caller changed what it gave, data", () => {
      const sessions = new Map<string, StoredSession>();
      return {
        find: async (token) => sessions.get(token),
        commit: async (token, session) => void sessions.set(token, session),
      };
    }),
  ],
  "the expiry comes back to the millisecond": [
    because(
      "60001 ms ahead, expiry",
      withExpiry((expiry) => Math.round(expiry / 1000) * 1000),
    ),
  ],
  "what has expired is not found, or found with its expiry": [
    because(
      "what has expired, expiry",
      withExpiry((expiry) => (expiry < Date.now() ? Date.now() + hour : expiry)),
    ),
  ],
  "keys are compared byte by byte": [
    because(
      "find of a similar key: [object Object]",
      withKeys((token) => token.toLowerCase()),
    ),
  ],
  "strange keys are keys like any other, or are refused by commit and known to nobody else": [
    because(
      "find of a longer key",
      withKeys((token) => token.slice(0, 43)),
    ),
  ],
  "many calls at once do not disturb one another": [
    because("find: undefined", (memory) => {
      let latest = "";
      return {
        async commit(token, session) {
          latest = token;
          await pause();
          await memory.commit(latest, session);
        },
      };
    }),
  ],
  "replace answers `replaced`, and has written, when the stored bytes are the expected ones": [
    because("what is stored now, data", (memory) => ({
      replace: async (token, expected) =>
        text((await memory.find(token))!.data) === text(expected) ? "replaced" : "conflict",
    })),
  ],
  "replace answers `replaced` also when nothing changes": [
    because('the first answer: "conflict"', (memory) => ({
      replace: async (token, expected, next) =>
        next !== undefined && text(next.data) === text(expected) ? "conflict" : memory.replace(token, expected, next),
    })),
  ],
  "replace moves the expiry where the bytes stay the same": [
    because("what is stored now, expiry", (memory) => ({
      replace: async (token, expected, next) =>
        next !== undefined && text(next.data) === text(expected) ? "replaced" : memory.replace(token, expected, next),
    })),
  ],
  "replace deletes when there is no next one": [
    because("find: [object Object]", (memory) => ({
      replace: (token, expected, next) =>
        memory.replace(token, expected, next ?? { data: bytes(""), expiry: new Date(Date.now() + hour) }),
    })),
  ],
  "replace answers `conflict`, and changes nothing, when the stored bytes are others": [
    because('the answer: "replaced", but it has to be "conflict"', (memory) => ({
      replace: replaceBy(memory, (stored, expected) => stored.toLowerCase() === expected.trim().toLowerCase()),
    })),
  ],
  "replace compares any bytes, not their text": [
    because('the answer for other bytes: "replaced"', (memory) => ({ replace: replaceBy(memory, (a, b) => a === b) })),
  ],
  "replace answers `missing`, and creates nothing, where nothing is": [
    because("find: [object Object]", (memory) => ({
      async replace(token, expected, next) {
        const answer = await memory.replace(token, expected, next);
        if (answer === "missing" && next !== undefined) await memory.commit(token, next);
        return answer;
      },
    })),
  ],
  "of 50 parallel replaces of the same bytes one wins": [because("how many won: 50", inTwoSteps)],
  "of 50 parallel replaces and deletions of the same bytes one wins": [because("how many won: 50", inTwoSteps)],
  "50 parallel counters that retry on conflict count to 50": [because('the count: "1"', inTwoSteps)],
  "touch moves the expiry, and nothing else": [
    because("what is stored, expiry", (memory) => ({
      touch: async (token) => (await memory.find(token)) !== undefined,
    })),
  ],
  "touch answers true where the expiry stays the same": [
    because("the answer: false", (memory) => ({
      async touch(token, expiry) {
        const before = await memory.find(token);
        return (await memory.touch(token, expiry)) && before?.expiry.getTime() !== expiry.getTime();
      },
    })),
  ],
  "touch answers false, and creates nothing, where nothing is": [
    because("find: [object Object]", (memory) => ({
      async touch(token, expiry) {
        const found = await memory.find(token);
        if (found === undefined) await memory.commit(token, { data: bytes(""), expiry });
        return memory.touch(token, expiry).then(() => found !== undefined);
      },
    })),
  ],
  "all answers every session, with its data and expiry": [
    because("a session, data: bytes []", (memory) => ({
      async *all() {
        for await (const [token, { expiry }] of memory.all()) yield [token, { data: bytes(""), expiry }];
      },
    })),
  ],
  "all answers each of many sessions once, while others come, change and go": [
    because("sessions missed: 10", (memory) => ({
      async *all() {
        for (let offset = 0; ; offset += 100) {
          const rows: [string, StoredSession][] = [];
          for await (const row of memory.all()) rows.push(row);
          if (offset >= rows.length) return;
          yield* rows.slice(offset, offset + 100);
        }
      },
    })),
  ],
  "all can be left early": [
    because("There are no connections left.", (memory) => {
      const take = leakyPool();
      return {
        async *all() {
          take();
          yield* memory.all();
        },
      };
    }),
  ],
  "findBySubject answers the sessions of a subject, with their data and expiry": [
    because("the sessions of 1", (memory) => ({
      findBySubject: () => memory.all(),
    })),
  ],
  "findBySubject answers each of many sessions once": [
    because("the sessions: [", (memory) => ({
      async *findBySubject(subject) {
        let left = 1_000;
        for await (const row of memory.findBySubject(subject)) if (left-- > 0) yield row;
      },
    })),
  ],
  "findBySubject follows commit, replace, touch and delete": [
    because("after a login: []", (memory) => {
      const first = new Map<string, string | undefined>();
      return {
        async commit(token, session) {
          if (!first.has(token)) first.set(token, session.subject);
          await memory.commit(token, { ...session, subject: first.get(token) });
        },
      };
    }),
    because("after a touch: []", (memory) => ({
      async touch(token, expiry) {
        const found = await memory.find(token);
        if (found !== undefined) await memory.commit(token, { ...found, expiry });
        return found !== undefined;
      },
    })),
  ],
  "a session that is touched beyond its first expiry is still found by its subject": [
    because("the sessions: []", (memory) => {
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
    }),
  ],
  "strange subjects are subjects like any other, or are refused": [
    because(
      "the sessions of 1",
      withSubjects((subject) => subject.trim()),
    ),
  ],
  "deleteExpired deletes what has expired, no more than it is told, and says how many": [
    because("how many were deleted: 5, but it has to be 2", (memory) => ({
      deleteExpired: () => memory.deleteExpired(Infinity),
    })),
  ],
  "deleteExpired may run several times at once, beside writers": [
    because("how many are deleted and left", sweepInTwoSteps),
  ],
  "close may be called twice": [
    because("The store is closed.", () => {
      let isOpen = true;
      return {
        async close() {
          if (!isOpen) throw new Error("The store is closed.");
          isOpen = false;
        },
      };
    }),
  ],
  "find for those who do not ask for the expiry answers the data, and no earlier expiry": [
    because(
      "find where nothing is: [object Object]",
      withoutAsking(() => ({ data: bytes(""), expiry: new Date(8e15) })),
    ),
    because(
      "data: bytes []",
      withoutAsking((found) => found && { ...found, data: bytes("") }),
    ),
    because(
      "whether the expiry is earlier",
      withoutAsking((found) => found && { ...found, expiry: new Date(0) }),
    ),
    because(
      "whether the expiry is earlier",
      withoutAsking((found) => found && { ...found, expiry: new Date(NaN) }),
    ),
  ],
  "touch brings nothing back that is deleted at the same time": [
    because("find after delete: [object Object]", touchInTwoSteps),
  ],
  "touch undoes no replace of the same time": [
    because('what is stored: "one", but it has to be "two"', touchInTwoSteps),
  ],
  "findBySubject still answers a session that was replaced with the same subject": [
    because("after one was replaced by two: []", (memory) => {
      const subjects = new Map<string, string | undefined>();
      return {
        async commit(token, session) {
          subjects.set(token, session.subject);
          await memory.commit(token, session);
        },
        replace: (token, expected, next) =>
          memory.replace(
            token,
            expected,
            next?.subject === subjects.get(token) ? next && { ...next, subject: undefined } : next,
          ),
      };
    }),
  ],
  "deleteExpired spares what is touched before it is deleted": [
    because("a session that was touched: undefined", sweepInTwoSteps),
  ],

  "a call whose signal is aborted settles, and the store goes on working": [
    because("There are no connections left.", (memory) => {
      let left = 10;
      return {
        async commit(token, session, options) {
          if (left === 0) throw new Error("There are no connections left.");
          if (options?.signal.aborted === true) left--;
          await memory.commit(token, session);
        },
      };
    }),
    because("commit, aborted before it was called, has not ended", (memory) => ({
      commit: (token, session, options) =>
        options?.signal.aborted === true ? new Promise(() => undefined) : memory.commit(token, session),
    })),
    because("find, aborted after it was called, has not ended", (memory) => ({
      find: (token, options) => (options === undefined ? memory.find(token) : new Promise(() => undefined)),
    })),
    because("touch rejected with something that is no Error", () => ({
      async touch() {
        AbortSignal.abort("no Error").throwIfAborted();
        return true;
      },
    })),
    because("delete rejected with an error that tells the key", () => ({
      delete: (token) => Promise.reject(new Error(`DELETE FROM sessions WHERE token = '${token}'`)),
    })),
  ],
  "watch tells the token of a session that replace ends": [
    because("watch did not tell of a session that replace has deleted", deaf),
  ],
  "watch tells the token of a session that replace leaves a marker of": [
    because("watch did not tell of a session that has ended", (memory) => ({
      replace: (token, expected, next) => memory.replace(token, expected, next && { ...next, ended: false }),
    })),
  ],
  "watch tells the token of a session that is deleted": [
    because("watch did not tell of a session that was deleted", deaf),
  ],
  "watch has told each of its listeners, and none that has ended": [
    because("what was told to a listener that has ended", (memory) => ({
      async watch(listener) {
        await memory.watch(listener);
        return async () => undefined;
      },
    })),
  ],
  "find rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether find went through: true", () => ({})),
    because("find rejected with an error that tells the key", () => ({
      find: (token) => Promise.reject(Object.assign(new Error("refused"), { command: { args: [Buffer.from(token)] } })),
    })),
  ],
  "commit rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether commit went through: true", () => ({})),
    because("commit rejected with an error that tells the key, the subject or the data", () => ({
      commit: (_token, { data }) => Promise.reject(new Error("refused", { cause: { parameters: [data] } })),
    })),
  ],
  "delete rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether delete went through: true", () => ({})),
  ],
  "replace rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether replace went through: true", () => ({})),
    because("replace rejected with an error that tells the key, the subject or the data", () => ({
      replace: (_token, _expected, next) =>
        Promise.reject(new Error(`UPDATE sessions SET data = '${text(next!.data)}'`)),
    })),
  ],
  "touch rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether touch went through: true", () => ({})),
  ],
  "all rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether all went through: true", () => ({})),
    because("whether all went through: true", () => ({
      async *all() {
        // It has lost its server, and takes that for an empty one.
      },
    })),
  ],
  "findBySubject rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether findBySubject went through: true", () => ({})),
    because("findBySubject rejected with an error that tells the key", () => ({
      findBySubject(subject) {
        throw new Error(`There is no index for ${subject}`);
      },
    })),
  ],
  "deleteExpired rejects with an error when the server is gone, and the error tells neither key nor data": [
    because("whether deleteExpired went through: true", () => ({})),
  ],
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

  const all = Object.entries(faults).flatMap(([name, each]) => each.map((broken) => ({ name, ...broken })));
  test.each(all)("$name: $reason", { timeout: 20_000 }, async ({ name, reason, fault }) => {
    const make = (): Store => storeWith(fault);
    const broken = storeContract(make, { push: true, unreachable: make }).find((each) => each.name === name);
    await expect(broken?.run()).rejects.toThrow(reason);
  });
});

describe("a store whose server is gone", () => {
  const names = ["find", "commit", "delete", "replace", "touch", "all", "findBySubject", "deleteExpired"] as const;
  const casesOf = (call: () => Promise<never>) => {
    async function* list(): AsyncGenerator<never> {
      yield await call();
    }
    const store: Store = {
      ...{ find: call, commit: call, delete: call, replace: call, touch: call, deleteExpired: call },
      ...{ all: list, findBySubject: list },
    };
    return storeContract(() => store, { unreachable: () => store, timeLimit: "50ms" }).filter(({ name }) =>
      name.includes("server is gone"),
    );
  };

  test("passes the cases of that, one for each method, where each rejects", async () => {
    const cases = casesOf(() => Promise.reject(new Error("connection refused")));
    expect(cases.map(({ name }) => name.split(" ")[0])).toStrictEqual([...names]);
    for (const { run } of cases) await run();
  });

  test("fails them, in time, where none settles", async () => {
    for (const { run } of casesOf(() => new Promise(() => undefined))) {
      await expect(run()).rejects.toThrow("has not ended after 50 ms");
    }
  });
});

test("a case ends also when making or closing a store does not", async () => {
  const [first] = storeContract(() => new Promise(() => undefined), { timeLimit: "50ms" });
  await expect(first?.run()).rejects.toThrow("The function that makes a store has not ended after 50 ms");
  const unclosable = (): Store => ({ ...storeWith(undefined), close: () => new Promise(() => undefined) });
  const [second] = storeContract(unclosable, { timeLimit: "50ms" });
  await expect(second?.run()).rejects.toThrow("close has not ended after 50 ms");
  expect(() => storeContract(unclosable, { timeLimit: "soon" as never })).toThrow("timeLimit");
});
