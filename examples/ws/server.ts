/** A chat over WebSockets, with Express and ws: `npx tsx --tsconfig tsconfig.json examples/ws/server.ts`. */

import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import express from "express";
import { SessionError, SessionManager, type Attachment } from "scs-session";
import { loadAndSave } from "scs-session/express";
import { WebSocketServer, type WebSocket } from "ws";

interface SessionData {
  user: string;
}

const sessions = new SessionManager<SessionData>({ subject: ({ user }) => user });

const app = express();
app.use(loadAndSave(sessions), express.urlencoded());

app.get("/", (req, res) => {
  const user = sessions.of(req).get("user");
  res.send(user === undefined ? loginPage : chatPage(user));
});
app.post("/login", (req, res) => {
  const session = sessions.of(req);
  session.renewToken();
  session.put("user", String((req.body as { user: unknown }).user));
  res.redirect("/");
});
app.post("/logout", (req, res) => {
  sessions.of(req).destroy();
  res.redirect("/");
});

const server = createServer(app);
const sockets = new WebSocketServer({ noServer: true });

server.on("upgrade", (request, socket, head) => {
  socket.on("error", () => socket.destroy());
  sessions.attach(request).then(
    (attached) => {
      if (attached === undefined) refuse(socket, 401);
      else sockets.handleUpgrade(request, socket, head, (ws) => join(ws, attached));
    },
    (error: unknown) => refuse(socket, error instanceof SessionError ? error.status : 500),
  );
});

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\n\r\n`);
}

function join(ws: WebSocket, attached: Attachment<SessionData>): void {
  const user = attached.session.get("user") ?? "somebody";
  ws.on("error", () => ws.terminate());
  ws.on("message", (message) => {
    for (const each of sockets.clients) each.send(`${user}: ${(message as Buffer).toString()}`);
  });
  // Logged out (in another tab, on another server), expired, or renewed: 4000 to 4999 are for applications.
  void attached.closed.then((reason) => ws.close(4401, reason));
  ws.send(`Hello, ${user}`);
}

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => console.log("The chat listens."));

const loginPage = `<!doctype html><title>Chat</title>
<p>Please log in</p>
<form method="post" action="/login"><input name="user" required> <button>Log in</button></form>`;

function chatPage(user: string): string {
  return `<!doctype html><title>Chat</title>
<p>Hello, ${user.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)}</p>
<form method="post" action="/logout"><button>Log out</button></form>
<form id="say"><input name="text" autofocus autocomplete="off"></form>
<pre id="chat"></pre>
<script>
  const show = (line) => { chat.textContent += line + "\\n"; };
  const socket = new WebSocket("ws" + location.origin.slice(4));
  socket.onmessage = ({ data }) => show(data);
  socket.onclose = ({ code }) => { if (code === 4401) location.reload(); }; // shows the login form, or connects with the new cookie
  say.onsubmit = (event) => { event.preventDefault(); socket.send(say.text.value); say.reset(); };
</script>`;
}
