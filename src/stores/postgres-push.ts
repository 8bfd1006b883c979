/** How a process hears from PostgreSQL that a session has ended: LISTEN, by each client in its way. */

/** Called with what was announced; with undefined when announcements may have been missed. */
export type Listener = (payload: string | undefined) => void;

/** Begins to listen to a channel; the function that it answers with ends that. */
export type Listen = (channel: string, listener: Listener) => Promise<() => Promise<void>>;

interface PgNotification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

/** A `Client` of pg, and what its pool lends. */
interface PgConnection {
  query(text: string): Promise<unknown>;
  on(event: "notification", listener: (message: PgNotification) => void): unknown;
  on(event: "error" | "end", listener: () => void): unknown;
  off(event: "notification", listener: (message: PgNotification) => void): unknown;
  /** Of a pool only. */
  release?(destroy: boolean): void;
}

interface PgPool {
  connect(): Promise<PgConnection>;
}

interface PostgresJs {
  listen(
    channel: string,
    listener: Listener,
    onListen: () => void,
  ): Promise<{ readonly unlisten: () => Promise<void> }>;
}

interface PGlite {
  listen(channel: string, listener: Listener): Promise<() => Promise<void>>;
}

/** How long to wait before a lost connection is asked for again. */
const pause = 1_000;

/** Undefined for a client that cannot listen. */
export function listenBy(client: object): Listen | undefined {
  const has = (name: string): boolean => name in client;
  if (has("totalCount")) return (...to) => listenByPool(client as PgPool, ...to);
  if (has("listen") && has("unsafe")) {
    return async (channel, listener) => {
      const { unlisten } = await (client as PostgresJs).listen(channel, listener, () => listener(undefined));
      return unlisten;
    };
  }
  if (has("listen") && has("waitReady")) return (channel, listener) => (client as PGlite).listen(channel, listener);
  if (has("connect") && has("on")) return (...to) => listenByClient(client as PgConnection, ...to);
  return undefined;
}

/** On the connection that the client is. */
async function listenByClient(client: PgConnection, channel: string, listener: Listener): Promise<() => Promise<void>> {
  const onNotification = (message: PgNotification): void => {
    if (message.channel === channel) listener(message.payload);
  };
  client.on("notification", onNotification);
  await client.query(`LISTEN ${channel}`);
  return async () => {
    client.off("notification", onNotification);
    await client.query(`UNLISTEN ${channel}`);
  };
}

/** Keeps a connection of the pool, and asks for another one when it is lost. */
async function listenByPool(pool: PgPool, channel: string, listener: Listener): Promise<() => Promise<void>> {
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  let giveBack: () => void = () => undefined;

  const begin = async (): Promise<void> => {
    const connection = await pool.connect();
    const lost = new Promise<void>((resolve) => {
      giveBack = resolve;
      // Without a listener of its own, a connection that is lost would end the process.
      connection.on("error", resolve);
      connection.on("end", resolve);
    });
    try {
      await listenByClient(connection, channel, listener);
    } catch (error) {
      connection.release?.(true);
      throw error;
    }
    void lost.then(() => {
      connection.release?.(true);
      if (!isOver) beginAgain();
    });
    if (isOver) giveBack();
  };
  const beginAgain = (): void => {
    timer = setTimeout(() => void begin().then(() => listener(undefined), beginAgain), pause);
    timer.unref();
  };

  await begin();
  return async () => {
    isOver = true;
    clearTimeout(timer);
    giveBack();
  };
}
