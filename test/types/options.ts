// What the compiler says about options. Never run.
/* eslint @typescript-eslint/no-unsafe-call: "off", @typescript-eslint/no-unsafe-return: "off" -- what is expected to fail */
import { cookie, header, SessionManager, type Duration, type Store } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { signIn } from "scs-session/testing";

interface Data {
  userId: number;
  cart: readonly string[];
}

new SessionManager<Data>({ lifetime: "12h", idleTimeout: "20m", sweepInterval: false, store: new MemoryStore() });
new SessionManager<Data>({ subject: (data) => data.userId });
new SessionManager<Data>({ subject: () => null });
new SessionManager<Data>({ transport: header("X-Session") });
new SessionManager<Data>({ transport: cookie({ name: "__Host-s", secure: true }) });
// @ts-expect-error 2322 a number has no unit
new SessionManager({ lifetime: 3600 });
// @ts-expect-error 2322 an unknown unit
new SessionManager({ lifetime: "1w" });
// @ts-expect-error 2322 no number
new SessionManager({ lifetime: "a day" });
// @ts-expect-error 2561 misspelt
new SessionManager({ lifeTime: "1h" });
// @ts-expect-error 2353 a cookie's lifetime is the session's
new SessionManager({ cookie: { maxAge: 1 } });
// @ts-expect-error 2820 a wrong value
new SessionManager({ cookie: { sameSite: "Lax" } });
// @ts-expect-error 2322 a wrong value
new SessionManager({ outage: "ignore" });
// @ts-expect-error 2322 a subject is a string, a number or a bigint
new SessionManager<Data>({ subject: (data) => data.cart });
// @ts-expect-error 2339 a key that the data do not have
new SessionManager<Data>({ subject: (data) => data.user });
// @ts-expect-error 18048 a session may have no such key yet
new SessionManager<Data>({ subject: (data) => data.userId.toFixed() });
// @ts-expect-error 2339 the values are read-only
new SessionManager<Data>({ subject: (data) => data.cart?.push("x") });
// @ts-expect-error 2739 no store
new SessionManager({ store: new Map() });
// @ts-expect-error 2344 data are an object
new SessionManager<string>();

export const duration: Duration = "5s";

// The three verbs are enough for a store.
export const smallest: Store = {
  find: async () => undefined,
  commit: async () => undefined,
  delete: async () => undefined,
};

await signIn(new SessionManager<Data>(), { userId: 1 });
// @ts-expect-error 2322 a value of another type
await signIn(new SessionManager<Data>(), { userId: "1" });
// @ts-expect-error 2353 an unknown key
await signIn(new SessionManager<Data>(), { user: 1 });
