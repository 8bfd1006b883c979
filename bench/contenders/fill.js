// Many sessions in the stores in memory, made without requests: those would take too long.
import { randomBytes } from "node:crypto";
import expressSession from "express-session";

/** Each of them says something else, as real ones do. */
export const valuesOf = (n) => ({ user: n, csrf: randomBytes(18).toString("base64url"), theme: "dark" });

export async function fillManager(sessions, count) {
  for (let n = 0; n < count; n++) {
    const session = await sessions.load();
    for (const [key, value] of Object.entries(valuesOf(n))) session.put(key, value);
    await sessions.commit(session);
  }
}

export async function fillExpressStore(store, count) {
  for (let n = 0; n < count; n++) {
    const cookie = new expressSession.Cookie({ maxAge: 86_400_000 });
    const session = { cookie, ...valuesOf(n) };
    await new Promise((resolve) => store.set(randomBytes(24).toString("base64url"), session, resolve));
  }
}
