/** Hands requests on to the applications of the test, which are found by their host. */

import { error, redirect } from "@sveltejs/kit";
import { sequence } from "@sveltejs/kit/hooks";
import { SessionManager } from "scs-session";
import { loadAndSave } from "scs-session/sveltekit";
import { building } from "$app/environment";

globalThis.sveltekit = { error, redirect };

const refuse = () => Promise.reject(new Error("The store is called at build time."));
const store = { find: refuse, commit: refuse, delete: refuse };
const atBuildTime = building ? loadAndSave(new SessionManager({ store, sweepInterval: false })) : undefined;

export const handle = (input) =>
  atBuildTime?.(input) ?? sequence(...globalThis.applications.get(input.event.url.host).hooks)(input);

export const handleError = ({ error, event }) =>
  globalThis.applications?.get(event.url.host).onError(error, event) ?? { message: error.message };
