// Finds that PostgresStore is asked for in one turn of the event loop: one statement, an answer for each of them.
import { AsyncLocalStorage } from "node:async_hooks";
import pg from "pg";
import { PostgresStore, type PostgresStoreOptions } from "scs-session/postgres";
import { expect, onTestFinished, test } from "vitest";
import { addressOf } from "../servers/shared.ts";
import { newTable } from "./names.ts";
import { bytes } from "./tables.ts";

const postgresUrl = await addressOf("postgres");

type Row = Record<string, unknown>;
interface Query {
  text: string;
  values: string[];
}

/** A store over a pool of pg that answers these rows, and what it is asked. */
function storeOver(answer: (tokens: readonly string[]) => Row[], options?: PostgresStoreOptions) {
  const asked: string[][] = [];
  const query = async ({ values }: Query) => {
    asked.push(values);
    const rows = answer(values);
    return { rows, rowCount: rows.length };
  };
  return { store: new PostgresStore({ connect: () => undefined, query }, options), asked };
}

/** A row of each token that is there. */
const rowsOf =
  (...stored: string[]) =>
  (tokens: readonly string[]): Row[] =>
    stored
      .filter((token) => tokens.includes(token))
      .map((token) => ({ token, data: bytes(`of ${token}`), expiry: 2_000_000_000 }));

const textOf = async (store: PostgresStore, token: string): Promise<string | undefined> => {
  const found = await store.find(token);
  return found && Buffer.from(found.data).toString();
};

test("each gets the session of its token, and nothing where there is none", async () => {
  const { store, asked } = storeOver(rowsOf("c", "a", "b"));
  const found = await Promise.all(["a", "none", "b", "a", "c"].map((token) => textOf(store, token)));
  expect(found).toEqual(["of a", undefined, "of b", "of a", "of c"]);
  expect(asked).toEqual([["a", "none", "b", "c"]]);
});

test("of one token they are the statement of a single find", async () => {
  const { store, asked } = storeOver(rowsOf("a"));
  expect(await Promise.all([textOf(store, "a"), textOf(store, "a")])).toEqual(["of a", "of a"]);
  expect(asked).toEqual([["a"]]);
});

test("those of later turns are statements of their own, and see what was written since", async () => {
  const stored = ["a"];
  const { store, asked } = storeOver((tokens) => rowsOf(...stored)(tokens));
  expect(await textOf(store, "b")).toBeUndefined();
  stored.push("b");
  expect(await textOf(store, "b")).toBe("of b");
  expect(asked).toEqual([["b"], ["b"]]);
});

test("however many, statements look for 1, 2, 4, 8 or 16, so that few have to be prepared", async () => {
  for (const [count, sizes] of [
    [2, [2]],
    [3, [4]],
    [5, [8]],
    [9, [16]],
    [17, [16, 1]],
    [40, [16, 16, 8]],
  ] as const) {
    const tokens = Array.from({ length: count }, (_, n) => `t${n}`);
    const { store, asked } = storeOver(rowsOf(...tokens));
    expect(await Promise.all(tokens.map((token) => textOf(store, token)))).toEqual(
      tokens.map((token) => `of ${token}`),
    );
    expect(asked.map((values) => values.length)).toEqual(sizes);
  }
});

test("one that nobody waits for any more is not looked for, and rejects", async () => {
  const { store, asked } = storeOver(rowsOf("a", "b"));
  const controller = new AbortController();
  const given = store.find("a", { signal: controller.signal });
  const other = textOf(store, "b");
  controller.abort();
  await expect(given).rejects.toThrow("aborted");
  expect(await other).toBe("of b");
  expect(asked).toEqual([["b"]]);
});

test("a row that holds no session is the fault of its own find only", async () => {
  const { store } = storeOver(() => [...rowsOf("a")(["a"]), { token: "b", data: "text", expiry: 5 }]);
  const [a, b] = await Promise.allSettled([textOf(store, "a"), textOf(store, "b")]);
  expect(a).toEqual({ status: "fulfilled", value: "of a" });
  expect(b.status).toBe("rejected");
  expect(String((b as PromiseRejectedResult).reason)).toContain("does not hold bytes");
});

test("a row of a token that was not asked for is a fault, and not the end of somebody's session", async () => {
  const padded = storeOver((tokens) =>
    rowsOf("a", "b")(tokens).map((row) => ({ ...row, token: `${String(row["token"])} ` })),
  );
  for (const { store } of [padded, storeOver(() => [null as never])]) {
    for (const each of await Promise.allSettled([store.find("a"), store.find("b")]))
      expect(each.status).toBe("rejected");
  }
});

test("of one token each gets bytes of its own, and of one failure each an error of its own", async () => {
  const row = rowsOf("a")(["a"])[0]!;
  const { store } = storeOver(() => [row]);
  const [one, other] = await Promise.all([store.find("a"), store.find("a")]);
  expect(one?.data).toBe(row["data"]); // not copied for nobody
  expect(other?.data).not.toBe(row["data"]);
  expect(other?.data).toEqual(new Uint8Array(one!.data));
  const broken = storeOver(() => {
    throw Object.assign(new Error(), { code: "42P01" }); // the table does not exist
  });
  const settled = await Promise.allSettled([broken.store.find("a"), broken.store.find("b")]);
  const [first, second] = settled.map((each) => (each as PromiseRejectedResult).reason as Error);
  expect(first?.message).toContain("store.migrate()");
  expect(second?.message).toBe(first?.message);
  expect(second).not.toBe(first);
});

test("are tried again as long as anybody waits for them", async () => {
  const controllers = [new AbortController(), new AbortController()];
  const { store, asked } = storeOver(() => {
    controllers[asked.length - 1]?.abort();
    throw Object.assign(new Error(), { code: "40001" });
  });
  const finds = controllers.map(({ signal }, n) => store.find(`t${n}`, { signal }));
  for (const each of await Promise.allSettled(finds)) expect(each.status).toBe("rejected");
  expect(asked.length).toBe(2);
});

test("a statement that fails rejects each of them, with nothing of its tokens", async () => {
  const { store } = storeOver((tokens) => {
    throw new Error(`no answer for ${tokens.join()}`);
  });
  const settled = await Promise.allSettled([store.find("token-1"), store.find("token-2")]);
  for (const each of settled) {
    expect(each.status).toBe("rejected");
    expect(String((each as PromiseRejectedResult).reason)).not.toContain("token-");
  }
});

test("they are run in the context of no request; without batches, each in its own", async () => {
  const tenant = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const answer = (tokens: readonly string[]): Row[] => {
    seen.push(tenant.getStore());
    return rowsOf("a", "b")(tokens);
  };
  const find = (store: PostgresStore, token: string) =>
    tenant.run(`tenant of ${token}`, async () => [await textOf(store, token), tenant.getStore()]);
  const expected = [
    ["of a", "tenant of a"],
    ["of b", "tenant of b"],
  ];

  const { store } = storeOver(answer);
  expect(await Promise.all([find(store, "a"), find(store, "b")])).toEqual(expected);
  expect(seen).toEqual([undefined]);

  const { store: unbatched } = storeOver(answer, { batch: false });
  expect(await Promise.all([find(unbatched, "a"), find(unbatched, "b")])).toEqual(expected);
  expect(seen).toEqual([undefined, "tenant of a", "tenant of b"]);
});

test("of a client of one's own are a statement each", async () => {
  const asked: unknown[] = [];
  const query = async (_: string, parameters: readonly unknown[]) => {
    asked.push(parameters);
    return { rows: rowsOf("a", "b")(parameters as string[]), affected: 0 };
  };
  const store = new PostgresStore({ query });
  expect(await Promise.all([textOf(store, "a"), textOf(store, "b")])).toEqual(["of a", "of b"]);
  expect(asked).toEqual([["a"], ["b"]]);
});

test.skipIf(postgresUrl === undefined)("in PostgreSQL get what is stored, whatever the tokens are", async () => {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 2 });
  const table = newTable();
  const store = new PostgresStore(pool, { table });
  onTestFinished(async () => {
    await pool.query(`DROP TABLE ${table}`);
    await pool.end();
  });
  await store.migrate();
  const tokens = Array.from({ length: 50 }, (_, n) => `'"${"\\,{}%_é "[n % 9]}${n}`);
  const session = (token: string) => ({ data: bytes(`of ${token}`), expiry: new Date(Date.now() + 60_000) });
  await Promise.all(tokens.filter((_, n) => n % 3 > 0).map((token) => store.commit(token, session(token))));
  const found = await Promise.all(tokens.map((token) => textOf(store, token)));
  expect(found).toEqual(tokens.map((token, n) => (n % 3 > 0 ? `of ${token}` : undefined)));
});
