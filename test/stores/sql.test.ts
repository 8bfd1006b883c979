// The SQL stores keep the contract with every client, in SCS's tables, whatever is set on server and driver.
import { storeContract } from "scs-session/testing";
import { afterAll, describe, test } from "vitest";
import { clients, d1 } from "./clients.ts";
import { newTable } from "./names.ts";

describe.each([...clients, d1])("$name", { timeout: 60_000 }, ({ name: client, database, connect }) => {
  const connected = connect();
  const tables: string[] = [];
  const newStore = async (options = {}) => {
    const table = newTable();
    tables.push(table);
    const store = (await connected).store({ table, ...options });
    await store.migrate();
    return store;
  };
  afterAll(async () => {
    const { drop, close } = await connected;
    await drop(tables);
    await close();
  });

  const unreachable = async () => {
    const { store, close } = await connect();
    await close();
    return store({ table: "sessions" });
  };
  for (const { name, run } of storeContract(() => newStore(), { unreachable })) test(name, run);

  // Where sessions are announced, their ends have statements of their own.
  const push = !client.startsWith("a client of one's own"); // which only announces
  const pushing = storeContract(() => newStore({ push: true }), { push });
  for (const { name, run } of pushing.filter(() => database === "postgres")) {
    if (/watch|replace|delete/.test(name)) test(`push: ${name}`, run);
  }
});
