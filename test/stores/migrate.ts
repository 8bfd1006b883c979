/** Migrates a store in a process of its own, as soon as it is told to. */

import { once } from "node:events";
import { open, type Backend } from "./backends.ts";

const { store, close } = await open(JSON.parse(process.argv[2] ?? "") as Backend);
console.log("ready");
await once(process.stdin, "data");
await store.migrate?.();
await close();
process.exit(); // standard input keeps the process alive
