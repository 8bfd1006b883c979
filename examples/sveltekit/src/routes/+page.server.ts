import type { PageServerLoad } from "./$types";

export const load: PageServerLoad = ({ locals: { session } }) => {
  const user = session.get("user");
  if (user !== undefined) session.update("visits", (visits = 0) => visits + 1);
  return { user, visits: session.getNumber("visits") };
};
