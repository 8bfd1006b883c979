// Contenders on node:http: without sessions, the limit, scs-session, iron-session.
import { createServer } from "node:http";
import { getIronSession } from "iron-session";
import { actions, noSession, redirects } from "./actions.js";
import { limit } from "./limit.js";
import { manager, scs, sessionOf } from "./scs.js";

/** A request and its response, since node:http has no context. */
const pair = (request, response) => ({ request, response, session: undefined });

function handlerOf(session, contextOf = pair) {
  return async (request, response) => {
    const { url } = request;
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    try {
      const query = () => Object.fromEntries(new URLSearchParams(url.slice(mark + 1)));
      const text = await actions[path](session, contextOf(request, response), query);
      if (redirects(path)) response.writeHead(302, { location: "/" });
      response.end(text);
    } catch {
      response.writeHead(500).end("error\n");
    }
  };
}

const cookieOf = ({ request }) => request.headers.cookie;

export const contenders = {
  bare: async () => createServer(handlerOf(noSession)),

  limit: async (setup) => createServer(handlerOf(await limit(setup, cookieOf))),

  "limit, untimed": async (setup) => createServer(handlerOf(await limit(setup, cookieOf, { isTimed: false }))),

  "scs-session": async (setup) => {
    const { loadAndSave } = await scs("/node");
    const sessions = await manager(setup);
    const handler = handlerOf(sessionOf(sessions), (request) => request);
    return createServer(loadAndSave(sessions, handler));
  },

  /** An idle expiry is to save in every request. */
  "iron-session": async ({ variant }) => {
    const options = {
      password: "a password of thirty-two characters",
      cookieName: "iron",
      ttl: variant === "idle" ? 1_800 : 86_400,
      cookieOptions: { secure: false },
    };
    const open = async (at) => (at.session ??= await getIronSession(at.request, at.response, options));
    const session = {
      async get(at, key) {
        const opened = await open(at);
        if (variant === "idle") await opened.save();
        return opened[key];
      },
      async put(at, key, value) {
        const opened = await open(at);
        opened[key] = value;
        await opened.save();
      },
      keys: async (at) => Object.keys(await open(at)),
      destroy: async (at) => (await open(at)).destroy(),
    };
    return createServer(handlerOf(session));
  },
};
