// What requests ask of a session: the same for all contenders. Each contender says how, by `{ get, put, keys, destroy }`, whose
// first argument is its framework's request or context.
import { setTimeout as wait } from "node:timers/promises";

let count = 0;

/** So many kilobytes of what a session may hold: lines of a cart, of a hundred bytes each as JSON. */
export function cart(kilobytes) {
  const line = (n) => ({ sku: `sku-${n}`.padEnd(24, "0"), name: `Article ${n} of the shop`.padEnd(24), price: 19.9 });
  return Array.from({ length: Math.round(kilobytes * 10) }, (_, n) => line(n));
}

/** By path; `query()` answers the parameters. A path of an action that redirects is answered by a redirect to "/". */
export const actions = {
  "/": () => "ok\n",

  "/start": async (session, at, query) => {
    const { kilobytes } = query();
    await session.put(at, "user", 123);
    if (kilobytes !== undefined) await session.put(at, "cart", cart(Number(kilobytes)));
    return "ok\n";
  },

  "/read": async (session, at) => {
    await session.get(at, "user");
    return "ok\n";
  },

  /** Another value each time: many skip the write when it is the same. */
  "/write": async (session, at) => {
    await session.put(at, "visits", ++count);
    return "ok\n";
  },

  /** Reads, waits, writes under a name of its own. */
  "/slow-write": async (session, at, query) => {
    const { key, wait: milliseconds } = query();
    await session.get(at, "user");
    await wait(Number(milliseconds));
    await session.put(at, key, ++count);
    return "ok\n";
  },

  "/slow-read": async (session, at, query) => {
    await session.get(at, "user");
    await wait(Number(query().wait));
    return "ok\n";
  },

  "/slow-redirect": async (session, at, query) => actions["/slow-write"](session, at, query),

  "/logout": async (session, at) => {
    await session.destroy(at);
    return "ok\n";
  },

  "/keys": async (session, at) => `${(await session.keys(at)).join(",")}\n`,

  "/user": async (session, at) => `${(await session.get(at, "user")) ?? "nobody"}\n`,
};

export const redirects = (path) => path === "/slow-redirect";

/** A session that does nothing, for the bare frameworks. */
export const noSession = { get: () => undefined, put: () => undefined, keys: () => [], destroy: () => undefined };
