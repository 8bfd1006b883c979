/** A chat over WebSockets, with Hono on Node: `npx tsx --tsconfig tsconfig.json examples/hono-ws/server.ts`. */

import { serve, upgradeWebSocket } from "@hono/node-server";
import { Hono } from "hono";
import { html } from "hono/html";
import type { WSContext } from "hono/ws";
import { SessionError, SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/hono";
import { WebSocketServer } from "ws";

const sessions = new SessionManager<{ user: string }>({ subject: ({ user }) => user });
const app = new Hono();
app.use(loadAndSave(sessions));

app.get("/", (c) => {
  const user = sessions.of(c).get("user");
  return c.html(user === undefined ? loginPage() : chatPage(user));
});
app.post("/login", async (c) => {
  const { user } = await c.req.parseBody();
  const session = sessions.of(c);
  session.renewToken();
  session.put("user", typeof user === "string" ? user : "");
  return c.redirect("/");
});
app.post("/logout", (c) => {
  sessions.of(c).destroy();
  return c.redirect("/");
});

const open = new Set<WSContext>();

app.get("/chat", async (c) => {
  const attached = await sessions.attach(c.req.raw);
  if (attached === undefined) return c.text("Please log in", 401);
  const user = attached.session.get("user") ?? "somebody";
  return upgradeWebSocket(c, {
    onOpen(_event, ws) {
      open.add(ws);
      // Logged out (in another tab, on another server), expired, or renewed: 4000 to 4999 are for applications.
      void attached.closed.then((reason) => ws.close(4401, reason));
      ws.send(`Hello, ${user}`);
    },
    onMessage({ data }) {
      for (const each of open) each.send(`${user}: ${String(data)}`);
    },
    onClose(_event, ws) {
      open.delete(ws);
      attached.detach();
    },
  });
});

app.onError((error, c) => c.text("Sorry", error instanceof SessionError ? (error.status as 403 | 503) : 500));

serve({
  fetch: app.fetch,
  // Under exactOptionalPropertyTypes the types of ws are not quite those that Hono expects.
  websocket: { server: new WebSocketServer({ noServer: true }) as never },
  port: Number(process.env["PORT"] ?? 3000),
  hostname: "127.0.0.1",
});

const loginPage = () =>
  html`<!doctype html><title>Chat</title>
    <p>Please log in</p>
    <form method="post" action="/login"><input name="user" required /> <button>Log in</button></form>`;

const chatPage = (user: string) =>
  html`<!doctype html><title>Chat</title>
    <p>Hello, ${user}</p>
    <form method="post" action="/logout"><button>Log out</button></form>
    <form id="say"><input name="text" autofocus autocomplete="off" /></form>
    <pre id="chat"></pre>
    <script>
            const show = (line) => (chat.textContent += line + "
      ");
            const socket = new WebSocket("ws" + location.origin.slice(4) + "/chat");
            socket.onmessage = ({ data }) => show(data);
            socket.onclose = ({ code }) => code === 4401 && location.reload(); // shows the login form, or connects with the new cookie
            say.onsubmit = (event) => {
              event.preventDefault();
              socket.send(say.text.value);
              say.reset();
            };
    </script>`;
