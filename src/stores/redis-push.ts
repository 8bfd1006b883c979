/** How a process hears from Redis that a session has ended: SUBSCRIBE, by each client in its way. */

/** Called with what was announced; with undefined when announcements may have been missed. */
export type Listener = (message: string | undefined) => void;

/** Subscribes to a channel; the function that it answers with ends that. */
export type Subscribe = (channel: string, listener: Listener) => Promise<() => Promise<void>>;

interface NodeRedisConnection {
  on(event: "error" | "ready", listener: () => void): unknown;
  connect(): Promise<unknown>;
  subscribe(channel: string, listener: Listener): Promise<unknown>;
  destroy(): void;
}

/** A Cluster or a Sentinel, which has a connection for this purpose. */
interface NodeRedisGroup {
  subscribe(channel: string, listener: Listener): Promise<unknown>;
  unsubscribe(channel: string, listener: Listener): Promise<unknown>;
}

interface IoRedisConnection {
  on(event: "error" | "ready", listener: () => void): unknown;
  on(event: "message", listener: (channel: string, message: string) => void): unknown;
  subscribe(channel: string): Promise<unknown>;
  disconnect(): void;
}

/** Undefined for a client that cannot subscribe. */
export function subscribeBy(client: object): Subscribe | undefined {
  const has = (name: string): boolean => name in client;
  if (has("callBuffer") && has("duplicate")) return (...to) => subscribeByIoRedis(client as never, ...to);
  if (has("nodeClient") || has("getSentinelNode")) return (...to) => subscribeByGroup(client as NodeRedisGroup, ...to);
  if (has("withTypeMapping") && has("duplicate")) return (...to) => subscribeByNodeRedis(client as never, ...to);
  return undefined;
}

async function subscribeByIoRedis(
  client: { duplicate(...options: object[]): IoRedisConnection; readonly nodes?: unknown },
  channel: string,
  listener: Listener,
): Promise<() => Promise<void>> {
  // The command waits for the connection, whatever the client's own do. A Cluster takes its nodes first.
  const options = { enableOfflineQueue: true };
  const connection = client.nodes === undefined ? client.duplicate(options) : client.duplicate([], options);
  // It connects again by itself, and subscribes again; the client's own listener hears of the same outage.
  connection.on("error", () => undefined);
  connection.on("message", (_channel, message) => listener(message));
  try {
    await connection.subscribe(channel);
  } catch (error) {
    connection.disconnect();
    throw error;
  }
  connection.on("ready", () => listener(undefined));
  return async () => connection.disconnect();
}

async function subscribeByNodeRedis(
  client: { duplicate(): NodeRedisConnection },
  channel: string,
  listener: Listener,
): Promise<() => Promise<void>> {
  const connection = client.duplicate();
  connection.on("error", () => undefined);
  try {
    await connection.connect();
    await connection.subscribe(channel, listener);
  } catch (error) {
    connection.destroy();
    throw error;
  }
  connection.on("ready", () => listener(undefined));
  return async () => connection.destroy();
}

async function subscribeByGroup(
  group: NodeRedisGroup,
  channel: string,
  listener: Listener,
): Promise<() => Promise<void>> {
  const own = (message: string | undefined): void => listener(message);
  await group.subscribe(channel, own);
  return async () => {
    await group.unsubscribe(channel, own);
  };
}
