/** What the examples with sockets are tested with: a browser's cookie, its socket, and a logout in another tab. */

import { once } from "node:events";
import { expect } from "vitest";
import { WebSocket } from "ws";

/** Logs in; answers the cookie. */
export async function logIn(url: string, user: string): Promise<string> {
  const body = new URLSearchParams({ user });
  const response = await fetch(`${url}/login`, { method: "POST", body, redirect: "manual" });
  return response.headers.getSetCookie()[0]!.split(";", 1)[0]!;
}

/** Logs out, as another tab would. */
export async function logOut(url: string, cookie: string): Promise<void> {
  await fetch(`${url}/logout`, { method: "POST", headers: { cookie }, redirect: "manual" });
}

/** Opens sockets with and without a session and from another site, talks, logs out elsewhere. */
export async function driveSocket(url: string, path: string): Promise<void> {
  const address = url.replace("http", "ws") + path;
  const connect = (cookie: string, origin = url): WebSocket => new WebSocket(address, { origin, headers: { cookie } });
  const said = async (socket: WebSocket): Promise<string> => String((await once(socket, "message"))[0]);

  const cookie = await logIn(url, "anna");
  await expect(once(connect(""), "open")).rejects.toThrow("401");
  await expect(once(connect(cookie, "http://evil.example"), "open")).rejects.toThrow("403");

  const socket = connect(cookie);
  expect(await said(socket)).toBe("Hello, anna");
  socket.send("hi");
  expect(await said(socket)).toBe("anna: hi");
  const closed = once(socket, "close");
  const start = performance.now();
  await logOut(url, cookie);
  const [code, reason] = (await closed) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([4401, "destroyed"]);
  expect(performance.now() - start).toBeLessThan(1_000);
  await expect(once(connect(cookie), "open")).rejects.toThrow("401");
}
