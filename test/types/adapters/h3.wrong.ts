// What the compiler refuses of the h3 adapter. Never run.
import { H3 } from "h3";
import { SessionManager } from "scs-session";
import { loadAndSave as forExpress } from "scs-session/express";
import { loadAndSave } from "scs-session/h3";

const sessions = new SessionManager<{ userId: number }>();
const app = new H3();

// @ts-expect-error 2345 no manager
app.use(loadAndSave({}));
// @ts-expect-error 2561 misspelt
app.use(loadAndSave(sessions, { Skip: () => true }));
// @ts-expect-error 2345 a plugin it is not
app.register(loadAndSave(sessions));
// @ts-expect-error 2345 another framework's
app.use(forExpress(sessions));
app.get("/", (event) => {
  // @ts-expect-error 2345 no such key
  return sessions.of(event).get("user");
});
