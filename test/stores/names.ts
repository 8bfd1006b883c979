/** Names that no other test has, also on servers that several test runs share. */

let names = 0;

function newName(): string {
  return `${process.pid}_${Date.now().toString(36)}_${++names}`;
}

/** A table of SQL. */
export function newTable(): string {
  return `sessions_${newName()}`;
}

/** A prefix for keys of Redis. */
export function newPrefix(): string {
  return `scs-test:${newName()}:`;
}
