// What the compiler says about sessions. Never run; the number behind "@ts-expect-error" is that of the error.
/* eslint @typescript-eslint/no-unused-vars: "off" -- some values are there for their types */
/* eslint @typescript-eslint/no-unsafe-call: "off", @typescript-eslint/no-unused-expressions: "off" -- what is expected to fail */
import { SessionManager, type DeepReadonly, type KeyOf, type Session, type SessionOf, type ValueOf } from "scs-session";

/** Whether two types are one and the same. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- how identity of types is asked for
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(..._: Same<A, B> extends true ? [] : [never]): void;

interface User {
  name: string;
  tags: string[];
}
interface Data {
  userId: number;
  name: string;
  cart: string[];
  user?: User;
  theme: "light" | "dark";
  idOrName: number | string;
  maybe: number | undefined;
  nullable: number | null;
  admin: boolean;
  big: bigint;
  bytes: Uint8Array;
  buffer: Buffer;
  since: Date;
  rights: Map<string, Set<User>>;
  pair: [number, User];
  anything: unknown;
}

const sessions = new SessionManager<Data>({ subject: (data) => data.userId });
const session = await sessions.load();

// Keys and values of put.
session.put("userId", 1);
session.put("user", { name: "x", tags: [] });
session.put("theme", "dark");
session.put("idOrName", "x");
session.put("maybe", 1);
session.put("nullable", null);
session.put("rights", new Map([["read", new Set<User>()]]));
session.put("anything", Symbol("only refused when it runs"));
// @ts-expect-error 2345 an unknown key
session.put("userid", 1);
// @ts-expect-error 2345 a value of another type
session.put("userId", "1");
// @ts-expect-error 2345 undefined
session.put("userId", undefined);
// @ts-expect-error 2345 undefined, where the key is optional
session.put("user", undefined);
// @ts-expect-error 2345 undefined, where the declared type has it
session.put("maybe", undefined);
// @ts-expect-error 2345 null, which is a value like any other
session.put("userId", null);
// @ts-expect-error 2345 no member of the union
session.put("theme", "blue");
// @ts-expect-error 2345 an object that lacks a property
session.put("user", { name: "x" });
// @ts-expect-error 2322 an object with a wrong property
session.put("user", { name: "x", tags: [1] });
// @ts-expect-error 2353 an object with one property too many
session.put("user", { name: "x", tags: [], other: 1 });

// What get answers.
same<typeof sessions extends SessionManager<infer D> ? D : never, Data>();
const userId = session.get("userId");
same<typeof userId, number | undefined>();
const cart = session.get("cart");
same<typeof cart, readonly string[] | undefined>();
const user = session.get("user");
same<typeof user, { readonly name: string; readonly tags: readonly string[] } | undefined>();
const theme = session.get("theme");
same<typeof theme, "light" | "dark" | undefined>();
const rights = session.get("rights");
same<typeof rights, ReadonlyMap<string, ReadonlySet<DeepReadonly<User>>> | undefined>();
const pair = session.get("pair");
same<typeof pair, readonly [number, DeepReadonly<User>] | undefined>();
const anything = session.get("anything");
same<typeof anything, unknown>();
const popped = session.pop("nullable", { once: true });
same<typeof popped, number | null | undefined>();
// @ts-expect-error 2345 an unknown key
session.get("nothing");
// @ts-expect-error 2345 an unknown key
session.pop("nothing");
// @ts-expect-error 2345 an unknown key
session.remove("nothing");
// @ts-expect-error 2345 an unknown key
session.exists("nothing");
// @ts-expect-error 2322 a missing key is undefined
export const certain: number = session.get("userId");

// Values are read-only, all the way down.
// @ts-expect-error 2542 an element
cart![0] = "x";
// @ts-expect-error 2339 a method that changes an array
cart!.push("x");
// @ts-expect-error 2339 another one
cart!.sort();
// @ts-expect-error 2540 a property
user!.name = "x";
// @ts-expect-error 2339 a nested array
user!.tags.push("x");
// @ts-expect-error 2704 a deletion
delete user!.name;
// @ts-expect-error 2339 a Map
rights!.set("x", new Set());
// @ts-expect-error 2339 a Set in a Map
rights!.get("read")!.add({ name: "x", tags: [] });
// @ts-expect-error 2540 an object in a Set in a Map
for (const member of rights!.get("read")!) member.name = "x";
// @ts-expect-error 2540 an element of a tuple
pair![0] = 2;
// @ts-expect-error 2540 an object in a tuple
pair![1].name = "x";
// @ts-expect-error 4104 to a variable that may change it
export const mutable: string[] = cart!;

// update gets the read-only value, and gives the next.
session.update("userId", (count = 0) => count + 1);
session.update("cart", (items = []) => [...items, "x"]);
session.update("user", (old) => ({ name: "x", tags: old?.tags ?? [] }));
session.update("rights", (old) => new Map([...(old ?? []), ["x", new Set<User>()]]));
session.put("cart", session.get("cart") ?? []);
session.put("rights", session.get("rights") ?? new Map<string, Set<User>>());
// @ts-expect-error 2322 another type
session.update("userId", () => "1");
// @ts-expect-error 2322 undefined
session.update("userId", (count) => count);
// @ts-expect-error 2322 undefined, where the key is optional
session.update("user", () => undefined);
// @ts-expect-error 2322 a Promise
session.update("userId", async (count = 0) => count + 1);
// @ts-expect-error 2339 a change in place
session.update("cart", (items = []) => (items.push("x"), items));

// The typed getters take the keys whose type fits.
session.getString("name");
session.getString("theme");
session.getString("idOrName");
session.getNumber("idOrName");
session.getNumber("maybe");
session.getNumber("nullable");
session.getBoolean("admin");
session.getBigInt("big");
session.getBytes("bytes");
session.getBytes("buffer");
session.getDate("since");
session.getNumber("anything");
session.getDate("anything");
(await new SessionManager<{ pair: [number, string] }>().load()).update("pair", (old) => old ?? [1, "x"]);
const loose = await new SessionManager<{ whatever: any; name: string }>().load(); // eslint-disable-line @typescript-eslint/no-explicit-any
loose.getString("whatever");
loose.popNumber("whatever");
loose.getDate("whatever");
// @ts-expect-error 2345 a string
loose.getNumber("name");
session.popNumber("userId");
session.popString("name");
same<ReturnType<typeof session.getNumber>, number>();
same<ReturnType<typeof session.getDate>, Date | undefined>();
// @ts-expect-error 2345 a number
session.getString("userId");
// @ts-expect-error 2345 a string
session.getNumber("name");
// @ts-expect-error 2345 a string
session.popNumber("name");
// @ts-expect-error 2345 a number
session.getBoolean("userId");
// @ts-expect-error 2345 a number
session.getBigInt("userId");
// @ts-expect-error 2345 a string
session.getBytes("name");
// @ts-expect-error 2345 a number
session.getDate("userId");
// @ts-expect-error 2345 an object
session.getDate("user");
// @ts-expect-error 2345 an unknown key
session.getNumber("nothing");

// keys
same<ReturnType<typeof session.keys>[number], keyof Data>();

// What is read-only of a session, and cannot be made.
// @ts-expect-error 2540 the token
session.token = "x";
// @ts-expect-error 2540 the deadline has a method
session.deadline = new Date();
// @ts-expect-error 2345 a deadline is a Date
session.setDeadline(1);
// @ts-expect-error 2561 an unknown option
session.renewToken({ keepDeadlines: true });

// Sessions of two managers with different data are not taken for one another.
interface Other {
  userId: string;
  name: string;
}
const others = new SessionManager<Other>();
const other = others.of({});
await others.commit(other);
await sessions.commit(session);
// @ts-expect-error 2345 the data differ
await sessions.commit(other);
// @ts-expect-error 2345 the data differ
await others.commit(session);
// @ts-expect-error 2345 only the type of a key differs
await new SessionManager<{ userId: number }>().commit(await new SessionManager<{ userId: string }>().load());
// @ts-expect-error 2345 it has more keys
await new SessionManager<{ userId: number }>().commit(await new SessionManager<{ userId: number; x: 1 }>().load());
// @ts-expect-error 2322 the data differ
await sessions.revoke({ subject: 1, except: other });
await sessions.merge(session, "token", { keys: ["cart"] });
// @ts-expect-error 2322 an unknown key
await sessions.merge(session, "token", { keys: ["basket"] });

// Without data: keys are any strings, values unknown.
const untyped = await new SessionManager().load();
untyped.put("anything", { at: ["all"] });
const unknownValue = untyped.get("anything");
same<typeof unknownValue, unknown>();
same<ReturnType<typeof untyped.keys>, string[]>();
export const text: string = untyped.getString("anything");
export const count: number = untyped.popNumber("anything");
untyped.update("anything", (value) => [value]);
// @ts-expect-error 18046 its type has to be found out
unknownValue.at;
// @ts-expect-error 2345 keys are strings
untyped.put(1, 1);

// A helper for sessions of several managers.
function logIn(to: SessionOf<{ userId: number }>, id: number): number | undefined {
  to.renewToken();
  to.put("userId", id);
  to.update("userId", (old = 0) => old + 1);
  // @ts-expect-error 2345 a key that not every session has
  to.get("cart");
  // @ts-expect-error 2339 the keys would be those of all data
  to.keys();
  same<ReturnType<typeof to.getNumber>, number>();
  return to.get("userId");
}
declare function sessionOf<D extends object>(): Session<D>;
logIn(session, 1);
logIn(sessionOf<{ userId: number; cart: string[] }>(), 1);
logIn(sessionOf<{ userId: number }>(), 1);
logIn(sessionOf<{ userId?: number }>(), 1);
logIn(sessionOf<{ userId: number; [other: string]: unknown }>(), 1);
// @ts-expect-error 2345 the key has another type
logIn(other, 1);
// @ts-expect-error 2345 the key has another type, too
logIn(sessionOf<{ userId: number | string }>(), 1);
// @ts-expect-error 2345 not every number may be put
logIn(sessionOf<{ userId: 1 | 2 }>(), 1);
// @ts-expect-error 2345 there is no such key
logIn(sessionOf<{ cart: string[] }>(), 1);
// @ts-expect-error 2345 the type of the key is unknown
logIn(untyped, 1);

function addToCart<D extends { cart: string[] }>(to: SessionOf<Pick<D, "cart">>): void {
  to.remove("cart");
}
addToCart<{ cart: string[]; other: 1 }>(session);

// Every session is one of a helper that needs no keys.
function endSession(of: SessionOf<object>): void {
  of.destroy();
}
endSession(session);
endSession(untyped);

// What list shows.
for await (const listed of sessions.list({ subject: 1 })) {
  same<typeof listed.values.cart, readonly string[] | undefined>();
  // @ts-expect-error 2339 values are read-only
  listed.values.cart?.push("x");
}
// @ts-expect-error 2345 the subject is required
sessions.list({});
// @ts-expect-error 2345 the subject is required
await sessions.revoke({ id: "x" });

// The helpers for one's own types.
same<KeyOf<{ a: 1; b?: 2 }>, "a" | "b">();
same<ValueOf<{ a?: 1 }, "a">, 1>();
