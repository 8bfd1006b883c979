// adapterContract: the cases of what leaves early, and of what breaks off, find the adapter that gets it wrong.
import { createAdaptorServer } from "@hono/node-server";
import { loadAndSave } from "scs-session/fetch";
import { adapterContract } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import { listen } from "./adapters/harness/tools.ts";
import { fetchApp, type FetchAdapter } from "./adapters/harness/web.ts";

/** An adapter that changes what the real one hands on, where that has to do with a session. */
const changing =
  (change: (response: Response) => Response | Promise<Response>): FetchAdapter =>
  (manager, handler, { skip }) => {
    const right = loadAndSave(manager, handler, { skip });
    return async (request) => {
      const response = await right(request);
      return skip(request) || response.body === null ? response : change(response);
    };
  };

/** A body that the adapter reads itself; `onError` says what it does about an error. */
const passedOn = (onError: (end: () => void) => void) => (response: Response) => {
  const reader = response.body!.getReader();
  const body = new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = (await reader.read()) as { done: boolean; value: Uint8Array };
        if (done) controller.close();
        else controller.enqueue(value);
      } catch {
        onError(() => controller.close());
      }
    },
  });
  return new Response(body, response);
};

/** The response does not wait for the store. */
const hasty: FetchAdapter = (manager, handler) => async (request) => {
  const header = (name: string): string | undefined => request.headers.get(name) ?? undefined;
  const exchange = await manager.open({ header, isSecure: () => false, keys: [request] });
  const response = await exchange.run(() => handler(request));
  void exchange.commit();
  return response;
};

const withoutCookie = changing((response) => {
  const headers = new Headers(response.headers);
  headers.delete("set-cookie");
  return new Response(response.body, { status: response.status, headers });
});

const early = "a first piece that is sent early";
const flushed = "a head that is flushed";
const broken = "an error after the first byte";
const whole = changing(async (response) => new Response(await response.clone().text(), response));

describe.concurrent("an adapter that", () => {
  test.each<[what: string, adapter: FetchAdapter, begin: string, reason: string]>([
    ["sends before it stores", hasty, early, "the head, before the session is stored: true"],
    ["flushes before it stores", hasty, flushed, "the head, before the session is stored: true"],
    ["forgets the cookie of what is sent early", withoutCookie, early, "the number of cookies: 0"],
    ["forgets the cookie of what is flushed", withoutCookie, flushed, "the number of cookies: 0"],
    ["waits for the whole body", whole, early, "until the head is there"],
    ["waits for a body before the head", whole, flushed, "until the head is there"],
    ["hides that a body has failed", changing(passedOn((end) => end())), broken, 'how /stream ends: "as if it were'],
    ["hangs when a body has failed", changing(passedOn(() => undefined)), broken, "until /stream ends"],
    ["waits for the whole of a body that fails", whole, broken, "until /stream begins"],
  ])("%s is found out", async (_, adapter, begin, reason) => {
    const [found, ...more] = adapterContract((app) =>
      listen(createAdaptorServer({ fetch: fetchApp(app, adapter), overrideGlobalObjects: false }) as never),
    ).filter(({ name }) => name.startsWith(begin));
    expect(more).toEqual([]);
    await expect(found!.run()).rejects.toThrow(reason);
  });
});
