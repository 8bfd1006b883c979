import { cookies } from "next/headers";
import { forbidden, notFound, permanentRedirect, redirect, unauthorized } from "next/navigation";
import { loadAndSave, readSession } from "scs-session/next";
import { clients, sessions } from "../../../../lib/sessions";

const answers = {
  redirect: () => redirect("/site?a=1;b=2"),
  permanent: () => permanentRedirect("/site"),
  missing: () => notFound(),
  forbidden: () => forbidden(),
  unauthorized: () => unauthorized(),
  fail: () => {
    throw new Error("broken");
  },
  own: async () => {
    (await cookies()).set("own", "yes");
    return new Response("own");
  },
  read: async () => Response.json((await readSession(sessions)).getNumber("n")),
  nothing: () => undefined,
  guarded: () => new Response("inside"),
};

const answer = loadAndSave(sessions, async (request, { params }) => {
  sessions.of(request).update("n", (n = 0) => n + 1);
  return answers[(await params).what]();
});

export { answer as GET, answer as POST };

export const PUT = loadAndSave(
  sessions,
  async () => {
    sessions.current().update("n", (n = 0) => n + 1);
    return new Response("put");
  },
  { onError: (error) => Response.json({ code: error.code }, { status: 502 }) },
);

/** With a header, which a redirect has, too. */
export const DELETE = loadAndSave(clients, async (request) => {
  clients.of(request).put("n", 1);
  redirect("/site");
});
