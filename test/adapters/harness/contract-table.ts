/** A reporter that prints one table when the tests are done: the cases of the adapter contract by adapters, from whatever file. */

import type { Reporter, TestModule } from "vitest/node";

const cells: Record<string, string> = { passed: "pass", failed: "FAIL", skipped: "skipped", pending: "FAIL" };

export class ContractTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const results = new Map<string, Map<string, string>>();
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { contract } = test.meta();
        if (contract === undefined) continue;
        const column = results.get(contract) ?? new Map<string, string>();
        results.set(contract, column.set(test.name, cells[test.result().state] ?? "?"));
      }
    }
    const cellsThere = [...results.values()].flatMap((column) => [...column.values()]);
    if (cellsThere.some((cell) => cell !== "skipped")) console.log(`\n${table(results)}`);
  }
}

/** A case that a framework cannot have, see `AdapterAbility`, is "n/a" in its column. */
function table(results: ReadonlyMap<string, ReadonlyMap<string, string>>): string {
  const adapters = [...results.keys()].sort();
  const longestFirst = [...results.values()].sort((one, other) => other.size - one.size);
  const cases = [...new Set(longestFirst.flatMap((column) => [...column.keys()]))];
  const lengthOf = (texts: readonly string[]): number => Math.max(...texts.map(({ length }) => length));
  const widest = lengthOf(["adapter contract", ...cases]);
  const widths = adapters.map((adapter) => lengthOf([adapter, "n/a", ...(results.get(adapter)?.values() ?? [])]));
  const row = (first: string, entries: readonly string[]): string =>
    `${first.padEnd(widest)}  ${entries.map((entry, i) => entry.padEnd(widths[i] ?? 0)).join("  ")}`.trimEnd();
  const rows = cases.map((each) => row(each, adapters.map((adapter) => results.get(adapter)?.get(each) ?? "n/a"))); // prettier-ignore
  return [row("adapter contract", adapters), ...rows].join("\n");
}
