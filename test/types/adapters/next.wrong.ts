// What the compiler is to refuse in Next. Never run.
import { SessionManager } from "scs-session";
import { loadAndSave, readSession } from "scs-session/next";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();
// @ts-expect-error 2345 no function
loadAndSave(sessions, {});
// @ts-expect-error 2322 other arguments
export const narrower: (form: string) => Promise<number> = loadAndSave(sessions, (form: FormData) => [...form].length);
export async function page(): Promise<unknown[]> {
  const session = await readSession(sessions);
  return [
    // @ts-expect-error 2339 only to be read
    session.put,
    // @ts-expect-error 2339 the secret
    session.token,
    // @ts-expect-error 2345 no key
    session.get("nothing"),
  ];
}
