/** What the constructor refuses, and what it does not do. */

import { MemoryStore, SessionManager, type SessionOptions, type Store } from "scs-session";
import { TestClock } from "scs-session/testing";
import { describe, expect, test } from "vitest";
import { eventsOf, failure, setup, uniqueName, visit } from "./helpers.ts";

/** What JavaScript lets people write. */
const construct = (options: unknown): SessionManager => new SessionManager(options as SessionOptions);

const inner = new MemoryStore();
const storeWithout = (method: "find" | "commit" | "delete"): Partial<Store> => {
  const { [method]: _, ...rest } = {
    find: inner.find.bind(inner),
    commit: inner.commit.bind(inner),
    delete: inner.delete.bind(inner),
  };
  return rest;
};
const secret = "0123456789abcdef0123456789abcdef";
const transport = { name: "mine", read: () => [], write: () => undefined };

/** What is given, the option that the message names, and a word of the remedy. */
const refused: [what: string, options: unknown, option: string, remedy: RegExp][] = [
  ["lifetime as a number", { lifetime: 86_400 }, "lifetime", /"30s"/],
  ["lifetime as words", { lifetime: "5 minutes" }, "lifetime", /"30s"/],
  ["lifetime without unit", { lifetime: "60" }, "lifetime", /"30s"/],
  ["lifetime zero", { lifetime: "0s" }, "lifetime", /above zero/],
  ["lifetime below zero", { lifetime: "-5m" }, "lifetime", /above zero/],
  ["lifetime with a fraction", { lifetime: "1.5h" }, "lifetime", /whole number/],
  ["lifetime null", { lifetime: null }, "lifetime", /"30s"/],
  ["lifetime Infinity", { lifetime: Infinity }, "lifetime", /"30s"/],
  ["idleTimeout as a number", { idleTimeout: 1_200 }, "idleTimeout", /"30s"/],
  ["touchInterval as a number", { idleTimeout: "20m", touchInterval: 60 }, "touchInterval", /"30s"/],
  ["storeTimeout as a number", { storeTimeout: 5_000 }, "storeTimeout", /"30s"/],
  ["sweepInterval as a number", { sweepInterval: 300 }, "sweepInterval", /"30s"/],
  ["sweepInterval true", { sweepInterval: true }, "sweepInterval", /"30s"/],
  ["touchInterval without idleTimeout", { touchInterval: "1m" }, "touchInterval", /idleTimeout/],
  ["touchInterval of idleTimeout", { idleTimeout: "1m", touchInterval: "60s" }, "touchInterval", /shorter/],
  ["a lifetime over 400 days", { lifetime: "401d" }, "lifetime", /shorten/],
  ["__Host- without secure", { cookie: { name: "__Host-x" } }, "cookie.name", /secure: true/],
  ['__Host- with secure "auto"', { cookie: { name: "__Host-x", secure: "auto" } }, "cookie.name", /secure: true/],
  ["__Host- with a function", { cookie: { name: "__Host-x", secure: () => true } }, "cookie.name", /secure: true/],
  ["__host- in any case", { cookie: { name: "__hOST-x", secure: false } }, "cookie.name", /secure: true/],
  [
    "__Host- with a domain",
    { cookie: { name: "__Host-x", secure: true, domain: "a.com" } },
    "cookie.name",
    /no domain/,
  ],
  ["__Host- with a path", { cookie: { name: "__Host-x", secure: true, path: "/a" } }, "cookie.name", /"\/"/],
  ["__Secure- without secure", { cookie: { name: "__Secure-x" } }, "cookie.name", /secure: true/],
  ["SameSite=None without secure", { cookie: { sameSite: "none" } }, "cookie.sameSite", /secure: true/],
  [
    "SameSite=None with secure auto",
    { cookie: { sameSite: "none", secure: "auto" } },
    "cookie.sameSite",
    /secure: true/,
  ],
  ["SameSite of Go's spelling", { cookie: { sameSite: "Lax" } }, "cookie.sameSite", /"lax"/],
  ["SameSite true", { cookie: { sameSite: true } }, "cookie.sameSite", /"lax"/],
  ["Partitioned without secure", { cookie: { partitioned: true } }, "cookie.partitioned", /secure: true/],
  ["an empty name", { cookie: { name: "" } }, "cookie.name", /letters, digits/],
  ["a name with a space", { cookie: { name: "my session" } }, "cookie.name", /letters, digits/],
  ["a name with =", { cookie: { name: "a=b" } }, "cookie.name", /letters, digits/],
  ["a name with ;", { cookie: { name: "a;b" } }, "cookie.name", /letters, digits/],
  ["a name with a line end", { cookie: { name: "a\r\nSet-Cookie: b" } }, "cookie.name", /letters, digits/],
  ["a name with a trailing line end", { cookie: { name: "a\n" } }, "cookie.name", /letters, digits/],
  ["a name outside ASCII", { cookie: { name: "sitzungß" } }, "cookie.name", /letters, digits/],
  ["a relative path", { cookie: { path: "app" } }, "cookie.path", /start with/],
  ["an empty path", { cookie: { path: "" } }, "cookie.path", /start with/],
  ["a path with an attribute", { cookie: { path: "/; Domain=evil.com" } }, "path", /RFC 6265/],
  ["a path with a line end", { cookie: { path: "/\r\nX: y" } }, "path", /RFC 6265/],
  ["a path with NUL", { cookie: { path: "/\0" } }, "path", /RFC 6265/],
  ["an empty domain", { cookie: { domain: "" } }, "cookie.domain", /leave it out/],
  ["a domain with an attribute", { cookie: { domain: "a.com; Secure" } }, "domain", /RFC 6265/],
  ["a domain with a line end", { cookie: { domain: "a.com\r\nX: y" } }, "domain", /RFC 6265/],
  ["a domain with a space", { cookie: { domain: "a .com" } }, "domain", /RFC 6265/],
  ["a URL as domain", { cookie: { domain: "https://a.com/" } }, "domain", /RFC 6265/],
  ["an unknown option of the cookie", { cookie: { maxAge: "1h" } }, "cookie.maxAge", /misspelt|option/],
  ["a misspelt option of the cookie", { cookie: { httponly: false } }, "cookie.httponly", /misspelt|option/],
  ["secure as text", { cookie: { secure: "false" } }, "cookie.secure", /"auto"/],
  ["a short secret", { secrets: ["keyboard cat"] }, "secrets", /32 characters.*openssl/],
  ["a short old secret", { secrets: [secret, "old"] }, "secrets", /32 characters/],
  ["a secret that is not set", { secrets: [undefined] }, "secrets", /32 characters/],
  ["allowUnsigned alone", { allowUnsigned: true }, "allowUnsigned", /secrets/],
  ["an unknown option", { maxAge: "1h" }, "maxAge", /misspelt/],
  ["a misspelt option", { idleTimeOut: "1h" }, "idleTimeOut", /misspelt/],
  ["a store without find", { store: storeWithout("find") }, "store", /find.*instance/],
  ["a store without commit", { store: storeWithout("commit") }, "store", /commit.*instance/],
  ["a store without delete", { store: storeWithout("delete") }, "store", /delete.*instance/],
  ["a class for a store", { store: MemoryStore }, "store", /instance/],
  ["cookie together with transport", { cookie: {}, transport }, "cookie", /either/],
  ["an unknown outage", { outage: "ignore" }, "outage", /"anonymous"/],
  ["an unknown onGone", { onGone: "throw" }, "onGone", /"drop"/],
  ["maxBytes zero", { maxBytes: 0 }, "maxBytes", /above zero/],
  ["maxBytes as text", { maxBytes: "1mb" }, "maxBytes", /whole number/],
];

describe("the constructor refuses", () => {
  test.each(refused)("%s, naming option and remedy", async (_, options, option, remedy) => {
    const error = await failure(() => construct(options));
    expect(error.code).toBe("invalid-option");
    expect(error.message).toContain(option);
    expect(error.message).toMatch(remedy);
  });

  // STYLE section 0: "misuse throws there". Each of these is taken, or is a bare TypeError.
  const taken: [what: string, options: unknown, option: string][] = [
    ["a name that is no string", { cookie: { name: null } }, "cookie.name"],
    ["a path that is no string", { cookie: { path: null } }, "cookie.path"],
    ["one secret that is not in a list", { secrets: secret }, "secrets"],
    ["a subject that is no function", { subject: "userId" }, "subject"],
    ["a codec without methods", { codec: {} }, "codec"],
    ["a transport without functions", { transport: { name: "x" } }, "transport"],
    ["a clock without methods", { clock: {} }, "clock"],
    ["hashTokenInStore as text", { hashTokenInStore: "false" }, "hashTokenInStore"],
  ];
  test.each(taken)("%s, naming the option", async (_, options, option) => {
    const error = await failure(() => construct(options));
    expect(error.code).toBe("invalid-option");
    expect(error.message).toContain(option);
  });

  test("one store instance under two cookie names", async () => {
    const store = new MemoryStore();
    const [first, second] = [uniqueName(), uniqueName()];
    construct({ store, cookie: { name: first } });
    const error = await failure(() => construct({ store, cookie: { name: second } }));
    expect(error.code).toBe("invalid-option");
    for (const part of ["store", first, second, "another table or prefix"]) expect(error.message).toContain(part);
    expect(() => construct({ store, cookie: { name: first } })).not.toThrow();
  });

  // A store that no manager uses is free: its claim is laid before all options are checked.
  test("no store because of a manager that could not be constructed", () => {
    const store = new MemoryStore();
    expect(() => construct({ store, cookie: { name: uniqueName() }, storeTimeout: 5 })).toThrow("storeTimeout");
    expect(() => construct({ store, cookie: { name: uniqueName() } })).not.toThrow();
  });

  test.each([0, -1, NaN, "10", null])("a MemoryStore of maxSessions %j", (maxSessions) => {
    const make = (): MemoryStore => new MemoryStore({ maxSessions: maxSessions as number });
    if (maxSessions === "10") expect(make).not.toThrow();
    else expect(make).toThrow(expect.objectContaining({ code: "invalid-option" }) as Error);
  });
});

describe("the constructor takes", () => {
  const fine: [what: string, options: unknown][] = [
    ["nothing", undefined],
    ["every unit of durations", { lifetime: "400d", idleTimeout: "12h", touchInterval: "5m", storeTimeout: "900ms" }],
    ["sweepInterval false", { sweepInterval: false }],
    ["__Host- with secure: true", { cookie: { name: "__Host-x", secure: true } }],
    ["__Secure- with a domain", { cookie: { name: "__Secure-x", secure: true, domain: "a.com", path: "/a" } }],
    [
      "SameSite=None and Partitioned with secure: true",
      { cookie: { sameSite: "none", partitioned: true, secure: true } },
    ],
    ["a domain with a leading dot", { cookie: { domain: ".example.com" } }],
    [
      "a lifetime over 400 days of a cookie that ends with the browser",
      { lifetime: "500d", cookie: { persist: false } },
    ],
    ["a lifetime over 400 days without a cookie", { lifetime: "500d", transport }],
    ["secrets of 32 characters", { secrets: [secret, secret.toUpperCase()], allowUnsigned: true }],
    ["a store with the three verbs only", { store: { ...storeWithout("find"), find: inner.find.bind(inner) } }],
  ];
  test.each(fine)("%s", (_, options) => {
    expect(() => construct(options)).not.toThrow();
  });

  test("undefined for any option as its default", async () => {
    const names = [
      "lifetime",
      "idleTimeout",
      "touchInterval",
      "store",
      "codec",
      "subject",
      "hashTokenInStore",
      "secrets",
    ];
    const more = [
      "allowUnsigned",
      "storeTimeout",
      "outage",
      "onGone",
      "maxBytes",
      "sweepInterval",
      "clock",
      "cookie",
      "transport",
    ];
    const sessions = construct(Object.fromEntries([...names, ...more].map((name) => [name, undefined])));
    const response = await visit(sessions, (session) => session.put("a", 1));
    expect(response.headers.getSetCookie()[0]).toMatch(/^session=[\w-]{43};.* Max-Age=86400;/);
  });

  test.each(["httpOnly", "secure", "path", "sameSite", "name"])(
    "undefined for cookie.%s as its default",
    async (option) => {
      const sent = { url: "https://localhost/" };
      const line = async (cookie: unknown): Promise<string> =>
        (await visit(construct({ cookie }), (session) => session.put("a", 1), sent)).headers
          .getSetCookie()[0]!
          .replace(/=[\w-]{43};/, "=T;")
          .replace(/Expires=[^;]*;/, "");
      expect(await line({ [option]: undefined })).toBe(await line({}));
    },
  );
});

describe("constructing", () => {
  test("writes to none of the caller's objects", async () => {
    const deepFreeze = <T extends object>(object: T): T => {
      for (const value of Object.values(object)) {
        if (typeof value === "object" && value !== null) deepFreeze(value as object);
      }
      return Object.freeze(object);
    };
    const options = deepFreeze({
      lifetime: "1h",
      idleTimeout: "20m",
      cookie: { name: uniqueName(), path: "/", sameSite: "strict" },
      secrets: [secret],
    } as const satisfies SessionOptions);
    const before = JSON.stringify(options);
    const sessions = new SessionManager(options);
    expect((await visit(sessions, (session) => session.put("a", 1))).status).toBe(200);
    expect(JSON.stringify(options)).toBe(before);
  });

  test("copies what it needs: options that are changed afterwards change nothing", async () => {
    const secrets = [secret];
    const cookie = { name: uniqueName() };
    const sessions = new SessionManager({ secrets, cookie });
    const { name } = cookie;
    secrets[0] = "x";
    cookie.name = "changed";
    const line = (await visit(sessions, (session) => session.put("a", 1))).headers.getSetCookie()[0]!;
    expect(line).toMatch(new RegExp(`^${name}=`));
    const token = line.slice(name.length + 1).split(";", 1)[0]!;
    expect((await sessions.load(token)).get("a")).toBe(1);
  });

  test("does no I/O, starts no timer and publishes nothing; neither does a request without session", async () => {
    const { clock, store, sessions, events } = setup({ idleTimeout: "20m", secrets: [secret] });
    expect([store.calls, clock.timers, events]).toEqual([[], 0, []]);
    await visit(sessions, (session) => session.get("a"));
    expect([store.calls, clock.timers, events]).toEqual([[], 0, []]);
    await visit(sessions, (session) => session.put("a", 1));
    expect(clock.timers).toBeGreaterThan(0); // so the count above means something
  });

  test("touches nothing of a store but to see that its verbs are there", () => {
    const asked = new Set<PropertyKey>();
    const store = new Proxy(new MemoryStore(), {
      get(target, property, receiver) {
        asked.add(property);
        return typeof Reflect.get(target, property, receiver) === "function"
          ? () => {
              throw new Error(`${String(property)} was called`);
            }
          : undefined;
      },
    });
    const clock = new TestClock();
    const name = uniqueName();
    const events = eventsOf(name);
    new SessionManager({ store, clock, cookie: { name } });
    expect([...asked].sort()).toEqual(["commit", "delete", "find"]);
    expect([clock.timers, events]).toEqual([0, []]);
  });
});
