// What the compiler says about sockets. Never run; the number behind "@ts-expect-error" is that of the error.
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Context } from "hono";
import { SessionManager, type AttachmentEnd } from "scs-session";
import type { Socket } from "socket.io";
import type { WebSocket } from "ws";

interface Data {
  userId: number;
}

const sessions = new SessionManager<Data>();
declare const node: IncomingMessage;
declare const http2: Http2ServerRequest;
declare const web: Request;
declare const socket: Socket;
declare const context: Context;
declare const ws: WebSocket;

// What opens a socket.
for (const request of [node, http2, web, socket.request, socket.handshake, context.req.raw]) {
  await sessions.attach(request);
}
// @ts-expect-error 2345 the context is no request
await sessions.attach(context);
// @ts-expect-error 2345 nor is the socket
await sessions.attach(ws);
// @ts-expect-error 2345 nor its token
await sessions.attach("token");

await sessions.attach(node, { origins: ["https://app.example.com"], interval: "1s", touch: true });
await sessions.attach(node, { origins: (origin) => origin.endsWith(".example.com") });
// @ts-expect-error 2322 a single origin is a list, too
await sessions.attach(node, { origins: "https://app.example.com" });
// @ts-expect-error 2322 whose answer comes late
await sessions.attach(node, { origins: (origin) => Promise.resolve(origin !== "") });
// @ts-expect-error 2322 seconds or milliseconds?
await sessions.attach(node, { interval: 500 });

// What it gives.
const attached = await sessions.attach(node);
// @ts-expect-error 18048 there may be no session
attached.detach();
if (attached !== undefined) {
  attached.session.get("userId")?.toFixed();
  // @ts-expect-error 2345 no key of the data
  attached.session.get("name");
  const session = await attached.load({ touch: true });
  // @ts-expect-error 18048 it may be over
  session.put("userId", 1);
  if (session !== undefined) await sessions.commit(session);
  const reason: AttachmentEnd = await attached.closed;
  // @ts-expect-error 2367 no reason to close
  if (reason === "gone") attached.detach();
  ws.once("close", attached.detach);
}
