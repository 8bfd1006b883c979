/** Loads the session before load functions and actions, and saves it before the response leaves. */

import type { Handle } from "@sveltejs/kit";
import { loadAndSave } from "scs-session/sveltekit";
import { sessions } from "$lib/server/sessions";

export const handle: Handle = loadAndSave(sessions);
