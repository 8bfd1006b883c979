/** What tests of the tables of an SQL store begin with: a connected client, and tables that are dropped in the end. */

import { afterAll } from "vitest";
import { clients } from "./clients.ts";
import { newTable } from "./names.ts";

/** Connects a client by its name, for the tests of one `describe`. `setup` gives a table that is not made yet, and its store. */
export function connect(client: string) {
  const connected = clients.find(({ name }) => name === client)!.connect();
  const tables: string[] = [];
  const setup = async () => {
    const connection = await connected;
    const table = newTable();
    tables.push(table);
    return { ...connection, table, store: connection.store({ table }) };
  };
  afterAll(async () => {
    const { drop, close } = await connected;
    await drop(tables);
    await close();
  });
  return { connected, tables, setup };
}

/** A text as bytes. */
export const bytes = (text: string): Buffer => Buffer.from(text);

/** The data under a token, as text. */
export async function textAt(store: { find(token: string): Promise<{ data: Uint8Array } | undefined> }, token: string) {
  const found = await store.find(token);
  return found && Buffer.from(found.data).toString();
}

/** The tokens that a store lists, sorted. */
export async function keysOf(rows: AsyncIterable<[string, unknown]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of rows) keys.push(key);
  return keys.sort();
}
