// The proxy that fails on demand, before a server that answers every line with that line.
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startProxy, type Proxy } from "./proxy.ts";

/** A connection that collects what it receives. */
class Client {
  readonly socket: Socket;
  received = "";
  error: NodeJS.ErrnoException | undefined;

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (chunk) => (this.received += String(chunk)));
    this.socket.on("error", (error) => (this.error = error));
    onTestFinished(() => void this.socket.destroy());
  }

  /** Sends a line, and answers the one that comes back. */
  async ask(line: string): Promise<string> {
    const already = this.received.length;
    this.socket.write(`${line}\n`);
    while (!this.received.endsWith("\n") || this.received.length === already) await once(this.socket, "data");
    return this.received.slice(already, -1);
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
  }
}

async function setup(): Promise<{ proxy: Proxy; port: number }> {
  const echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const { port } = echo.address() as AddressInfo;
  const proxy = await startProxy(`redis://user@127.0.0.1:${port}/3`);
  onTestFinished(async () => {
    await proxy.stop();
    echo.close();
  });
  return { proxy, port };
}

test("passes everything on, under the target's address with its own port", async () => {
  const { proxy } = await setup();
  expect(proxy.url).toBe(`redis://user@127.0.0.1:${proxy.port}/3`);
  const client = new Client(proxy.port);
  expect(await client.ask("a")).toBe("a");
  const long = "x".repeat(1_000_000);
  expect(await client.ask(long)).toBe(long);
});

test("hangs connections that exist and new ones, and passes on what was held back", async () => {
  const { proxy, port } = await setup();
  const direct = new Client(port);
  const before = new Client(proxy.port);
  await before.ask("a");
  proxy.hang();
  const after = new Client(proxy.port);
  const answers = Promise.all([before.ask("b"), after.ask("c")]);
  for (let turn = 0; turn < 50; turn++) await direct.ask("direct");
  expect([before.received, after.received, after.socket.readyState]).toStrictEqual(["a\n", "", "open"]);
  proxy.pass();
  expect(await answers).toStrictEqual(["b", "c"]);
});

test("tells that it holds something back, before and after it was asked", async () => {
  const { proxy } = await setup();
  const client = new Client(proxy.port);
  await client.ask("before");
  for (const line of ["a", "b"]) {
    proxy.hang();
    const told = Promise.race([proxy.held().then(() => "held"), new Promise((resolve) => setImmediate(resolve))]);
    expect(await told).toBeUndefined(); // nothing was sent since
    const answer = client.ask(line);
    await proxy.held();
    await proxy.held();
    proxy.pass();
    expect(await answer).toBe(line);
  }
});

test("hides the end of the server while it hangs", async () => {
  const { proxy, port } = await setup();
  const direct = new Client(port);
  const client = new Client(proxy.port);
  await client.ask("a");
  proxy.hang();
  client.socket.end();
  for (let turn = 0; turn < 50; turn++) await direct.ask("direct");
  expect(client.socket.readyState).toBe("readOnly");
  proxy.pass();
  await client.closed();
});

test("delays replies", async () => {
  const { proxy } = await setup();
  const client = new Client(proxy.port);
  await client.ask("a");
  proxy.delay(60);
  const start = performance.now();
  expect(await client.ask("b")).toBe("b");
  expect(performance.now() - start).toBeGreaterThan(55);
});

test("resets connections that exist and new ones, until it is told to pass", async () => {
  const { proxy } = await setup();
  const before = new Client(proxy.port);
  await before.ask("a");
  proxy.reset();
  await before.closed();
  expect(before.error?.code).toBe("ECONNRESET");
  const after = new Client(proxy.port);
  await after.closed();
  proxy.pass();
  expect(await new Client(proxy.port).ask("b")).toBe("b");
});

test("cuts a reply in the middle, whatever came before", async () => {
  const { proxy } = await setup();
  const before = new Client(proxy.port);
  await before.ask("before");
  proxy.cutReplyAfter(5);
  for (const client of [before, new Client(proxy.port)]) {
    const already = client.received;
    client.socket.write("ab\n");
    client.socket.write("cdefg\n");
    await client.closed();
    expect(client.received.slice(already.length)).toBe("ab\ncd");
  }
});

test("ends the connection when the server is down", async () => {
  const { proxy, port } = await setup();
  const target = await startProxy(`tcp://127.0.0.1:${port}`);
  await target.stop();
  const unreachable = await startProxy(target.url);
  onTestFinished(() => unreachable.stop());
  await new Client(unreachable.port).closed();
  expect(await new Client(proxy.port).ask("a")).toBe("a");
});
