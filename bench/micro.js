// What the parts cost, in nanoseconds and allocated bytes: `npm run bench:micro`, to judge a change in half a minute. On the
// built package, inner modules included; names of parts on the command line measure only these.
import { SessionManager } from "../dist/index.js";
import { defaultCodec } from "../dist/codec.js";
import { cookie, readCookie } from "../dist/cookie.js";
import { newToken, sha256, signed, unsigned } from "../dist/token.js";
import { cart } from "./contenders/actions.js";

const now = Date.now();
const token = newToken();
const framing = signed(["a secret of thirty-two characters"], false);
const signedToken = framing.wrap(token);
const header = `theme=dark; session=${token}; lang=en`;
const transport = cookie();
const request = { header: () => undefined, isSecure: () => false, keys: [] };
const headers = { append: () => undefined };
const credential = { token, expiry: now + 86_400_000, now, persistent: true };

const recordOf = (values) => ({ values, deadline: now, createdAt: now, rememberMe: false, commit: "AAAAAAAAAAAAAAAA" });
const context = { key: token, manager: "session" };
const records = {
  small: recordOf({ user: 123, csrf: token }),
  "8 KB": recordOf({ user: 123, cart: cart(8) }),
  rich: recordOf({ user: 123n, at: new Date(now), seen: new Set(["a", "b"]) }),
};

const sessions = new SessionManager({ sweepInterval: false });
const stored = await sessions.load();
stored.put("user", 123);
const { token: storedToken } = await sessions.commit(stored);
let count = 0;

const parts = {
  "token: new": () => newToken(),
  "token: recognise": () => unsigned.open(token),
  "token: sign": () => framing.wrap(token),
  "token: recognise signed": () => framing.open(signedToken),
  hash: () => sha256(token),
  "cookie: read": () => readCookie(header, "session"),
  "cookie: write": () => transport.write(headers, credential, request),
};
for (const [name, record] of Object.entries(records)) {
  const bytes = defaultCodec.encode(record, context);
  parts[`codec: encode ${name}`] = () => defaultCodec.encode(record, context);
  parts[`codec: decode ${name}`] = () => defaultCodec.decode(bytes, context);
}
parts.load = () => sessions.load(storedToken);
parts["load, put, commit"] = async () => {
  const session = await sessions.load(storedToken);
  session.put("visits", ++count);
  await sessions.commit(session);
};
parts["new session, put, commit, destroy"] = async () => {
  const session = await sessions.load();
  session.put("user", 123);
  await sessions.commit(session);
  session.destroy();
  await sessions.commit(session);
};

/** Kept and exported, so that nothing is thought to be useless. */
let last;

async function repeat(work, times) {
  if (work() instanceof Promise) for (let n = 0; n < times; n++) last = await work();
  else for (let n = 0; n < times; n++) last = work();
}

/** Milliseconds of one sample, and how many are taken. */
const [long, samples] = [100, 9];
/** So much is allocated before the heap is looked at: less than the young generation holds, so that nothing was collected. */
const room = 60_000_000;

async function allocated(work, times) {
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  await repeat(work, times);
  return (process.memoryUsage().heapUsed - before) / times;
}

async function measure(work) {
  let times = 100;
  for (let took = 0; took < long / 2; times *= 2) {
    const begin = performance.now();
    await repeat(work, times);
    took = performance.now() - begin;
  }
  const nanoseconds = [];
  for (let sample = 0; sample < samples; sample++) {
    const begin = performance.now();
    await repeat(work, times);
    nanoseconds.push(((performance.now() - begin) / times) * 1_000_000);
  }
  nanoseconds.sort((a, b) => a - b);
  const roughly = Math.max(await allocated(work, 1_000), 16);
  const bytes = await allocated(work, Math.min(200_000, Math.floor(room / roughly)));
  const [low, median, high] = [0, samples >> 1, samples - 1].map((n) => Math.round(nanoseconds[n]));
  return { "ns (median)": median, "lowest to highest": `${low} to ${high}`, "bytes allocated": Math.round(bytes) };
}

const wanted = process.argv.slice(2);
const table = {};
for (const [name, work] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.some((each) => name.includes(each))) continue;
  table[name] = await measure(work);
}
if (Object.keys(table).length > 0) console.table(table);
else console.log(`There are: ${Object.keys(parts).join("; ")}`);
export { last };
