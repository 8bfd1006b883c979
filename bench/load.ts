/** Load on one server: connections that send the next request when the answer to the last one is there. */

import { connect } from "node:net";

export interface Load {
  readonly port: number;
  /** A connection takes them in turns. */
  readonly paths: readonly string[];
  /**
   * Headers, "" for none. Where there are at least as many as connections, no two connections use the same one; where there
   * is one, all do.
   */
  readonly cookies: readonly string[];
  /** Ends after so many requests, or so many seconds, whichever comes first. */
  readonly total?: number;
  readonly seconds?: number;
  readonly connections?: number;
}

export interface Answers {
  readonly requests: number;
  readonly seconds: number;
  /** Of the time to the answer, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers whose status was not 200, and the first line of the first one. */
  readonly failures: number;
  readonly failure: string | undefined;
}

export const defaultConnections = 16;

/** The whole load is cut off so much later than it should have ended. */
const grace = 10;

export async function load(given: Load): Promise<Answers> {
  const { port, paths, cookies, total = Infinity, seconds = 30, connections = defaultConnections } = given;
  const times: number[] = [];
  let left = total;
  let failures = 0;
  let failure: string | undefined;
  const begin = performance.now();
  const end = begin + seconds * 1_000;

  const one = (connection: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      let [answer, sent, isChunked, at] = ["", 0, undefined as boolean | undefined, 0];
      const next = (): void => {
        at = performance.now();
        if (at >= end || left-- <= 0) {
          socket.destroy();
          resolve();
          return;
        }
        const path = paths[(connection + sent) % paths.length] ?? "/";
        const cookie = cookies[(connection + sent * connections) % cookies.length] ?? "";
        sent++;
        const head = cookie === "" ? "" : `Cookie: ${cookie}\r\n`;
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${head}\r\n`);
      };
      socket.setNoDelay().setEncoding("latin1");
      socket.setTimeout((seconds + grace) * 1_000, () => socket.destroy(new Error("The server does not answer")));
      socket.on("connect", next);
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("The server closed the connection"))); // of no effect when resolved
      socket.on("data", (chunk: string) => {
        answer += chunk;
        isChunked ??= /\r\ntransfer-encoding: chunked\r\n/i.test(answer);
        if (!isComplete(answer, isChunked)) return;
        if (!answer.startsWith("HTTP/1.1 200")) {
          failures++;
          failure ??= answer.slice(0, answer.indexOf("\r\n"));
        }
        [answer, isChunked] = ["", undefined];
        times.push(performance.now() - at);
        next();
      });
    });
  await Promise.all(Array.from({ length: connections }, (_, connection) => one(connection)));

  const duration = (performance.now() - begin) / 1_000;
  times.sort((a, b) => a - b);
  const percentile = (part: number): number => times[Math.floor(times.length * part)] ?? NaN;
  return {
    requests: times.length,
    seconds: duration,
    p50: percentile(0.5),
    p99: percentile(0.99),
    failures,
    failure,
  };
}

function isComplete(answer: string, isChunked: boolean): boolean {
  if (isChunked) return answer.endsWith("0\r\n\r\n");
  if (answer.endsWith("ok\n")) return true;
  if (answer.startsWith("HTTP/1.1 200")) return false;
  const head = answer.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
  return head >= 0 && length !== undefined && answer.length >= head + 4 + Number(length);
}
