// The adapter of Next.js, as far as it goes without Next; test/examples/next.test.ts has the rest.
import { SessionManager } from "scs-session";
import { MemoryStore } from "scs-session/memory";
import { loadAndSave, readSession } from "scs-session/next";
import { expect, test } from "vitest";
import { setup } from "./support.ts";

test("a manager with the default store is refused, and told what to do", async () => {
  const sessions = new SessionManager();
  const refused = expect.objectContaining({ code: "invalid-option", message: expect.stringContaining("MemoryStore.shared()") as string }) as Error; // prettier-ignore
  expect(() => loadAndSave(sessions, () => 1)).toThrow(refused);
  await expect(readSession(sessions)).rejects.toThrow(refused);
});

test("other frameworks' arguments are refused, naming the right import", async () => {
  const { sessions } = setup();
  const wrong = (text: string): Error =>
    expect.objectContaining({ code: "wrong-adapter", message: expect.stringContaining(text) as string }) as Error;
  expect(() => loadAndSave({} as never, () => 1)).toThrow(wrong("scs-session/next"));
  expect(() => loadAndSave(sessions, { skip: () => true } as never)).toThrow(wrong("none of the arguments"));
  await expect(readSession({} as never)).rejects.toThrow(wrong("scs-session/next"));
  // As API routes of the Pages Router are called.
  const handler = loadAndSave(sessions, (..._: unknown[]) => "handled");
  await expect(handler({ socket: {} }, { writeHead: () => {} })).rejects.toThrow(wrong('"scs-session/node"'));
});

test("a route handler is a handler of fetch", async () => {
  const { sessions } = setup();
  const GET = loadAndSave(sessions, (request: Request, context: { params: Promise<{ id: string }> }) =>
    context.params.then(({ id }) => {
      sessions.of(request).put("user", id);
      return new Response(id);
    }),
  );
  const response = await GET(new Request("http://localhost/"), { params: Promise.resolve({ id: "anna" }) });
  expect([await response.text(), response.headers.getSetCookie().length]).toEqual(["anna", 1]);
});

test("what a request throws while Next looks whether a route is static goes to Next", async () => {
  const { sessions } = setup();
  const bailout = new Error("dynamic");
  const request = new Request("http://localhost/");
  const get = (): never => {
    throw bailout;
  };
  Object.assign(request.headers, { get });
  await expect(loadAndSave(sessions, (_: Request) => new Response())(request)).rejects.toBe(bailout);
});

test("copies of a module share a MemoryStore by its name", async () => {
  const store = MemoryStore.shared("copies");
  expect(MemoryStore.shared("copies")).toBe(store);
  expect(MemoryStore.shared("others")).not.toBe(store);
  const [one, two] = [new SessionManager({ store }), new SessionManager({ store: MemoryStore.shared("copies") })];
  const session = await one.load();
  session.put("user", "anna");
  const { token } = await one.commit(session);
  expect((await two.load(token)).get("user")).toBe("anna");
});
