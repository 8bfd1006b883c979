/** Visitors of a site, who remember what they were promised. */

import { setTimeout as wait } from "node:timers/promises";
import { expect } from "vitest";
import { waitUntil } from "../servers/server.ts";
import type { Answer, Site } from "./site.ts";

/** How long a store call may take before the request is answered with an error. */
export const storeTimeout = 2_000;

const visitors = 16;

/** What was promised of a session with a Set-Cookie or a 200. */
interface Promised {
  readonly user: string;
  /** Keys that were put. */
  readonly keys: Set<string>;
}

/** When the site was back after a moment, in milliseconds. */
export interface Recovery {
  /** The first good answer to a request of after it. */
  readonly first: number;
  /** The last refusal; undefined if there was none. */
  readonly lastRefusal: number | undefined;
}

/** Visitors who log in, write, read, and sometimes log out, again and again, and what came of it. */
export class Load {
  #site: Site;
  readonly #name: string;
  readonly #running: Promise<void>[];
  readonly #promised = new Map<string, Promised>();
  /** Sessions whose end was promised. */
  readonly #ended = new Set<string>();
  readonly #answers: { readonly began: number; readonly ended: number; readonly isGood: boolean }[] = [];
  /** By how many time limits their requests are under: one to load, one to commit. */
  readonly #slowest = { 1: 0, 2: 0 };
  #stopped = false;
  #started = 0;
  #unanswered = 0;

  constructor(site: Site, name: string) {
    this.#site = site;
    this.#name = name;
    this.#running = Array.from({ length: visitors }, () => this.#visitor());
  }

  /** Waits for so many good answers to requests begun since a moment of `performance.now()`. */
  async goesOn(since = performance.now(), number = 300): Promise<Recovery> {
    const later = () => this.#answers.filter(({ began }) => began >= since);
    await waitUntil("visitors are served", async () => later().filter(({ isGood }) => isGood).length >= number);
    const after = (isGood: boolean): number[] =>
      later().flatMap((answer) => (answer.isGood === isGood ? [answer.ended - since] : []));
    return { first: Math.min(...after(true)), lastRefusal: after(false).at(-1) };
  }

  /** Leads the visitors to another process. */
  moveTo(site: Site): void {
    this.#site = site;
  }

  /**
   * Ends the visits, checks what was promised, and says what was seen. `lossy`: what was promised may be lost, and is
   * counted. `tolerance`: what an answer may take beyond the time limits of its request, on a machine that is busy.
   */
  async finish(
    recoveries: readonly Recovery[],
    { lossy = false, interrupted = false, tolerance = 500 } = {},
  ): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    const puts = [...this.#promised.values()].reduce((sum, { keys }) => sum + keys.size, 0);
    const [kept, ended] = [await this.#read(this.#promised.keys()), await this.#read(this.#ended)];
    const lost = { sessions: this.#promised.size - kept.alive, puts: kept.lostPuts, logouts: ended.alive };
    const good = this.#answers.filter(({ isGood }) => isGood).length;
    const back = recoveries.map(({ first, lastRefusal }) => {
      const refusal = lastRefusal === undefined ? "none" : `${Math.round(lastRefusal)} ms`;
      return `first good answer after ${Math.round(first)} ms, last refusal ${refusal}`;
    });
    console.log(
      `${this.#name}: ${good} answered, ${this.#answers.length - good} refused, slowest of one time limit ` +
        `${Math.round(this.#slowest[1])} ms, of two ${Math.round(this.#slowest[2])} ms; ${back.join("; ")}; lost of what was ` +
        `promised: ${lost.sessions} of ${this.#promised.size} sessions, ${lost.puts} of ${puts} puts, ` +
        `${lost.logouts} of ${this.#ended.size} logouts`,
    );
    if (!lossy) expect(lost).toEqual({ sessions: 0, puts: 0, logouts: 0 });
    if (!interrupted) expect(this.#unanswered).toBe(0);
    expect(this.#slowest[1]).toBeLessThan(storeTimeout + tolerance);
    expect(this.#slowest[2]).toBeLessThan(2 * storeTimeout + tolerance);
  }

  async #visitor(): Promise<void> {
    while (!this.#stopped) {
      const user = `visitor-${++this.#started}`;
      const login = await this.#visit(1, `login?user=${user}`);
      if (login?.token === undefined) continue;
      const { token } = login;
      const promised: Promised = { user, keys: new Set() };
      this.#promised.set(token, promised);
      for (const key of ["first", "second"]) {
        if ((await this.#visit(2, `put?key=${key}`, token)) !== undefined) promised.keys.add(`key-${key}`);
      }
      await this.#visit(1, "read", token);
      if (this.#started % 3 !== 0) continue;
      this.#promised.delete(token);
      if ((await this.#visit(2, "logout", token))?.token === "") this.#ended.add(token);
    }
  }

  /** A visit that was answered with 200; of others nothing is believed. */
  async #visit(limits: 1 | 2, path: string, token?: string): Promise<Answer | undefined> {
    const began = performance.now();
    const answer = await this.#site.visit(path, token).catch((error: unknown) => {
      if (!(error instanceof TypeError)) throw error;
      this.#unanswered++;
    });
    const ended = performance.now();
    if (answer !== undefined) {
      this.#slowest[limits] = Math.max(this.#slowest[limits], ended - began);
      this.#answers.push({ began, ended, isGood: answer.status === 200 });
      if (answer.status === 200) return answer;
      expect([answer.status, answer.token]).toEqual([503, undefined]);
    }
    await wait(20); // as people do
    return undefined;
  }

  /** How many of these sessions are alive, with the user that they were begun for, and how many puts those have lost. */
  async #read(tokens: Iterable<string>): Promise<{ readonly alive: number; readonly lostPuts: number }> {
    let [alive, lostPuts] = [0, 0];
    const left = [...tokens];
    const read = async (): Promise<void> => {
      for (let token = left.pop(); token !== undefined; token = left.pop()) {
        const { status, userId, keys = [] } = await this.#site.visit("read", token);
        expect(status).toBe(200);
        if (userId === undefined) continue;
        alive++;
        const promised = this.#promised.get(token);
        if (promised === undefined) continue;
        expect(userId).toBe(promised.user);
        lostPuts += [...promised.keys].filter((key) => !keys.includes(key)).length;
      }
    };
    await Promise.all(Array.from({ length: visitors }, read));
    return { alive, lostPuts };
  }
}
