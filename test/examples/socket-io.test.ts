// The example with Socket.IO.
import { once } from "node:events";
import { io, type Socket } from "socket.io-client";
import { expect, onTestFinished, test } from "vitest";
import { drive, start } from "./drive.ts";
import { logIn, logOut } from "./sockets.ts";

/** Socket.IO's emitter, as `once` takes it. */
const next = async (socket: Socket, event: string): Promise<unknown> =>
  ((await once(socket as never, event)) as unknown[])[0];

test("logs in and out, and its sockets go with the session", { timeout: 60_000 }, async () => {
  const url = await start("socket-io", ["npx", "tsx", "--tsconfig", "../../tsconfig.json", "server.ts"]);
  await drive(url);

  for (const transports of [["websocket"], ["polling", "websocket"], ["polling"]]) {
    const connect = (headers: Record<string, string>): Socket => {
      const socket = io(url, { transports, extraHeaders: headers, forceNew: true, reconnection: false });
      onTestFinished(() => void socket.disconnect());
      return socket;
    };
    const cookie = await logIn(url, "anna");
    expect(await next(connect({}), "connect_error")).toMatchObject({ message: "Please log in" });
    const evil = connect({ cookie, origin: "http://evil.example" });
    expect(await next(evil, "connect_error")).toMatchObject({
      message: expect.stringContaining("another origin") as unknown,
    });

    const socket = connect({ cookie, origin: url });
    expect(await next(socket, "said")).toBe("Hello, anna");
    socket.emit("say", "hi");
    expect(await next(socket, "said")).toBe("anna: hi");
    const over = next(socket, "over");
    const disconnected = next(socket, "disconnect");
    const begin = performance.now();
    await logOut(url, cookie);
    expect([await over, await disconnected]).toEqual(["destroyed", "io server disconnect"]);
    expect(performance.now() - begin).toBeLessThan(1_000);
  }
});
