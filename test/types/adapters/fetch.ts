// Bun, Deno, Workers, and what else answers a Request, as the compiler is to take them. Never run.
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/fetch";

interface Data {
  userId: number;
}
const sessions = new SessionManager<Data>();

interface Env {
  DB: string;
}
interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void;
}
interface ExportedHandler<E> {
  fetch(request: Request, env: E, ctx: ExecutionContext): Response | Promise<Response>;
}
export const worker: ExportedHandler<Env> = {
  fetch: loadAndSave(sessions, async (request, env: Env, ctx: ExecutionContext) => {
    ctx.waitUntil(Promise.resolve(env.DB));
    return new Response(String(sessions.of(request).get("userId")));
  }),
};
declare const Bun: {
  serve(options: { fetch(request: Request, server: { upgrade(request: Request): boolean }): Response | Promise<Response> }): unknown; // prettier-ignore
};
Bun.serve({ fetch: loadAndSave(sessions, (request) => Response.json(sessions.of(request).get("userId"))) });
Bun.serve({ fetch: loadAndSave(sessions, (request, server: { upgrade(request: Request): boolean }) => Response.json(server.upgrade(request))) }); // prettier-ignore
declare const Deno: {
  serve(handler: (request: Request, info: { remoteAddr: object }) => Response | Promise<Response>): unknown;
};
Deno.serve(loadAndSave(sessions, () => new Response()));
export const plain: (request: Request) => Promise<Response> = loadAndSave(sessions, () => new Response());
loadAndSave(sessions, () => new Response(), { onError: () => new Response(null, { status: 503 }), skip: () => false });
