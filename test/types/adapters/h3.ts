// What the compiler takes of the h3 adapter. Never run.
import { defineHandler, getRequestIP, H3, type H3Event, type Middleware } from "h3";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/h3";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

const app = new H3();
app.use(loadAndSave(sessions));
app.use("/admin/**", loadAndSave(sessions, { property: "visit", skip: ({ url }) => url.pathname === "/health" }));
app.use(loadAndSave(sessions, { skip: (event: H3Event) => getRequestIP(event) === undefined }), { method: "POST" });
app.get("/user/:id", (event) => {
  const userId: number | undefined = sessions.of(event).get("userId");
  return `${event.context.params?.["id"] ?? ""} ${sessions.of(event.req).getNumber("userId") + (userId ?? 0)}`;
});
app.get("/", () => "hello", { middleware: [loadAndSave(sessions)] });
export const middleware: Middleware = loadAndSave(sessions);
export const handler = defineHandler({ middleware: [loadAndSave(sessions)], handler: () => "hello" });
