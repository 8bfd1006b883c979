/** The users of the demo. A real application keeps them in its database, with hashes of the same kind. */

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

export interface User {
  readonly id: string;
  readonly name: string;
  /** Only because the login page shows it. */
  readonly password: string;
}

export const users: readonly User[] = [
  { id: "1", name: "ada", password: "analytical-engine" },
  { id: "2", name: "grace", password: "nanosecond" },
  { id: "3", name: "alan", password: "bombe" },
];

interface Credentials {
  readonly id: string | undefined;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const derive = promisify<string, Buffer, number, Buffer>(scrypt);

const nobody = await credentialsOf(undefined, "");
const credentials = new Map<string, Credentials>();
for (const { id, name, password } of users) credentials.set(name, await credentialsOf(id, password));

/** The id of the user with this name and password. Takes as long for an unknown name as for a wrong password. */
export async function checkPassword(name: string, password: string): Promise<string | undefined> {
  const { id, salt, hash } = credentials.get(name) ?? nobody;
  return timingSafeEqual(hash, await derive(password, salt, hash.length)) ? id : undefined;
}

export function findUser(id: string): User | undefined {
  return users.find((user) => user.id === id);
}

async function credentialsOf(id: string | undefined, password: string): Promise<Credentials> {
  const salt = randomBytes(16);
  return { id, salt, hash: await derive(password, salt, 32) };
}
