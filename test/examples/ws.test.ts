// The example with Express and ws.
import { test } from "vitest";
import { drive, start } from "./drive.ts";
import { driveSocket } from "./sockets.ts";

test("logs in and out, and its sockets go with the session", { timeout: 60_000 }, async () => {
  const url = await start("ws", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]);
  await drive(url);
  await driveSocket(url, "/");
});
