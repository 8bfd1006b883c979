/** A chat with Socket.IO and Express: `npx tsx --tsconfig tsconfig.json examples/socket-io/server.ts`. */

import { createServer } from "node:http";
import express from "express";
import { SessionManager, type Attachment } from "scs-session";
import { loadAndSave } from "scs-session/express";
import { Server, type DefaultEventsMap } from "socket.io";

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
interface SocketData {
  attached: Attachment<SessionData>;
}
const io = new Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>(server);

io.use((socket, next) => {
  // Socket.IO may poll before it opens a WebSocket: it knows when the connection as a whole ends.
  const closed = new Promise<unknown>((resolve) => socket.conn.once("close", resolve));
  sessions.attach(socket.request).then((attached) => {
    if (attached === undefined) {
      next(new Error("Please log in")); // the client's event connect_error
      return;
    }
    socket.data.attached = attached;
    void closed.then(attached.detach);
    next();
  }, next);
});

io.on("connection", (socket) => {
  const { attached } = socket.data;
  const user = attached.session.get("user") ?? "somebody";
  socket.on("say", (text: unknown) => io.emit("said", `${user}: ${String(text)}`));
  // Logged out (in another tab, on another server), expired, or renewed.
  void attached.closed.then((reason) => {
    socket.emit("over", reason);
    socket.disconnect(true);
  });
  socket.emit("said", `Hello, ${user}`);
});

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
<script src="/socket.io/socket.io.js"></script>
<script>
  const show = (line) => { chat.textContent += line + "\\n"; };
  const socket = io();
  socket.on("said", show);
  socket.on("over", () => location.reload()); // shows the login form, or connects with the new cookie
  say.onsubmit = (event) => { event.preventDefault(); socket.emit("say", say.text.value); say.reset(); };
</script>`;
}
