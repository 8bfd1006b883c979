import { readSession } from "scs-session/next";
import { sessions } from "../../lib/sessions";
import * as actions from "./actions";

export default async function Page() {
  const session = await readSession(sessions);
  let code = "";
  try {
    session.put("n", 1);
  } catch (error) {
    code = error.code;
  }
  return (
    <main>
      <p>{`user=${session.getString("user")} n=${session.getNumber("n")} put=${code}`}</p>
      {Object.entries(actions).map(([name, action]) => (
        <form key={name} id={name} action={action}>
          <input name="user" />
        </form>
      ))}
    </main>
  );
}
