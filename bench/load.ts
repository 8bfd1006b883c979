/** Load on one server: connections that send the next request when the answer to the last one is there. */

import { connect } from "node:net";

const answerEnd = "ok\n";

/** Sends `total` requests over `connections` connections; resolves when all are answered with status 200. */
export async function load(port: number, path: string, cookie: string, total: number, connections = 16): Promise<void> {
  const head = cookie === "" ? "" : `Cookie: ${cookie}\r\n`;
  const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${head}\r\n`;
  let left = total;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      let answer = "";
      const next = (): void => {
        if (left-- > 0) socket.write(request);
        else socket.end(resolve);
      };
      socket.setNoDelay().setEncoding("latin1");
      socket.on("connect", next);
      socket.on("error", reject);
      socket.on("data", (chunk: string) => {
        answer += chunk;
        if (!answer.endsWith(answerEnd)) return;
        if (!answer.startsWith("HTTP/1.1 200")) reject(new Error(answer));
        answer = "";
        next();
      });
    });
  await Promise.all(Array.from({ length: connections }, one));
}
