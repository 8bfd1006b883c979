// Plays the transcripts of the documents with curl, and writes what came out into them: npx tsx test/tools/transcript.ts
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandsOf, documents, read, root, writeSamples } from "./samples.ts";

const port = 3000;
const samples = writeSamples(new Proxy({}, { get: () => "" }));
for (const path of documents) {
  let text = read(path);
  for (const { file, place, transcript } of samples) {
    if (!place.startsWith(`${path}:`) || transcript === "") continue;
    const server = spawn(process.execPath, ["--import", "tsx", file], { cwd: root, stdio: "inherit" });
    const jars = mkdtempSync(join(tmpdir(), "transcript-"));
    try {
      while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, 100));
      const played = commandsOf(transcript).map(({ line }) => {
        const printed = execFileSync("sh", ["-c", line], { cwd: jars, stdio: ["ignore", "pipe", "ignore"] });
        return `$ ${line}\n${printed.toString().replaceAll("\r", "").trimEnd()}\n`;
      });
      text = text.replace(transcript, () => played.join("\n"));
    } finally {
      server.kill();
      rmSync(jars, { recursive: true });
    }
    console.log(`${place}: played`);
  }
  writeFileSync(root + path, text);
}

function answers(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "localhost");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
