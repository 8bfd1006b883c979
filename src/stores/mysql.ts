/** Sessions in MySQL and MariaDB. */

import type { SessionError } from "../errors.ts";
import {
  codeOf,
  isText,
  pageSize,
  quoted,
  type Dialect,
  type Driver,
  type SqlClient,
  type SqlResult,
} from "./sql-dialect.ts";
import { SqlStore, unknownClient, type SqlStoreOptions } from "./sql.ts";

/** Longer ones are cut off by a server that is not in strict mode. */
const maxSubjectBytes = 255;
/** The last moment of a DATETIME. */
const lastDate = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** What a migration meets beside another one, or beside transactions that read the table. */
const obstacles = ["ER_DUP_FIELDNAME", "ER_DUP_KEYNAME", "ER_LOCK_WAIT_TIMEOUT", "ER_LOCK_DEADLOCK"];

/** How many sessions one statement deletes. The number is in its text, and each text is prepared. */
const sweepSize = 100;
/** How often a sweep looks for them. */
const maxLooks = 5;

/** The options of a `MySqlStore`. */
export type MySqlStoreOptions = SqlStoreOptions;

/** How long a migration waits for the table, in seconds: requests queue behind it, and give up after five. */
const patience = 2;

/** A pool or connection of `mysql2/promise`, or of `mariadb`. */
export interface MySqlClient {
  execute(statement: never, parameters?: never): Promise<unknown>;
  /** Of a pool. */
  getConnection?(): Promise<MySqlConnection>;
}

/** A connection that a pool lends. */
interface MySqlConnection extends Pick<MySqlClient, "execute"> {
  release(): unknown;
}

/** A pool or connection of `mysql2` with callbacks, which has one with promises. */
export interface MySqlCallbackClient {
  promise(): MySqlClient;
}

/**
 * A store in MySQL 8 or MariaDB 10.5 and newer, in SCS's table. Every ability of `Store`, in one statement each, but for
 * `deleteExpired`, which looks first, and a conditional delete that finds something else: it looks a second time. An abort
 * signal keeps statements from being sent, but ends none that is on its way: set `connectTimeout` and `queueLimit` on the
 * pool, and `max_execution_time` or `max_statement_time` on the server. The client stays open when the store is closed. Over
 * a single connection deadlocks are not retried: MySQL ends a transaction of the application with them.
 *
 * ```ts
 * const store = new MySqlStore(createPool({ uri: "mysql://app@localhost/app" }));
 * await store.migrate();
 * ```
 */
export class MySqlStore extends SqlStore {
  constructor(client: MySqlClient | MySqlCallbackClient | SqlClient, { table = "sessions" }: MySqlStoreOptions = {}) {
    super(recognise(client), dialect(table), table, refusal);
  }
}

/** The statement that makes the table `sessions`, for migrations of your own: `migrate()` has nothing to do then. */
export const createTable: string = dialect("sessions")
  .create.map((statement) => `${statement};\n`)
  .join("");

const refusal = (): SessionError => unknownClient("MySqlStore", "a pool or connection of mysql2 or mariadb");

function recognise(client: unknown): Driver {
  const { promise, execute, query } = (client ?? {}) as Partial<MySqlClient & MySqlCallbackClient & SqlClient>;
  if (typeof promise === "function") return recognise((client as MySqlCallbackClient).promise());
  if (typeof execute === "function") {
    const mysql = client as MySqlClient;
    const asObjects = (sql: string): object => ({ sql, rowsAsArray: false, nestTables: false });
    const runOn = (on: Pick<MySqlClient, "execute">, text: string, given: readonly unknown[] = []): Promise<unknown> =>
      on.execute(asObjects(text) as never, [...given] as never);
    return {
      isSingle: mysql.getConnection === undefined,
      query: (text, given) => runOn(mysql, text, given),
      toResult,
      async alter(text) {
        const lent = await mysql.getConnection?.();
        const run = (statement: string): Promise<unknown> => runOn(lent ?? mysql, statement);
        try {
          // Kept on the connection: what a driver makes of a number depends on its settings.
          await run("SET @scs_session_patience = @@SESSION.lock_wait_timeout");
          await run(`SET SESSION lock_wait_timeout = ${patience}`);
          try {
            return await run(text);
          } finally {
            await run("SET SESSION lock_wait_timeout = @scs_session_patience").catch(() => undefined);
          }
        } finally {
          await lent?.release();
        }
      },
    };
  }
  if (typeof query === "function") return client as SqlClient;
  throw refusal();
}

/** mysql2 answers rows or a header, with the columns beside it; mariadb answers rows or a header. */
function toResult(answer: unknown): SqlResult {
  const isPair = Array.isArray(answer) && answer.length === 2 && (answer[1] === undefined || Array.isArray(answer[1]));
  const body: unknown = isPair ? answer[0] : answer;
  if (Array.isArray(body)) return { rows: body as SqlResult["rows"], affected: 0 };
  const { affectedRows, insertId } = (body ?? {}) as { affectedRows?: number; insertId?: number | bigint };
  return { rows: [], affected: Number(affectedRows), insertId: Number(insertId) };
}

function dialect(tableName: string): Dialect {
  const { table, name, schema } = quoted(tableName, "`");
  const columns = "data, DATE_FORMAT(expiry, '%Y-%m-%dT%H:%i:%s.%f') AS expiry";
  // Which rows a driver counts as affected depends on its settings: what LAST_INSERT_ID is given comes with every answer.
  const update = `UPDATE ${table} SET data = ?, expiry = ?, subject = ?
    WHERE token = ? AND IF(data = ?, LAST_INSERT_ID(1), LAST_INSERT_ID(2)) = 1`;
  const remove = `DELETE FROM ${table} WHERE token = ? AND data = ?`;
  const sweep = `DELETE FROM ${table} WHERE token IN (${Array(sweepSize).fill("?").join(", ")})
    AND IF(expiry <= UTC_TIMESTAMP(6), 1, 0) = 1`;
  const token = "CHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
  const expiryIndex = `INDEX \`${name}_expiry_idx\` (expiry)`;
  const subject = `subject VARBINARY(${maxSubjectBytes})`;
  const subjectIndex = `INDEX \`${name}_subject_idx\` (subject, token)`;
  const ofTable = `table_schema = ${schema === undefined ? "DATABASE()" : `'${schema}'`} AND table_name = '${name}'`;
  // For MariaDB behind a client of one's own; others say it to the connection.
  const alter = `ALTER TABLE ${table} /*M! WAIT ${patience} */`;
  const offset = (of: string, when: string): string => `CONVERT_TZ(${when}, '+00:00', @@${of}.time_zone)`;
  const differ = (when: string): string => `${offset("session", when)} <> ${offset("global", when)}`;
  return {
    create: [
      `CREATE TABLE IF NOT EXISTS ${table} (token ${token} PRIMARY KEY, data MEDIUMBLOB NOT NULL,
    expiry DATETIME(6) NOT NULL, ${subject}, ${expiryIndex}, ${subjectIndex})`,
    ],
    inspect: `SELECT CONCAT('table ', GROUP_CONCAT(CONCAT_WS(' ', column_name, column_type, collation_name) SEPARATOR ', ')) AS part
    FROM information_schema.columns WHERE ${ofTable} HAVING part IS NOT NULL
    UNION ALL SELECT CONCAT('index ', GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ' '))
    FROM information_schema.statistics WHERE ${ofTable} GROUP BY index_name
    UNION ALL SELECT 'other time zone' FROM information_schema.columns WHERE ${ofTable} AND column_name = 'token'
    AND (${differ("UTC_TIMESTAMP()")} OR ${differ("UTC_TIMESTAMP() + INTERVAL 6 MONTH")})`,
    upgrades: [
      // One statement: each of these copies the table. SCS's column is a TIMESTAMP, into which its drivers write the digits of
      // UTC, whatever the time zone of the session. A DATETIME holds the same digits, also those that a time zone skips in
      // spring, and beyond 2038.
      [
        /^table (?=.*\btoken char\(43\) \w+_bin)(?=.*\bdata (?:medium|long)blob)(?=.*\bexpiry datetime\(6\))/,
        `${alter} MODIFY token ${token}, MODIFY data MEDIUMBLOB NOT NULL, MODIFY expiry DATETIME(6) NOT NULL`,
      ],
      [/^table .*\bsubject /, `${alter} ADD COLUMN ${subject}`],
      [/^index expiry\b/, `${alter} ADD ${expiryIndex}`],
      [/^index subject token$/, `${alter} ADD ${subjectIndex}`],
    ],
    objection: (parts) =>
      parts.includes("other time zone") && parts.some((part) => /^table .*\bexpiry timestamp/.test(part))
        ? `The column expiry of the table ${tableName} holds times as SCS writes them, in the time zone of its connections: ` +
          "migrate over a connection that sets no time zone, or first change its type to DATETIME(6) in that time zone."
        : undefined,
    find: `SELECT ${columns} FROM ${table} WHERE token = ?`,
    commit: `INSERT INTO ${table} (token, data, expiry, subject) VALUES (?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE data = VALUES(data), expiry = VALUES(expiry), subject = VALUES(subject)`,
    delete: `DELETE FROM ${table} WHERE token = ?`,
    touch: `UPDATE ${table} SET expiry = IF(LAST_INSERT_ID(LENGTH(token) > 0) = 1, ?, expiry) WHERE token = ?`,
    page: `SELECT token, ${columns} FROM ${table} WHERE token > ? ORDER BY token LIMIT ${pageSize}`,
    pageBySubject: `SELECT token, ${columns} FROM ${table} WHERE subject = ? AND token > ? ORDER BY token LIMIT ${pageSize}`,
    // Looks without locks, and deletes by primary key, in its order: locks at the end of the expired part of an index are in
    // the way of writers, and of one another. The condition is hidden from the optimiser, which might use that index.
    async deleteExpired(run, limit) {
      const expired = `SELECT token FROM ${table} WHERE expiry <= UTC_TIMESTAMP(6) ORDER BY expiry LIMIT ${limit}`;
      let [deleted, looks, isFull] = [0, 0, true];
      // Others that sweep find the same: what they have deleted first is made up for, since fewer would mean that none is left.
      while (isFull && deleted < limit && looks++ < maxLooks) {
        const { rows } = await run(expired, []);
        isFull = rows.length === limit;
        const keys = rows
          .map((row) => String(row["token"]))
          .slice(deleted)
          .sort();
        for (let i = 0; i < keys.length; i += sweepSize) {
          const some = Array.from({ length: sweepSize }, (_, n) => keys[i + n] ?? keys[i]);
          deleted += (await run(sweep, some)).affected;
        }
      }
      return deleted;
    },
    touchedBy: ({ affected, insertId }) => insertId === 1 || affected > 0, // a trigger's insert takes the former away
    holdsToken: (key) => /^[\x21-\x7e]{1,43}$/.test(key),
    holdsSubject: (each) => isText(each, maxSubjectBytes),
    fromDate: (date) => new Date(Math.min(date.getTime(), lastDate)).toISOString().slice(0, -1).replace("T", " "),
    // Years, months and days may be zero there.
    toTime: (value) => Date.parse(`${String(value).slice(0, 23).replaceAll("-00", "-01")}Z`),
    replace: (key, expected, next) =>
      next === undefined ? [remove, [key, expected]] : [update, [next.data, next.expiry, next.subject, key, expected]],
    // An update gives LAST_INSERT_ID one of two; a row that is not there, none.
    answerTo: ({ affected, insertId }) =>
      insertId === 1 || affected > 0 ? "replaced" : insertId === 2 ? "conflict" : undefined,
    look: `SELECT token FROM ${table} WHERE token = ?`,
    isTransient: (error) => ["ER_LOCK_DEADLOCK", "ER_CHECKREAD"].includes(codeOf(error)),
    isMissing: (error) => ["ER_NO_SUCH_TABLE", "ER_BAD_FIELD_ERROR"].includes(codeOf(error)),
    isObstructed: (error) => obstacles.includes(codeOf(error)),
  };
}
