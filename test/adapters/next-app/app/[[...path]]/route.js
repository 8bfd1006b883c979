// Serves the applications of the adapter contract, which the test puts where this finds them.
import { redirect } from "next/navigation";
import { loadAndSave } from "scs-session/next";

async function serve(request, context) {
  const { managers, skip, answer } = globalThis.contractApps.get(request.headers.get("host"));
  let handler = async (request) => {
    const { redirectTo, response } = await answer(request);
    if (redirectTo !== undefined) redirect(redirectTo);
    return response;
  };
  for (const manager of managers.toReversed()) handler = loadAndSave(manager, handler, { skip });
  return handler(request, context);
}

export { serve as GET, serve as POST };
