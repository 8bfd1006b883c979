// Runs the sample whose file is named. Whatever port it listens on, it gets a free one, which is sent to the parent.
import { createServer, Server, type IncomingMessage, type ServerResponse } from "node:http";
import * as net from "node:net";
import { pathToFileURL } from "node:url";

type Listen = (this: net.Server, ...args: unknown[]) => net.Server;

const listen = net.Server.prototype.listen as Listen;
const listenAnywhere: Listen = function (this, _port, ...rest) {
  if (this instanceof Server) {
    this.once("listening", () => process.send?.((this.address() as net.AddressInfo).port));
    return listen.call(this, 0, "127.0.0.1", ...rest.filter((arg) => typeof arg === "function"));
  }
  return listen.call(this, _port, ...rest);
};
net.Server.prototype.listen = listenAnywhere as typeof net.Server.prototype.listen;

interface Sample {
  default?: { fetch?: (request: Request) => Promise<Response> };
}

const { fetch: serve } = ((await import(pathToFileURL(process.argv[2] ?? "").href)) as Sample).default ?? {};
if (serve !== undefined) {
  // What Bun, Deno and Workers do with such a module.
  createServer((req, res) => void answer(req, res)).listen();
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const headers = Object.entries(req.headers).map(([name, value]): [string, string] => [name, String(value)]);
  const request = new Request(`http://${req.headers.host ?? ""}${req.url ?? ""}`, { method: req.method!, headers });
  const response = await serve!(request);
  res.writeHead(response.status, [...response.headers].flat());
  res.end(await response.text());
}
