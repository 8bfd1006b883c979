// One contender as a process of its own: `serve.js framework contender setup`. Plain JavaScript on the built package: a loader
// of TypeScript would be measured as well. It tells its port, and its use of processor and memory when asked.
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const [framework, name, setup] = process.argv.slice(2);

/** The largest memory since the last time it was asked, in bytes; where the system cannot tell, since the start. */
function peakMemory() {
  try {
    const [, kilobytes] = /VmHWM:\s*(\d+) kB/.exec(readFileSync("/proc/self/status", "latin1"));
    writeFileSync("/proc/self/clear_refs", "5");
    return Number(kilobytes) * 1_024;
  } catch {
    return process.resourceUsage().maxRSS * 1_024;
  }
}

process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system, peak: peakMemory() });
});
process.on("disconnect", () => process.exit());

try {
  const { contenders } = await import(`./${framework}.js`);
  const server = await contenders[name](JSON.parse(setup));
  server.listen(0, "127.0.0.1", () => process.send?.({ port: server.address().port }));
} catch (error) {
  const isMissing = error.code === "ERR_PACKAGE_PATH_NOT_EXPORTED";
  process.send?.({ reason: isMissing ? error.message.split("\n", 1)[0] : error.stack, isMissing });
}
