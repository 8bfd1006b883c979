// What the compiler takes of the SvelteKit adapter. Never run. The types of SvelteKit itself check examples/sveltekit.
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/sveltekit";

/** As @sveltejs/kit declares them. */
type MaybePromise<T> = T | Promise<T>;
interface RequestEvent {
  cookies: { set(name: string, value: string, options: { maxAge?: number | undefined } & { path: string }): void };
  locals: { user?: string };
  request: Request;
  route: { id: string | null };
  url: URL;
  isSubRequest: boolean;
}
type Handle = (input: {
  event: RequestEvent;
  resolve: (event: RequestEvent, options?: { preload?: () => boolean }) => MaybePromise<Response>;
}) => MaybePromise<Response>;
declare function sequence(...handlers: Handle[]): Handle;
declare function error(status: number, message: string): never;

const sessions = new SessionManager<{ userId: number }>();
export const handle: Handle = loadAndSave(sessions);
export const plain = loadAndSave(sessions);
export const again: Handle = plain;
export const first: Handle = sequence(loadAndSave(sessions), ({ event, resolve }) => resolve(event));
export const all: Handle = loadAndSave(sessions, {
  skip: ({ route }: RequestEvent) => route.id === "/health",
  property: "visit",
  onError: (_error, event) => error(503, event.url.pathname),
});
export const composed = sequence(
  loadAndSave(sessions, { skip: ({ url, isSubRequest }) => isSubRequest || url.search === "" }),
);
export const other: Handle = loadAndSave(sessions, { onError: () => new Response(null, { status: 503 }) });
declare const event: RequestEvent;
export const userId: number | undefined = sessions.of(event).get("userId") ?? sessions.of(event.request).get("userId");
