/** The page: a server component, which reads the session. */

import { getSession } from "@/lib/sessions";
import { login, logout } from "./actions";

export default async function Page() {
  const session = await getSession();
  if (!session.exists("user")) {
    return (
      <form action={login}>
        <p>Please log in</p>
        <input name="user" required />
        <button>Log in</button>
      </form>
    );
  }
  return (
    <form action={logout}>
      <p>{`Hello, ${session.getString("user")}`}</p>
      <button>Log out</button>
    </form>
  );
}
