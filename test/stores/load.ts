/** Visitors of a site, who remember what they were promised. */

import { setTimeout as wait } from "node:timers/promises";
import { expect } from "vitest";
import { waitUntil } from "../servers/server.ts";
import type { Site } from "./site.ts";

/** How long a store call may take before the request is answered with an error. */
export const storeTimeout = 2_000;

const visitors = 16;

/** Visitors who log in, write, read, and sometimes log out, again and again, and what came of it. */
export class Load {
  #site: Site;
  readonly #name: string;
  readonly #running: Promise<void>[];
  /** Sessions whose Set-Cookie came with a 200, and those whose end did. */
  readonly #promised = new Map<string, string>();
  readonly #ended = new Set<string>();
  #stopped = false;
  #started = 0;
  #answered = 0;
  #refused = 0;
  #slowest = 0;
  #unanswered = 0;

  constructor(site: Site, name: string) {
    this.#site = site;
    this.#name = name;
    this.#running = Array.from({ length: visitors }, () => this.#visitor());
  }

  /** Waits for so many more answers that are no errors; answers how long that took, in milliseconds. */
  async goesOn(number = 300): Promise<number> {
    const [start, enough] = [performance.now(), this.#answered + number];
    await waitUntil("visitors are served", async () => this.#answered >= enough);
    return performance.now() - start;
  }

  /** Leads the visitors to another process. */
  moveTo(site: Site): void {
    this.#site = site;
  }

  /** Ends the visits, checks what was promised, and says what was seen. `lossy`: sessions may be lost, and are counted. */
  async finish(recovery: number, { lossy = false, interrupted = false } = {}): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    const [kept, ended] = await Promise.all([this.#count(this.#promised.keys()), this.#count(this.#ended)]);
    const lost = this.#promised.size - kept;
    console.log(
      `${this.#name}: ${this.#answered} answered, ${this.#refused} refused, slowest ${Math.round(this.#slowest)} ms, ` +
        `served again after ${Math.round(recovery)} ms; of ${this.#promised.size} promised sessions ${lost} lost, ` +
        `of ${this.#ended.size} ended ${ended} alive`,
    );
    if (!lossy) expect({ lost, alive: ended }).toEqual({ lost: 0, alive: 0 });
    if (!interrupted) expect(this.#unanswered).toBe(0);
    expect(this.#slowest).toBeLessThan(2 * storeTimeout + 2_000); // to load and to commit; and a slow machine
  }

  async #visitor(): Promise<void> {
    while (!this.#stopped) {
      const user = `visitor-${++this.#started}`;
      const { token = "" } = await this.#visit(`login?user=${user}`);
      if (token === "") continue;
      this.#promised.set(token, user);
      await this.#visit(`put?key=${user}`, token);
      await this.#visit("read", token);
      if (this.#started % 3 !== 0) continue;
      this.#promised.delete(token);
      if ((await this.#visit("logout", token)).token === "") this.#ended.add(token);
    }
  }

  /** A visit that was answered with 200; of others nothing is believed. */
  async #visit(path: string, token?: string): Promise<{ readonly token?: string | undefined }> {
    const start = performance.now();
    try {
      const answer = await this.#site.visit(path, token);
      this.#slowest = Math.max(this.#slowest, performance.now() - start);
      if (answer.status === 200) {
        this.#answered++;
        return answer;
      }
      expect([answer.status, answer.token]).toEqual([503, undefined]);
      this.#refused++;
    } catch (error) {
      if (error instanceof TypeError) this.#unanswered++;
      else throw error;
    }
    await wait(20); // as people do
    return {};
  }

  /** How many of these sessions are alive, with the user that they were begun for. */
  async #count(tokens: Iterable<string>): Promise<number> {
    let alive = 0;
    const left = [...tokens];
    const read = async (): Promise<void> => {
      for (let token = left.pop(); token !== undefined; token = left.pop()) {
        const { status, userId } = await this.#site.visit("read", token);
        expect(status).toBe(200);
        if (userId !== undefined) alive++;
        if (this.#promised.has(token) && userId !== undefined) expect(userId).toBe(this.#promised.get(token));
      }
    };
    await Promise.all(Array.from({ length: visitors }, read));
    return alive;
  }
}
