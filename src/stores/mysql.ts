/** Sessions in MySQL and MariaDB. */

import { Buffer } from "node:buffer";
import {
  codeOf,
  isText,
  pageSize,
  quoted,
  SqlStore,
  unknownClient,
  type Dialect,
  type SqlClient,
  type SqlResult,
  type SqlStoreOptions,
} from "./sql.ts";

/** Longer ones are cut off by a server that is not in strict mode. */
const maxSubjectBytes = 255;
/** The last moment of a DATETIME. */
const lastDate = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** The options of a `MySqlStore`. */
export type MySqlStoreOptions = SqlStoreOptions;

/** A pool or connection of `mysql2/promise`, or of `mariadb`. */
export interface MySqlClient {
  execute(statement: never, parameters?: never): Promise<unknown>;
}

/** A pool or connection of `mysql2` with callbacks, which has one with promises. */
export interface MySqlCallbackClient {
  promise(): MySqlClient;
}

/**
 * A store in MySQL 8 or MariaDB 10.5 and newer, in SCS's table. Every ability of `Store`, in one statement each, but for a
 * conditional delete that finds something else: it looks a second time. An abort signal ends no statement that is on its
 * way: set `connectTimeout` and `queueLimit` on the pool, and `max_execution_time` or `max_statement_time` on the server. The
 * client stays open when the store is closed.
 *
 * ```ts
 * const store = new MySqlStore(createPool({ uri: "mysql://app@localhost/app" }));
 * await store.migrate();
 * ```
 */
export class MySqlStore extends SqlStore {
  constructor(client: MySqlClient | MySqlCallbackClient | SqlClient, { table = "sessions" }: MySqlStoreOptions = {}) {
    super(recognise(client), dialect(table), table);
  }
}

/** The statements that make the table `sessions`, for migrations of your own; `migrate()` runs them. */
export const createTable: string = dialect("sessions")
  .migrations.map((statement) => `${statement};\n`)
  .join("");

function recognise(client: unknown): SqlClient {
  const { promise, execute, query } = (client ?? {}) as Partial<MySqlClient & MySqlCallbackClient & SqlClient>;
  if (typeof promise === "function") return recognise((client as MySqlCallbackClient).promise());
  if (typeof execute === "function") {
    const mysql = client as MySqlClient;
    const asObjects = (sql: string): object => ({ sql, rowsAsArray: false, nestTables: false });
    return {
      query: async (text, given) => toResult(await mysql.execute(asObjects(text) as never, [...given] as never)),
    };
  }
  if (typeof query === "function") return client as SqlClient;
  throw unknownClient("MySqlStore", "a pool or connection of mysql2 or mariadb");
}

/** mysql2 answers rows or a header, with the columns beside it; mariadb answers rows or a header. */
function toResult(answer: unknown): SqlResult {
  const isPair = Array.isArray(answer) && answer.length === 2 && (answer[1] === undefined || Array.isArray(answer[1]));
  const body: unknown = isPair ? answer[0] : answer;
  if (Array.isArray(body)) return { rows: body as SqlResult["rows"], affected: 0 };
  const { affectedRows, insertId } = body as { readonly affectedRows: number; readonly insertId: number | bigint };
  return { rows: [], affected: affectedRows, insertId: Number(insertId) };
}

function dialect(tableName: string): Dialect {
  const { table, name } = quoted(tableName, "`");
  const columns = "token, data, DATE_FORMAT(expiry, '%Y-%m-%dT%H:%i:%s.%f') AS expiry";
  // Which rows a driver counts as affected depends on its settings: what LAST_INSERT_ID is given comes with every answer.
  const update = `UPDATE ${table} SET data = ?, expiry = ?, subject = ?
    WHERE token = ? AND IF(data = ?, LAST_INSERT_ID(1), LAST_INSERT_ID(2)) = 1`;
  const remove = `DELETE FROM ${table} WHERE token = ? AND data = ?`;
  const look = `SELECT token FROM ${table} WHERE token = ?`;
  const token = "CHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
  return {
    // SCS's column is a TIMESTAMP, into which its drivers write the digits of UTC, whatever the time zone of the session. A
    // DATETIME holds the same digits, also those that a time zone skips in spring, and beyond 2038.
    migrations: [
      `CREATE TABLE IF NOT EXISTS ${table} (token ${token} PRIMARY KEY, data MEDIUMBLOB NOT NULL,
    expiry DATETIME(6) NOT NULL, subject VARBINARY(${maxSubjectBytes}))`,
      `ALTER TABLE ${table} MODIFY token ${token}, MODIFY data MEDIUMBLOB NOT NULL, MODIFY expiry DATETIME(6) NOT NULL`,
      `ALTER TABLE ${table} ADD COLUMN subject VARBINARY(${maxSubjectBytes})`,
      `CREATE INDEX \`${name}_expiry_idx\` ON ${table} (expiry)`,
      `CREATE INDEX \`${name}_subject_idx\` ON ${table} (subject, token)`,
    ],
    find: `SELECT ${columns} FROM ${table} WHERE token = ?`,
    commit: `INSERT INTO ${table} (token, data, expiry, subject) VALUES (?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE data = VALUES(data), expiry = VALUES(expiry), subject = VALUES(subject)`,
    delete: `DELETE FROM ${table} WHERE token = ?`,
    touch: `UPDATE ${table} SET expiry = IF(LAST_INSERT_ID(LENGTH(token) > 0) = 1, ?, expiry) WHERE token = ?`,
    page: `SELECT ${columns} FROM ${table} WHERE token > ? ORDER BY token LIMIT ${pageSize}`,
    pageBySubject: `SELECT ${columns} FROM ${table} WHERE subject = ? AND token > ? ORDER BY token LIMIT ${pageSize}`,
    deleteExpired: (limit) => `DELETE FROM ${table} WHERE expiry <= UTC_TIMESTAMP(6) ORDER BY expiry LIMIT ${limit}`,
    deletedBy: ({ affected }) => affected,
    touchedBy: ({ insertId }) => insertId === 1,
    holdsToken: (key) => /^[\x21-\x7e]{1,43}$/.test(key),
    holdsSubject: (subject) => isText(subject) && Buffer.byteLength(subject) <= maxSubjectBytes,
    fromDate: (date) => new Date(Math.min(date.getTime(), lastDate)).toISOString().slice(0, -1).replace("T", " "),
    toDate: (value) => new Date(`${String(value).slice(0, 23)}Z`),
    async replace(run, key, expected, next) {
      if (next !== undefined) {
        const { insertId } = await run(update, [next.data, next.expiry, next.subject, key, expected]);
        return insertId === 1 ? "replaced" : insertId === 2 ? "conflict" : "missing";
      }
      const { affected } = await run(remove, [key, expected]);
      if (affected > 0) return "replaced";
      return (await run(look, [key])).rows.length > 0 ? "conflict" : "missing";
    },
    isTransient: (error) => ["ER_LOCK_DEADLOCK", "ER_CHECKREAD"].includes(codeOf(error)),
    isMissing: (error) => ["ER_NO_SUCH_TABLE", "ER_BAD_FIELD_ERROR"].includes(codeOf(error)),
    isMigrated: (error) => ["ER_DUP_FIELDNAME", "ER_DUP_KEYNAME"].includes(codeOf(error)),
  };
}
