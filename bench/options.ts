/** What a run is about, from the command line. */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { contenders, frameworks, stores, type Choice } from "./contenders.ts";
import { scenarios, type Scenario } from "./scenarios.ts";

export const parts = ["speed", "counts", "correctness", "size", "stored", "memory"] as const;
const peers = [...new Set(contenders.filter(({ role }) => role === "peer").map(({ name }) => name))];
const docs = fileURLToPath(new URL("../docs", import.meta.url));

export interface Options extends Choice {
  readonly parts: readonly string[];
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  readonly seconds: number;
  readonly sessions: number;
  /** The folder of performance.md, and the file of the results. */
  readonly out: string;
  readonly results: string;
  /** Whether the report of the last run is only to be written again. */
  readonly render: boolean;
}

const all = {
  parts: [...parts],
  scenarios: scenarios.map(({ name }) => name),
  frameworks: [...frameworks],
  stores: [...stores],
  peers,
};

const help = `npm run bench -- [options]; names of a list have semicolons between them
  --parts       "${all.parts.join(";")}"
  --scenarios   "${all.scenarios.join(";")}"
  --frameworks  "${all.frameworks.join(";")}"
  --stores      "${all.stores.join(";")}"
  --peers       "${all.peers.join(";")}"; "" for none
  --rounds      how often each contender is measured in each scenario: 5
  --seconds     how long a round is: 0.3
  --sessions    how many live sessions are in memory: 1000000
  --out         a folder for performance.md and results.json, instead of docs/ and bench/
  --render      writes the report of the last run again`;

/** Undefined when help was asked for, and printed. */
export function readOptions(): Options | undefined {
  const text = { type: "string" } as const;
  const lists = { parts: text, scenarios: text, frameworks: text, stores: text, peers: text };
  const { values } = parseArgs({
    options: {
      ...lists,
      rounds: { ...text, default: "5" },
      seconds: { ...text, default: "0.3" },
      sessions: { ...text, default: "1000000" },
      out: text,
      render: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return undefined;
  }
  const list = (name: keyof typeof lists): string[] => {
    const wanted = values[name]?.split(";").filter((each) => each !== "") ?? all[name];
    const unknown = wanted.filter((each) => !(all[name] as string[]).includes(each));
    if (unknown.length > 0) throw new Error(`--${name} names ${unknown.join(", ")}; it takes ${all[name].join("; ")}`);
    return wanted;
  };
  const number = (name: "rounds" | "seconds" | "sessions"): number => {
    const value = Number(values[name]);
    if (value > 0 && (name === "seconds" || Number.isInteger(value))) return value;
    throw new Error(`--${name} takes a ${name === "seconds" ? "" : "whole "}number above 0`);
  };
  const wanted = list("scenarios");
  return {
    parts: list("parts"),
    scenarios: scenarios.filter(({ name }) => wanted.includes(name)),
    frameworks: list("frameworks"),
    stores: list("stores"),
    peers: list("peers"),
    rounds: number("rounds"),
    seconds: number("seconds"),
    sessions: number("sessions"),
    out: values.out ?? docs,
    results:
      values.out === undefined ? fileURLToPath(new URL("results.json", import.meta.url)) : `${values.out}/results.json`,
    render: values.render,
  };
}
