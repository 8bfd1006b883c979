"use server";

import { forbidden, notFound, redirect } from "next/navigation";
import { cookies } from "next/headers";
import { loadAndSave, readSession } from "scs-session/next";
import { admins, clients, sessions } from "../../lib/sessions";

const count = () => sessions.current().update("n", (n = 0) => n + 1);

export const login = loadAndSave(sessions, async (form) => {
  sessions.current().renewToken();
  sessions.current().put("user", form.get("user"));
  redirect("/site");
});

export const logout = loadAndSave(sessions, async () => sessions.current().destroy());

export const add = loadAndSave(sessions, async () => {
  count();
  return `n is ${sessions.current().getNumber("n")}`;
});

export const look = loadAndSave(sessions, async () => `user is ${sessions.current().getString("user")}`);

export const fail = loadAndSave(sessions, async () => {
  count();
  throw new Error("broken");
});

export const missing = loadAndSave(sessions, async () => {
  count();
  notFound();
});

export const refuse = loadAndSave(sessions, async () => {
  count();
  forbidden();
});

export const withCookie = loadAndSave(sessions, async () => {
  count();
  (await cookies()).set("own", "yes");
});

/** One inside of the other: one session. */
export const nested = loadAndSave(sessions, async () => {
  count();
  await add();
  return `read ${(await readSession(sessions)).getNumber("n")}`;
});

/** One after the other: each is stored, and the second one finds what the first has put. */
export async function sequence() {
  await add();
  return add();
}

export const both = loadAndSave(
  admins,
  loadAndSave(sessions, async () => {
    count();
    admins.current().put("n", 10);
  }),
);

export const byHeader = loadAndSave(clients, async () => clients.current().put("n", 1));

/** What an action throws, which Next does not tell the client. */
export async function codes() {
  const codeOf = (action) =>
    action().then(
      () => "nothing",
      ({ name, code, message, digest }) => `${code ?? digest ?? name}: ${message}`,
    );
  return JSON.stringify([await codeOf(byHeader), await codeOf(add), await codeOf(missing)]);
}
