import { redirect } from "@sveltejs/kit";
import type { Actions } from "./$types";

export const actions: Actions = {
  default: ({ locals: { session } }) => {
    session.destroy();
    redirect(303, "/");
  },
};
