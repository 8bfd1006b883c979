// What the compiler is to take in Next. Never run.
import { SessionManager } from "scs-session";
import { loadAndSave, readSession } from "scs-session/next";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

export const GET: (request: Request, context: { params: Promise<{ id: string }> }) => Promise<Response> = loadAndSave(
  sessions,
  async (request: Request, context: { params: Promise<{ id: string }> }) => {
    const userId: number | undefined = sessions.of(request).get("userId");
    return Response.json({ userId, ...(await context.params) });
  },
);
export const POST: () => Promise<Response> = loadAndSave(sessions, () => new Response(), {
  skip: ({ url }) => url === "/",
});
export const action: (form: FormData) => Promise<void> = loadAndSave(sessions, async (form: FormData) => {
  sessions.current().put("userId", Number(form.get("id")));
});
export const withState: (state: number, form: FormData) => Promise<number> = loadAndSave(
  sessions,
  (state: number, _form: FormData) => state + 1,
);
export async function page(): Promise<unknown[]> {
  const session = await readSession(sessions);
  const userId: number = session.getNumber("userId");
  return [userId, session.keys(), session.deadline, session.id];
}
