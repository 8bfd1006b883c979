// Which client of node-redis is asked: one that has the options of each command, unless the application has wrapped its own.
import { createClient, createClientPool } from "redis";
import { SessionManager } from "scs-session";
import { RedisStore, type NodeRedisClient } from "scs-session/redis";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

describe("the client of node-redis", () => {
  class Client implements NodeRedisClient {
    readonly own: readonly string[];
    static readonly calls: [ofClient: readonly string[], ofCommand: readonly string[]][] = [];

    constructor(own: object = {}) {
      this.own = Object.keys(own);
    }

    withTypeMapping(): unknown {
      return this;
    }

    withCommandOptions(options: object): unknown {
      return new Client(options);
    }

    async sendCommand(_command: never, options?: object): Promise<unknown> {
      Client.calls.push([this.own, Object.keys(options ?? {})]);
      return undefined;
    }
  }

  beforeEach(() => void Client.calls.splice(0));

  async function commitThrough(client: NodeRedisClient): Promise<void> {
    const sessions = new SessionManager<{ user: number }>({ sweepInterval: false, store: new RedisStore(client) });
    const session = await sessions.load();
    session.put("user", 1);
    await sessions.commit(session);
    await sessions.close();
  }

  test("has no option of a command to add to its own, which would take a microsecond", async () => {
    await commitThrough(new Client());
    const [[ofClient, ofCommand] = [[], []], ...more] = Client.calls;
    expect(more).toEqual([]);
    expect(ofCommand).toEqual(expect.arrayContaining(["typeMapping", "abortSignal", "timeout"]));
    expect(ofClient).toEqual(expect.arrayContaining([...ofCommand]));
  });

  test.each<[string, NodeRedisClient]>([
    ["createClient", createClient()],
    ["createClientPool", createClientPool()],
  ])("gives way to one derived from it, when made by %s", async (_, client) => {
    let maker: object = client;
    while (!Object.hasOwn(maker, "sendCommand")) maker = Object.getPrototypeOf(maker) as object;
    const sent = vi.spyOn(maker as NodeRedisClient, "sendCommand").mockResolvedValue(undefined);
    onTestFinished(() => sent.mockRestore());
    await commitThrough(client);
    expect(sent.mock.contexts).toEqual([expect.any(Object)]);
    expect(sent.mock.contexts).not.toContain(client);
  });

  test.each<[string, (sent: () => void) => NodeRedisClient]>([
    [
      "a method of its own",
      (sent) => {
        const client = new Client();
        const { sendCommand } = client;
        client.sendCommand = (...given) => (sent(), sendCommand.apply(client, given));
        return client;
      },
    ],
    [
      "a Proxy",
      (sent) =>
        new Proxy(new Client(), {
          get(client, name) {
            const value: unknown = Reflect.get(client, name);
            if (name !== "sendCommand") return value;
            return (...given: Parameters<Client["sendCommand"]>) => (sent(), client.sendCommand(...given));
          },
        }),
    ],
    [
      "an object without its other methods",
      (sent) => ({ sendCommand: async () => sent(), withTypeMapping: () => null }),
    ],
  ])("is asked by way of what was wrapped around it: %s", async (_, wrap) => {
    let isSent = false;
    await commitThrough(wrap(() => (isSent = true)));
    expect(isSent).toBe(true);
  });

  test("may be replaced behind a Proxy, and be made after the store", async () => {
    let current: Client | undefined;
    const client = new Proxy<NodeRedisClient>(Object.create(null) as NodeRedisClient, {
      get: (_, name) => Reflect.get(current ?? Client.prototype, name) as unknown,
    });
    const store = new RedisStore(client);
    const options = { onAbort: () => undefined, signal: new AbortController().signal, aborted: false };
    for (const name of ["first", "second"]) {
      current = new Client({ [name]: true });
      await store.commit("token", { data: Buffer.of(1), expiry: new Date(1) }, options);
    }
    expect(Client.calls.map(([ofClient]) => ofClient)).toEqual([["first"], ["second"]]);
  });
});
