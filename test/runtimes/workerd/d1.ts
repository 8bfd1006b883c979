/** D1, Cloudflare's SQLite, as a client of `SqliteStore`. */

import type { SqlClient } from "../../../src/stores/sql-dialect.ts";

/** As much of D1 as sessions need. */
export interface D1Database {
  prepare(text: string): {
    bind(...parameters: unknown[]): {
      all(): Promise<{ results: Record<string, unknown>[]; meta: { changes: number } }>;
    };
  };
}

export function clientOf(db: D1Database): SqlClient {
  return {
    async query(text, parameters) {
      const { results, meta } = await db
        .prepare(text)
        .bind(...parameters)
        .all();
      // D1 answers a BLOB as an array of numbers.
      const rows = results.map((row) =>
        Array.isArray(row["data"]) ? { ...row, data: Uint8Array.from(row["data"] as number[]) } : row,
      );
      return { rows, affected: meta.changes };
    },
  };
}
