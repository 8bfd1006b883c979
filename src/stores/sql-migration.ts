/** How the table of an SQL store is made, and one of SCS brought up to date. */

import { SessionError } from "../errors.ts";
import type { Dialect, Run } from "./sql-dialect.ts";

/** How often it is tried while other processes do the same, or have the table locked. */
const attempts = 10;

/**
 * Runs what the table lacks. Several processes may do so at once; one that lacks nothing only reads the catalogue. `change`
 * runs a statement that makes or changes the table.
 */
export async function migrate(
  dialect: Dialect,
  table: string,
  run: Run,
  change: (text: string) => Promise<unknown>,
): Promise<void> {
  const { create, inspect, upgrades, objection } = dialect;
  let obstacle: unknown;
  for (let attempt = 1; ; attempt++) {
    const parts = (await run(inspect, [])).rows.map(({ part }) => String(part));
    const isLacking = (part: RegExp): boolean => !parts.some((each) => part.test(each));
    const lacking = upgrades.filter(([part]) => isLacking(part)).map(([, statement]) => statement);
    if (lacking.length === 0) return;
    const refused = objection?.(parts);
    if (refused !== undefined) throw new SessionError("store-unavailable", refused);
    if (attempt > attempts) throw obstacle;
    if (attempt > 1 && obstacle === undefined) {
      const why = `still lacks what this adds, perhaps because another table's index has the name: ${lacking.join("; ")}`;
      throw new SessionError("store-unavailable", `The table ${table} ${why}`);
    }
    obstacle = undefined;
    for (const statement of parts.length === 0 ? create : lacking) {
      try {
        await change(statement);
      } catch (error) {
        if (!dialect.isObstructed(error)) throw error;
        obstacle = error;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 2 ** attempt));
        break;
      }
    }
  }
}
