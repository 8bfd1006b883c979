/** Writes what a run has found into docs/performance.md, with pictures beside it. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";
import { barChart, lineChart, type Bar, type Kind, type Line } from "./charts.ts";
import { frameworks, labelOf, untimedLimit, type Framework } from "./contenders.ts";
import { parallelWrites, patience } from "./correctness.ts";
import { bestPeer, compare, find, type Results, type Spread } from "./results.ts";
import { scenarios } from "./scenarios.ts";
import type { Round, Speed } from "./speed.ts";

const [begin, end] = ["<!-- results: begin -->", "<!-- results: end -->"];

/** Replaces what is between two comments of the page; the rest is written by hand. */
export async function writeReport(results: Results, folder: string, template: string): Promise<void> {
  const pictures = `${folder}/performance`;
  rmSync(pictures, { recursive: true, force: true });
  mkdirSync(pictures, { recursive: true });
  const sections = [about(results)];
  const draw = (name: string, title: string, svg: string): string => {
    writeFileSync(`${pictures}/${name}.svg`, svg);
    return `![${title}](performance/${name}.svg)`;
  };
  sections.push(...againstPeers(results), ...budgets(results));
  for (const framework of frameworks) sections.push(...ofFramework(results, framework, draw));
  sections.push(...growth(results, draw), ...memory(results, draw));

  const page = readFileSync(template, "utf8");
  const [before, after] = [page.indexOf(begin), page.indexOf(end)];
  if (before < 0 || after < before) throw new Error(`${template} lacks the line ${begin} or ${end}`);
  const text = `${page.slice(0, before + begin.length)}\n\n${sections.join("\n\n")}\n\n${page.slice(after)}`;
  const file = `${folder}/performance.md`;
  writeFileSync(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}

type Draw = (name: string, title: string, svg: string) => string;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const none = "–";
const ratio = (spread: Spread | undefined): string => (spread === undefined ? none : spread.median.toFixed(2));
const withSpread = ({ median, low, high }: Spread, digits = 2): string =>
  `${median.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
const kindOf = ({ role }: Pick<Speed, "role">): Kind => (role === "ours" || role === "limit" ? role : "peer");
const who = ({ name, role, store }: Speed): string => {
  const full = store === "none" ? name : `${name}, ${store}`;
  return role === "ours" ? `**${full}**` : full;
};

function about({ date, machine, versions, rounds, secondsOfRound, secondsOfRun, absent }: Results): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const run = `${rounds} rounds of ${secondsOfRound} s each, ${(secondsOfRun / 60).toFixed(1)} minutes in all`;
  const missing = absent.length === 0 ? "" : `\n\nNot there: ${absent.join("; ")}.`;
  return `Measured on ${date}: ${machine}; ${run}.\n\n${packages.join(", ")}.${missing}`;
}

/** How often ours answers while the best peer answers once. */
function againstPeers({ speeds }: Results): string[] {
  const ours = speeds.filter(({ role }) => role === "ours");
  const places = [...new Set(ours.map(({ framework, store }) => `${framework}, ${store}`))];
  const rows = places.flatMap((place) => {
    const cells = scenarios.map(({ name }) => {
      const our = ours.find((each) => `${each.framework}, ${each.store}` === place && each.scenario === name);
      const peer = our && bestPeer(speeds, our);
      if (our === undefined || peer === undefined) return none;
      return `${ratio(compare(our, peer, "requestsPerSecond"))}, ${ratio(compare(our, peer, "cpu"))}`;
    });
    return cells.every((cell) => cell === none) ? [] : [[place, ...cells]];
  });
  if (rows.length === 0) return [];
  const note =
    "Requests per second of scs-session, divided by those of the best peer on the same framework and store (above 1 is faster); then " +
    "processor time per request, likewise (below 1 is cheaper).";
  return ["### Against the best peer", note, table(["", ...scenarios.map(({ name }) => name)], rows)];
}

/** Section 7 of the design. */
function budgets({ speeds }: Results): string[] {
  const rows: string[][] = [];
  const budget = (what: string, limit: number | undefined, spread: Spread | undefined, unit: "us" | "ratio"): void => {
    if (spread === undefined) return;
    const { median } = spread;
    if (limit === undefined) {
      rows.push([what, none, withSpread(spread), none]);
      return;
    }
    const isMet = unit === "us" ? median <= limit : median >= limit;
    const wanted = unit === "us" ? `<= ${limit} us` : `>= ${limit}`;
    rows.push([what, wanted, withSpread(spread, unit === "us" ? 1 : 2), isMet ? "yes" : "**no**"]);
  };
  const bare = (scenario: string): Speed | undefined => find(speeds, { framework: "node", role: "bare" }, scenario);
  for (const [scenario, limit] of [["anonymous", 2] as const, ["read", 10] as const, ["write", 20] as const]) {
    const our = find(speeds, { framework: "node", role: "ours", store: "memory" }, scenario);
    const other = bare(scenario);
    const spread = our && other && compare(our, other, "cpu", (a, b) => a - b);
    budget(`node:http, memory, ${scenario}: processor time over the bare server`, limit, spread, "us");
  }
  for (const [framework, read] of [["node", 0.85] as const, ["express", 0.95] as const]) {
    for (const store of ["redis", "postgres"] as const) {
      for (const [scenario, limit] of [["read", read] as const, ["write", 0.8] as const]) {
        const our = find(speeds, { framework, role: "ours", store }, scenario);
        const of = (name: string): Spread | undefined => {
          const driver = find(speeds, { framework, name, store }, scenario);
          return our && driver && compare(our, driver, "requestsPerSecond");
        };
        const what = `${framework}, ${store}, ${scenario}: throughput of the limit`;
        budget(what, limit, of("limit"), "ratio");
        budget(`${what} without its time limits`, undefined, of(untimedLimit), "ratio");
      }
    }
  }
  return rows.length === 0 ? [] : ["### Budgets", table(["what", "budget", "median (lowest to highest)", "met"], rows)];
}

function ofFramework(results: Results, framework: Framework, draw: Draw): string[] {
  const speeds = results.speeds.filter((speed) => speed.framework === framework);
  if (speeds.length === 0) return [];
  const names = scenarios.map(({ name }) => name).filter((name) => speeds.some(({ scenario }) => scenario === name));
  const of = (label: string, scenario: string): Speed | undefined =>
    speeds.find((speed) => labelOf(speed) === label && speed.scenario === scenario);
  const bareOf = (scenario: string): Speed | undefined => find(speeds, { role: "bare" }, scenario);
  const share = (speed: Speed | undefined, measure: keyof Round): Spread | undefined => {
    const bare = speed && bareOf(speed.scenario);
    return bare && compare(speed, bare, measure);
  };

  const everyone = [...new Map(speeds.map((speed) => [labelOf(speed), speed])).entries()];
  const rows = everyone.map(([label, speed]) => [
    who(speed),
    ...names.map((name) => ratio(share(of(label, name), "requestsPerSecond"))),
    ...commandsOf(results, label),
    ...correctnessOf(results, label),
  ]);
  const head = ["", ...names, "commands: read / idle / write / first write", `of ${parallelWrites} writes`];
  head.push("logged out, alive again", "headers before the save", "silent store");

  const groups = names.map((name) => ({
    name,
    bars: everyone.flatMap(([label, speed]): Bar[] => {
      const spread = share(of(label, name), "requestsPerSecond");
      if (spread === undefined || speed.role === "bare") return [];
      return [{ name: who(speed).replaceAll("**", ""), kind: kindOf(speed), value: spread.median, ...spread }];
    }),
  }));
  const title = `${framework}: requests per second, as a share of the bare framework's`;
  return [
    `### ${framework === "node" ? "node:http" : framework}`,
    "Requests per second as a share of the bare framework's, and what happens beside that.",
    table(head, rows),
    draw(
      framework,
      title,
      barChart(title, groups, (value) => value.toFixed(2)),
    ),
    "<details><summary>By scenario, with spread</summary>",
    ...names.flatMap((name) => [`#### ${framework}: ${name}`, details(results, everyone, name, of, share)]),
    "</details>",
  ];
}

function details(
  { counts }: Results,
  everyone: readonly (readonly [string, Speed])[],
  scenario: string,
  of: (label: string, scenario: string) => Speed | undefined,
  share: (speed: Speed | undefined, measure: keyof Round) => Spread | undefined,
): string {
  const rows = everyone.flatMap(([label]) => {
    const speed = of(label, scenario);
    const [throughput, cpu] = [share(speed, "requestsPerSecond"), share(speed, "cpu")];
    if (speed === undefined || throughput === undefined || cpu === undefined) return [];
    const count = counts.find((each) => labelOf(each) === label && each.scenario === scenario);
    const bytes = count === undefined ? none : count.bytes.toFixed(0);
    const commands = count === undefined ? none : String(count.commands);
    const failed = speed.failures === 0 ? "" : ` (${speed.failures} × ${speed.failure ?? "?"})`;
    const rest = (["p50", "p99", "peak"] as const).map((measure) => ratio(share(speed, measure)));
    return [[who(speed) + failed, withSpread(throughput), withSpread(cpu), ...rest, commands, bytes]];
  });
  const head = [
    "× bare",
    "requests/s",
    "processor time",
    "p50",
    "p99",
    "peak memory",
    "commands",
    "bytes to and from store",
  ];
  return table(head, rows);
}

function commandsOf({ counts }: Results, label: string): string[] {
  const of = (scenario: string): string => {
    const found = counts.find((each) => labelOf(each) === label && each.scenario === scenario);
    return found === undefined ? none : String(found.commands);
  };
  const all = ["read", "read, idle expiry", "write", "first write"].map(of);
  return [all.every((each) => each === none) ? none : all.join(" / ")];
}

function correctnessOf({ correctness }: Results, label: string): string[] {
  const found = correctness.find((each) => labelOf(each) === label);
  if (found === undefined) return [none, none, none, none];
  const { survivors, aliveAfterWrite, aliveAfterRead, earlyAnswer, earlyRedirect, silent } = found;
  const listed = (which: Record<string, boolean | undefined>): string => {
    const values = Object.entries(which).filter(([, value]) => value === true);
    if (Object.values(which).every((value) => value === undefined)) return none;
    return values.length === 0 ? "no" : values.map(([name]) => name).join(", ");
  };
  const answered = silent && `${silent.status} after ${silent.seconds.toFixed(1)} s`;
  return [
    String(survivors),
    listed({ "after a write": aliveAfterWrite, "after a read": aliveAfterRead }),
    listed({ answer: earlyAnswer, redirect: earlyRedirect }),
    earlyAnswer === undefined ? none : (answered ?? `hangs (over ${patience / 1_000} s)`),
  ];
}

function growth({ sizes, stored }: Results, draw: Draw): string[] {
  const note =
    "Processor time of the server per request, as a multiple of its own in the first column; then, in the last column, as a multiple of " +
    "what scs-session takes there.";
  const chart = (name: string, title: string, speeds: readonly Speed[], x: (value: number) => string): string[] => {
    const labels = [...new Map(speeds.map((speed) => [labelOf(speed), speed])).entries()];
    const lines = labels.flatMap(([label, { role }]): Line[] => {
      const own = speeds.filter((speed) => labelOf(speed) === label);
      const [smallest] = own;
      if (role === "bare" || smallest === undefined) return [];
      const points = own.map((speed) => [parseInt(speed.scenario), compare(speed, smallest, "cpu").median] as const);
      return [{ name: label, kind: kindOf({ role }), points }];
    });
    const rows = labels.flatMap(([label, { role, framework, store }]) => {
      const own = speeds.filter((speed) => labelOf(speed) === label);
      const [smallest, largest] = [own[0], own.at(-1)];
      if (role === "bare" || smallest === undefined || largest === undefined) return [];
      const our = find(speeds, { framework, store, role: "ours" }, largest.scenario);
      const growths = own.slice(1).map((speed) => withSpread(compare(speed, smallest, "cpu")));
      return [[label, "1.00", ...growths, ratio(our && compare(largest, our, "cpu"))]];
    });
    const xs = [...new Set(speeds.map(({ scenario }) => parseInt(scenario)))];
    const svg = lineChart(title, lines, { x, y: "processor time per request, as a multiple of the first" });
    return lines.length === 0
      ? []
      : [`### ${title}`, note, table(["", ...xs.map(x), "the last, × scs-session"], rows), draw(name, title, svg)];
  };
  const count = (value: number): string => value.toLocaleString("en");
  return [
    ...chart("size", "Growth with the size of a session", sizes, (value) => `${value} KB`),
    ...chart("stored", "Growth with the number of stored sessions", stored, count),
  ];
}

function memory({ memory }: Results, draw: Draw): string[] {
  if (memory.length === 0) return [];
  const title = "Bytes of memory for a live session";
  const bars = memory.map(({ name, bytes }) => ({
    name,
    kind: name === "scs-session" ? ("ours" as const) : ("peer" as const),
    value: bytes,
    low: bytes,
    high: bytes,
  }));
  const ours = bars.find(({ kind }) => kind === "ours")?.value;
  const rows = memory.map(({ name, sessions, bytes }) => [
    name,
    sessions.toLocaleString("en"),
    bytes.toFixed(0),
    ours === undefined ? none : (bytes / ours).toFixed(2),
  ]);
  const svg = barChart(title, [{ name: "stores in memory", bars }], (value) => value.toFixed(0));
  return [`### ${title}`, table(["", "sessions", "bytes each", "× scs-session"], rows), draw("memory", title, svg)];
}
