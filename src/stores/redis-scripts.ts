/** What Redis does in one step for a `RedisStore`, in Lua. */

import { createHash } from "node:crypto";

/** A script, which the server knows by its hash once it has run. */
export interface Script {
  readonly text: string;
  readonly hash: string;
}

function script(text: string): Script {
  return { text, hash: createHash("sha1").update(text).digest("hex") };
}

/**
 * Index: a sorted set of the tokens of a subject. The score is when the session ends at the latest, or, once it was found
 * missing, the time of that with a minus. The set goes with the last of them.
 */
const tidy = `
local function tidy(index, deadline)
  local time = redis.call('TIME')
  redis.call('ZREMRANGEBYSCORE', index, 0, time[1] * 1000)
  if redis.call('PEXPIRETIME', index) < tonumber(deadline) then redis.call('PEXPIREAT', index, deadline) end
end
`;

const replace = `${tidy}
    local stored = redis.call('GET', KEYS[1])
    if not stored then return 0 end
    if stored ~= ARGV[1] then return 1 end
    if #ARGV == 1 then
      redis.call('DEL', KEYS[1])
    else
      if KEYS[2] then
        redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4])
        tidy(KEYS[2], ARGV[5])
      end
      redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
    end
    return 2`;

type Name = "find" | "enter" | "commit" | "replace" | "end" | "delete" | "settle";

/** By what they do. */
export const scripts: Readonly<Record<Name, Script>> = {
  find: script("return { redis.call('GET', KEYS[1]), redis.call('PEXPIRETIME', KEYS[1]) }"),

  /** Of the index alone, with token and deadline; never an earlier one: the session may not be written after all. */
  enter: script(`${tidy}
    redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
    tidy(KEYS[1], ARGV[2])`),

  /** Of session and index, with data, expiry, token and deadline. */
  commit: script(`${tidy}
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
    tidy(KEYS[2], ARGV[4])
    redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])`),

  /** The same with the expected data before; nothing else to delete. */
  replace: script(replace),

  /** The same for what ends the session, and is announced: with channel and token at the end. */
  end: script(`
    local token = table.remove(ARGV)
    local channel = table.remove(ARGV)
    ${replace.replace(/return 2$/, "redis.call('PUBLISH', channel, token) return 2")}`),

  /** Of a session that is announced: with channel and token. */
  delete: script("if redis.call('DEL', KEYS[1]) == 1 then redis.call('PUBLISH', ARGV[1], ARGV[2]) end"),

  /**
   * Tokens without session, and their scores. They leave the index a minute after they were found missing first: in a
   * cluster a token is entered before its session is stored. What was entered again meanwhile has another score.
   */
  settle: script(`
    local time = redis.call('TIME')
    local now = time[1] * 1000
    for i = 1, #ARGV, 2 do
      local seen = tonumber(ARGV[i + 1])
      if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 'nan') == seen then
        if seen >= 0 then redis.call('ZADD', KEYS[1], -now, ARGV[i])
        elseif now + seen > 60000 then redis.call('ZREM', KEYS[1], ARGV[i]) end
      end
    end`),
};
