// What the compiler refuses of the SvelteKit adapter. Never run.
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/sveltekit";

const sessions = new SessionManager<{ userId: number }>();

// @ts-expect-error 2345 no manager
loadAndSave({});
// @ts-expect-error 2561 misspelt
loadAndSave(sessions, { Skip: () => true });
// @ts-expect-error 2322 an error is answered with a Response
loadAndSave(sessions, { onError: () => "text" });
// @ts-expect-error 2345 a request is no event
void loadAndSave(sessions)(new Request("http://localhost/"));
