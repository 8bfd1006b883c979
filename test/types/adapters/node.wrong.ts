// What the compiler is to refuse in node:http. Never run.
import { createServer } from "node:http";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/node";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
// @ts-expect-error 2769 no manager
createServer(loadAndSave({}, () => undefined));
// @ts-expect-error 2561 misspelt
createServer(loadAndSave(sessions, () => undefined, { onerror: () => undefined }));
createServer((req) => {
  // @ts-expect-error 2345 an unknown key
  sessions.of(req).get("nothing");
});
