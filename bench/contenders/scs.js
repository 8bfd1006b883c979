// scs-session as the contenders use it: the built package, by its public names.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { openPostgres, openRedis } from "./clients.js";
import { fillManager } from "./fill.js";

const packageOf = createRequire(new URL("../../package.json", import.meta.url));

/** A module of the package; rejects while there is none of this name. */
export const scs = (subpath = "") => import(pathToFileURL(packageOf.resolve(`scs-session${subpath}`)));

const variants = {
  plain: {},
  idle: { idleTimeout: "30m" },
  signed: { secrets: ["a secret of thirty-two characters"] },
};

/** A manager for a setup; the store in memory has `stored` sessions. */
export async function manager(setup) {
  const { SessionManager } = await scs();
  const sessions = new SessionManager({ ...variants[setup.variant], store: await storeOf(setup) });
  if (setup.store === "memory") await fillManager(sessions, setup.stored ?? 0);
  return sessions;
}

async function storeOf({ store, redis, postgres }) {
  if (store === "redis") return new (await scs("/redis")).RedisStore(await openRedis(redis));
  if (store === "postgres") {
    const sessions = new (await scs("/postgres")).PostgresStore(openPostgres(postgres));
    await sessions.migrate();
    return sessions;
  }
  return undefined;
}

/** How a handler uses the session of a request or context. */
export const sessionOf = (sessions) => ({
  get: (at, key) => sessions.of(at).get(key),
  put: (at, key, value) => sessions.of(at).put(key, value),
  keys: (at) => sessions.of(at).keys(),
  destroy: (at) => sessions.of(at).destroy(),
});
