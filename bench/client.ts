/** One browser: it keeps cookies, and follows no redirects. */

import { randomBytes } from "node:crypto";
import type { Contender } from "./contenders.ts";
import { defaultConnections } from "./load.ts";

export class Client {
  readonly #base: string;
  readonly #jar = new Map<string, string>();

  constructor(port: number) {
    this.#base = `http://127.0.0.1:${port}`;
  }

  /** What it sends, and would send for good if somebody had copied it. */
  get cookie(): string {
    return [...this.#jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** The text and status of an answer; its cookies are kept when `keep` is set. */
  async get(path: string, { cookie = this.cookie, keep = true } = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(this.#base + path, {
      headers: cookie === "" ? {} : { cookie },
      redirect: "manual",
      signal: AbortSignal.timeout(30_000),
    });
    for (const set of keep ? response.headers.getSetCookie() : []) {
      const [pair = ""] = set.split(";", 1);
      const name = pair.slice(0, pair.indexOf("="));
      const value = pair.slice(name.length + 1);
      if (value === "" || /;\s*(max-age=0|expires=thu, 01 jan 1970)/i.test(set)) this.#jar.delete(name);
      else this.#jar.set(name, value);
    }
    return { status: response.status, text: (await response.text()).trim() };
  }
}

/** Starts so many sessions; answers the cookies. Where nothing makes a session, the client chooses a key. */
export async function login(
  { role }: Contender,
  port: number,
  { sessions = defaultConnections, kilobytes = 0 } = {},
): Promise<string[]> {
  const path = kilobytes > 0 ? `/start?kilobytes=${kilobytes}` : "/start";
  const cookies: string[] = [];
  const one = async (): Promise<void> => {
    const client = new Client(port);
    const made = role === "bare" || role === "limit" ? `session=${randomBytes(32).toString("base64url")}` : undefined;
    const { status } = await client.get(path, { ...(made === undefined ? {} : { cookie: made }) });
    const cookie = made ?? client.cookie;
    if (status !== 200 || cookie === "") throw new Error(`A login was answered ${status}, with cookie "${cookie}"`);
    cookies.push(cookie);
  };
  for (let begun = 0; begun < sessions; begun += 50) {
    await Promise.all(Array.from({ length: Math.min(50, sessions - begun) }, one));
  }
  return cookies;
}

/** Cookies that look like this one, with 20 other characters near the end of each value. */
export function forge(cookie: string, count: number): string[] {
  return Array.from({ length: count }, () =>
    cookie
      .split("; ")
      .map((pair) => {
        const tail = pair.slice(-21, -1).replace(/%[0-9A-F]{2}|[\w-]/g, (each) => (each.length > 1 ? each : letter()));
        return pair.slice(0, -21) + tail + pair.slice(-1);
      })
      .join("; "),
  );
}

function letter(): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return letters[Math.floor(Math.random() * letters.length)] ?? "A";
}
