/** The application that tests of stores run in processes of their own. What it does is in the path. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";
import { SessionManager, type Session, type SessionOptions } from "scs-session";
import { loadAndSave } from "scs-session/node";
import { WebSocketServer } from "ws";
import { open, type Backend } from "./backends.ts";

/** What its sessions hold. */
export type Data = { userId: string; count: number; rich: unknown } & Record<`key-${string}`, unknown>;

const rich = {
  date: new Date(1_234_567_890_123),
  map: new Map([["a", new Set([1, 2])]]),
  big: 12_345_678_901_234_567_890n,
  bytes: Uint8Array.of(0, 255, 128),
  odd: [NaN, -0, Infinity, null, "\u{1f600}\0"],
};

const { backend, options } = JSON.parse(process.argv[2] ?? "") as { backend: Backend; options: SessionOptions<Data> };
const { store, asked, close } = await open(backend);
const sessions = new SessionManager<Data>({ ...options, store, subject: ({ userId }) => userId });

/** Handlers that wait until they are let go on. */
const waiting: (() => void)[] = [];

const actions: Record<string, (session: Session<Data>, query: URLSearchParams) => unknown> = {
  read: () => undefined,
  put: (session, query) => session.put(`key-${query.get("key") ?? ""}`, query.get("value") ?? 1),
  increment: (session) => session.update("count", (count = 0) => count + 1),
  login: (session, query) => {
    session.renewToken();
    session.put("userId", query.get("user") ?? "");
  },
  logout: (session) => session.destroy(),
  renew: (session) => session.renewToken(),
  rich: (session) => session.put("rich", rich),
};

/** Questions about the process and the store, for which no session is loaded. */
const questions: Record<string, (query: URLSearchParams) => unknown> = {
  waiting: () => waiting.length,
  go: () => {
    for (const go of waiting.splice(0)) go();
  },
  asked: () => ({ ...asked }),
  list: async (query) => {
    const ids: string[] = [];
    for await (const { id } of sessions.list({ subject: query.get("user") ?? "" })) ids.push(id);
    return ids;
  },
  revoke: (query) => sessions.revoke({ subject: query.get("user") ?? "" }),
};

const parse = (request: { readonly url?: string | undefined }) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  return { path: pathname.slice(1).split("/"), query: searchParams };
};

const withSession = loadAndSave(sessions, async (request, response) => {
  const { path, query } = parse(request);
  const session = sessions.of(request);
  session.get("userId");
  if (path[0] === "slow") await new Promise<void>((resolve) => waiting.push(resolve));
  actions[path.at(-1) ?? ""]?.(session, query);
  if (session.status === "destroyed") return void response.end("{}");
  const { userId, count } = { userId: session.get("userId"), count: session.get("count") };
  const isRich = session.exists("rich") ? isDeepStrictEqual(session.get("rich"), rich) : undefined;
  response.end(JSON.stringify({ userId, count, isRich, keys: session.keys() }));
});

const server = createServer((request, response) => {
  const { path, query } = parse(request);
  const question = questions[path[0] ?? ""];
  if (question === undefined) return void withSession(request, response);
  Promise.resolve(question(query)).then(
    (answer) => response.end(JSON.stringify(answer ?? null)),
    () => response.writeHead(500).end(),
  );
});

/** Sockets: each hears whose it is, and is closed when its session ends. */
const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  sessions.attach(request).then(
    (attached) => {
      if (attached === undefined) return void socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      sockets.handleUpgrade(request, socket, head, (each) => {
        each.send(attached.session.get("userId") ?? "");
        void attached.closed.then((reason) => each.close(4401, reason));
      });
    },
    (error: unknown) => {
      const { status } = error as { readonly status: number };
      socket.end(`HTTP/1.1 ${status} Refused\r\n\r\n`);
    },
  );
});

server.listen(0, "127.0.0.1", () => console.log(`listens on ${(server.address() as AddressInfo).port}`));

process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
  void sessions.close().then(close); // and nothing may keep the process alive then
});
