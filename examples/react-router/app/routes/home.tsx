import { Form, useLoaderData, type LoaderFunctionArgs } from "react-router";
import { sessions } from "../sessions.server.ts";

export function loader({ request }: LoaderFunctionArgs) {
  const session = sessions.of(request);
  const user = session.get("user");
  if (user !== undefined) session.update("visits", (visits = 0) => visits + 1);
  return { user, visits: session.getNumber("visits") };
}

export default function Home() {
  const { user, visits } = useLoaderData<typeof loader>();
  if (user === undefined) {
    return (
      <Form method="post" action="/login">
        <p>Please log in</p>
        <input name="user" /> <button>Log in</button>
      </Form>
    );
  }
  return (
    <Form method="post" action="/logout">
      <p>{`Hello, ${user}: visit ${visits}`}</p>
      <button>Log out</button>
    </Form>
  );
}
