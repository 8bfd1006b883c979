import { redirect } from "@sveltejs/kit";
import type { Actions } from "./$types";

export const actions: Actions = {
  default: async ({ locals: { session }, request }) => {
    const form = await request.formData();
    session.renewToken(); // against session fixation
    session.put("user", String(form.get("user")));
    redirect(303, "/"); // leaves once it is stored
  },
};
