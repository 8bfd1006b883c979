// What the compiler is to refuse where a Request is answered. Never run.
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

interface Env {
  DB: string;
}
// @ts-expect-error 2345 no manager
loadAndSave({}, () => new Response());
// @ts-expect-error 2322 a handler answers with a Response
loadAndSave(sessions, () => "text");
// @ts-expect-error 2554 a handler is required
loadAndSave(sessions);
// @ts-expect-error 2353 there is no such option
loadAndSave(sessions, () => new Response(), { property: "session" });
// @ts-expect-error 2322 the wrapped handler wants what the handler wants
void loadAndSave(sessions, (_request, _env: Env) => new Response())(new Request("http://a/"), { DB: 1 });
