// The managers of the site. Store and clock are the test's, where there is one.
import { header, MemoryStore, SessionManager } from "scs-session";

globalThis.copiesOfSessions = (globalThis.copiesOfSessions ?? 0) + 1;

const methods = ["find", "commit", "delete", "replace", "touch"];
const storeOf = (name) => {
  const store = () => globalThis.siteStores?.[name] ?? MemoryStore.shared(name);
  return Object.fromEntries(methods.map((method) => [method, (...args) => store()[method](...args)]));
};
const clock = {
  now: () => globalThis.siteClock?.now() ?? Date.now(),
  after: (delay, work) => {
    if (globalThis.siteClock !== undefined) return globalThis.siteClock.after(delay, work);
    const timer = setTimeout(work, delay);
    return () => clearTimeout(timer);
  },
};
const common = { sweepInterval: false, clock, idleTimeout: "20m" };

export const sessions = new SessionManager({ ...common, store: storeOf("session") });
const secure = (request) => request.isSecure();
export const admins = new SessionManager({ ...common, store: storeOf("admin"), cookie: { name: "admin", secure } });
export const clients = new SessionManager({ ...common, store: storeOf("client"), transport: header("X-Session") });
