// The session cookie: read against independent parsers of Cookie, written against independent parsers of Set-Cookie.
import { parseCookie } from "cookie";
import fc from "fast-check";
import { parseSetCookie } from "set-cookie-parser";
import { Cookie } from "tough-cookie";
import { describe, expect, test } from "vitest";
import { cookie, SessionError, SessionManager, type CookieOptions, type IncomingRequest } from "scs-session";
import { loadAndSave } from "scs-session/fetch";
import { TestClock } from "scs-session/testing";
import { cookieDefaults, maxPersistence, readCookie } from "../src/cookie.ts";

/** A Set-Cookie header as set-cookie-parser reads it. */
const parse = (line: string) => parseSetCookie([line], { decodeValues: false })[0]!;
const anyToken = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/);
const cookieNames = ["session", "__Host-s", "a", "$Version", "a.b", "sessio", "session2"];
/** What cookie headers are made of, and what they are not. */
const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(...cookieNames, "=", ";", "; ", '"', ",", " ", "\t", "==", "%", "%20", "Session"),
  },
  anyToken,
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
);
const anyHeader = fc.oneof(
  fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join("")),
  fc.string({ unit: "binary" }),
);

/** Every value of a name as tough-cookie and cookie see them, bare of quotes. */
function independently(header: string, name: string): Set<string> {
  const values: string[] = [];
  for (const pair of header.split(";")) {
    const { [name]: value } = parseCookie(pair, { decode: String });
    if (value !== undefined) values.push(value);
    // tough-cookie takes a header of one cookie for a Set-Cookie; it cuts lines, which HTTP has no place for.
    const parsed = /[\0\r\n]/.test(pair) ? undefined : Cookie.parse(pair);
    if (parsed?.key === name) values.push(parsed.value);
  }
  return new Set(values.flatMap((value) => [value, value.replace(/^"(.*)"$/s, "$1")]));
}

describe("reading a Cookie header", () => {
  test("never throws, and finds nothing that independent parsers do not", () => {
    fc.assert(
      fc.property(anyHeader, fc.constantFrom(...cookieNames), (header, name) => {
        const found = readCookie(header, name);
        if (found.length === 0) return;
        const known = independently(header, name);
        for (const value of found) expect(known).toContain(value);
        expect(parseCookie(header)).toHaveProperty([name]);
      }),
      { numRuns: 20_000 },
    );
  });

  test("finds every token among cookies of any kind, in order, bare or quoted", () => {
    const other = fc.tuple(fc.constantFrom("a", "b", "sessions", "xsession"), fc.stringMatching(/^[^;]{0,9}$/)).map(([name, value]) => `${name}=${value}`); // prettier-ignore
    const ours = fc.record({ token: anyToken, quoted: fc.boolean() });
    const separator = fc.constantFrom(";", "; ", ";  ", ";\t", " ; ", ";;");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.oneof(other, ours), separator), { maxLength: 12 }), (cookies) => {
        const tokens = cookies.flatMap(([each]) => (typeof each === "string" ? [] : [each.token]));
        const header = cookies
          .map(([each, after]) => {
            if (typeof each === "string") return each + after;
            return `session=${each.quoted ? `"${each.token}"` : each.token}${after}`;
          })
          .join("");
        expect(readCookie(header, "session")).toStrictEqual(tokens);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each<[string | undefined, string[]]>([
    [undefined, []],
    ["", []],
    ["session", []],
    ["session=", [""]],
    ["session==x", ["=x"]],
    ["Session=x", []],
    ["session=x", ["x"]],
    ['session="x"', ["x"]],
    ['session="x', ['"x']],
    ['session="', ['"']],
    ['session=""', [""]],
    ["session=x; session=y", ["x", "y"]],
    ["\t session=x", ["x"]],
    ["session =x", []],
    ["a=session=x", []],
    ["a=b, session=x", []],
    ["__proto__=x; session=y", ["y"]],
    ["session=%61", ["%61"]],
    ["session=\u00a0x", ["\u00a0x"]],
    [";;;=;session=x;;", ["x"]],
  ])("%j has %j", (header, values) => {
    expect(readCookie(header, "session")).toStrictEqual(values);
  });

  test.each<[string, string]>([
    ["spaces", " ".repeat(65_536)],
    ["spaces in a value", `session=x${" ".repeat(65_000)}x`],
    ["semicolons", ";".repeat(65_536)],
    ["a space before each semicolon", " ;".repeat(32_768)],
    ["equals signs", "=".repeat(65_536)],
    ["cookies of almost the name", "sessio=;".repeat(8_192)],
    ["cookies of the name", "session=;".repeat(7_281)],
    ["one long value", `session=${"x".repeat(65_000)}`],
  ])("64 KB of %s take no time", (_name, header) => {
    const start = performance.now();
    for (let i = 0; i < 10; i++) readCookie(header, "session");
    expect(performance.now() - start).toBeLessThan(500); // what is quadratic takes seconds
  });
});

describe("through a manager", () => {
  const sessions = new SessionManager<{ user: number }>();
  const handle = loadAndSave(sessions, (request) => {
    const session = sessions.of(request);
    if (new URL(request.url).pathname === "/login") session.put("user", 1);
    return new Response(String(session.getNumber("user")));
  });
  const request = (path: string, header: string): Request =>
    new Request(`http://host${path}`, { headers: { cookie: header } });
  const logIn = async (): Promise<string> => {
    const response = await handle(request("/login", "a=b"));
    return parse(response.headers.getSetCookie()[0]!).value;
  };

  test("a token is found wherever it stands, and no other cookie counts", async () => {
    const token = await logIn();
    const unknown = "x".repeat(43);
    for (const header of [
      `session=${token}`,
      `session="${token}"`,
      `a=b;session=${token};c`,
      `session=; session=garbage; session=${token}`,
      `session=${unknown}; session=${token}`,
      `session=${token}; session=${unknown}; session=${unknown.toUpperCase()}`,
      `${"session=no; ".repeat(10)}session=${token}`,
    ]) {
      expect([header, await (await handle(request("/", header))).text()]).toStrictEqual([header, "1"]);
    }
    for (const header of [`Session=${token}`, `session2=${token}`, `a=session=${token}`, `session=${token}x`, token]) {
      expect([header, await (await handle(request("/", header))).text()]).toStrictEqual([header, "0"]);
    }
  });

  test("any header that fetch lets pass gives an answer", async () => {
    await fc.assert(
      fc.asyncProperty(anyHeader, async (header) => {
        let given: Request;
        try {
          given = request("/", header);
        } catch {
          fc.pre(false); // not a header
          return;
        }
        const response = await handle(given);
        expect([response.status, await response.text()]).toStrictEqual([200, "0"]);
        expect(response.headers.getSetCookie()).toStrictEqual([]);
      }),
      { numRuns: 1_000, maxSkipsPerRun: 1_000 },
    );
  });

  test("load takes any strings for tokens and gives a session", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.string({ unit: "binary" }))),
        async (tokens) => {
          expect((await sessions.load(tokens)).isNew).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

const over = (https: boolean, forwarded?: string): IncomingRequest => ({
  header: (name) => (name === "x-forwarded-proto" ? forwarded : undefined),
  isSecure: () => https,
  keys: [],
});

/** What a transport writes. */
function write(
  options: CookieOptions | undefined,
  credential: { expiry: number; persistent: boolean } | undefined,
  now: number,
  request = over(true),
) {
  const headers = new Headers();
  const token = "t".repeat(43);
  cookie(options).write(headers, credential && { ...credential, token, now }, request);
  const [line] = headers.getSetCookie();
  return { line: line!, token };
}

describe("writing a Set-Cookie header", () => {
  const anyLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
  const anyOptions: fc.Arbitrary<CookieOptions> = fc
    .record(
      {
        name: fc.stringMatching(/^[!#$%&'*+.^`|~0-9A-Za-z][!#$%&'*+\-.^_`|~0-9A-Za-z]{0,20}$/),
        prefix: fc.constantFrom("", "__Secure-", "__Host-"),
        domain: fc.option(fc.array(anyLabel, { minLength: 1, maxLength: 4 }).map((labels) => labels.join(".")), { nil: undefined }), // prettier-ignore
        path: fc.stringMatching(/^\/[!#-:=?-~]{0,20}$/),
        httpOnly: fc.boolean(),
        sameSite: fc.constantFrom("strict" as const, "lax" as const, "none" as const),
        secure: fc.constantFrom<NonNullable<CookieOptions["secure"]>>(
          true,
          false,
          "auto",
          () => true,
          () => false,
        ),
        partitioned: fc.boolean(),
        persist: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    .map(({ prefix = "", ...options }) => ({
      ...options,
      ...(prefix === "" ? {} : { name: prefix + (options.name ?? "s") }),
    }));

  /** The rules of RFC 6265bis, once more. */
  function isRefused({ name = "session", domain, path = "/", sameSite, secure, partitioned }: CookieOptions): boolean {
    if (name.startsWith("__Host-") && (domain !== undefined || path !== "/")) return true;
    return secure !== true && (name.startsWith("__") || sameSite === "none" || partitioned === true);
  }

  test("every valid combination of options reads back as it was given, any other is refused", () => {
    const seen = { valid: 0, refused: 0 };
    const anyTime = fc.integer({ min: 0, max: 4e12 });
    const anyCredential = fc.option(fc.record({ left: fc.integer({ min: 1, max: 1e11 }), persistent: fc.boolean() }), { nil: undefined }); // prettier-ignore
    fc.assert(
      fc.property(anyOptions, anyTime, anyCredential, fc.boolean(), (options, now, given, https) => {
        const credential = given && { expiry: now + given.left, persistent: given.persistent };
        if (isRefused(options)) {
          seen.refused++;
          expect(() => cookie(options)).toThrow(expect.objectContaining({ code: "invalid-option" }) as SessionError);
          return;
        }
        seen.valid++;
        const { line, token } = write(options, credential, now, over(https));
        const complete = { ...cookieDefaults, ...options };
        const { secure } = complete;
        const isSecure = secure === "auto" ? https : typeof secure === "function" ? secure(over(https)) : secure;

        const simple = parse(line);
        expect(simple.name).toBe(complete.name);
        expect(simple.value).toBe(credential === undefined ? "" : token);
        expect(simple.path).toBe(complete.path);
        expect(simple.domain).toBe(complete.domain);
        expect(simple.httpOnly ?? false).toBe(complete.httpOnly);
        expect(simple.secure ?? false).toBe(isSecure);
        expect(simple.sameSite?.toLowerCase()).toBe(complete.sameSite);
        expect(simple.partitioned ?? false).toBe(complete.partitioned);

        const tough = Cookie.parse(line)!;
        expect([tough.key, tough.value]).toStrictEqual([complete.name, credential === undefined ? "" : token]);
        expect([tough.path, tough.domain]).toStrictEqual([complete.path, complete.domain ?? null]);
        expect([tough.httpOnly, tough.secure]).toStrictEqual([complete.httpOnly, isSecure]);
        expect(tough.sameSite).toBe(complete.sameSite);

        if (credential === undefined) {
          expect([simple.maxAge, simple.expires?.getTime()]).toStrictEqual([0, 1_000]);
          expect(tough.expiryTime()).toBeLessThan(now + 1);
        } else if (!credential.persistent) {
          expect([simple.maxAge, simple.expires, tough.isPersistent()]).toStrictEqual([undefined, undefined, false]);
        } else {
          const left = Math.min(credential.expiry - now, maxPersistence);
          expect(simple.maxAge).toBe(Math.ceil(left / 1_000));
          expect((tough.expires as Date).getTime()).toBe(Math.ceil((now + left) / 1_000) * 1_000);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(seen.valid, seen.refused)).toBeGreaterThan(300);
  });

  test("by default, over HTTPS, says everything that protects it", () => {
    const [pair, ...attributes] = write(undefined, { expiry: 90_500, persistent: true }, 500).line.split("; ");
    expect(pair).toBe(`session=${"t".repeat(43)}`);
    expect(attributes.sort()).toStrictEqual(
      ["Expires=Thu, 01 Jan 1970 00:01:31 GMT", "HttpOnly", "Max-Age=90", "Path=/", "SameSite=Lax", "Secure"], // prettier-ignore
    );
  });

  test("lets X-Forwarded-Proto raise the protection, never lower it", () => {
    const credential = { expiry: 1_000, persistent: false };
    for (const [https, forwarded, expected] of [
      [false, undefined, false],
      [false, "http", false],
      [false, "https", true],
      [false, " HTTPS , http", true],
      [false, "http, https", false],
      [true, "http", true],
    ] as const) {
      const { line } = write({}, credential, 0, over(https, forwarded));
      expect([https, forwarded, line.includes(" Secure;")]).toStrictEqual([https, forwarded, expected]);
    }
  });
});

describe("the options", () => {
  test("that are undefined are those by default: none of the protection goes away", () => {
    const undefinedOptions = Object.fromEntries(Object.keys(cookieDefaults).map((name) => [name, undefined]));
    const credential = { expiry: 1_000, persistent: true };
    expect(write(undefinedOptions, credential, 0)).toStrictEqual(write(undefined, credential, 0));
    expect(cookie(undefinedOptions).persist).toBe(true);
  });

  test.each<[string, Record<string, unknown>]>([
    ["maxAge", { maxAge: 1 }],
    ["expires", { expires: new Date() }],
    ["samesite", { samesite: "strict" }],
    ["httpOnly", { httpOnly: "false" }],
    ["partitioned", { partitioned: 1, secure: true }],
    ["persist", { persist: "no" }],
    ["secure", { secure: "true" }],
    ["secure", { secure: 1 }],
    ["sameSite", { sameSite: "Lax" }],
    ["sameSite", { sameSite: false }],
    ["name", { name: "" }],
    ["name", { name: "a b" }],
    ["name", { name: "a=b" }],
    ["name", { name: "a;b" }],
    ["name", { name: "sitzung\u00e4" }],
    ["name", { name: "a\n" }],
    ["path", { path: "" }],
    ["path", { path: "app" }],
    ["path", { path: "/a;b" }],
    ["path", { path: "/a\r\nset-cookie: x=y" }],
    ["path", { path: "/\u00e4" }],
    ["domain", { domain: "" }],
    ["domain", { domain: "a_b.example" }],
    ["domain", { domain: "example.com; path=/" }],
    ["domain", { domain: "example.com\n" }],
    ["name", { name: "__Host-s" }],
    ["name", { name: "__host-s", secure: "auto" }],
    ["name", { name: "__Secure-s", secure: false }],
    ["name", { name: "__Host-s", secure: true, path: "/app" }],
    ["name", { name: "__Host-s", secure: true, domain: "example.com" }],
    ["sameSite", { sameSite: "none" }],
    ["partitioned", { partitioned: true }],
  ])("with a bad %s are refused: %j", (name, options) => {
    const act = (): unknown => cookie(options);
    expect(act).toThrow(expect.objectContaining({ code: "invalid-option", status: 500 }) as SessionError);
    expect(act).toThrow(new RegExp(`^cookie\\..*${name}`));
    expect(() => new SessionManager({ cookie: options })).toThrow(SessionError);
  });

  test("are not written to, and later changes to them count for nothing", () => {
    const options: { name: string } = Object.freeze({ name: "a" });
    expect(cookie(options).name).toBe("a");
    const mutable = { name: "a" };
    const transport = cookie(mutable);
    mutable.name = "b";
    const headers = new Headers();
    transport.write(headers, undefined, over(false));
    expect(headers.get("set-cookie")).toMatch(/^a=;/);
  });
});

test("a cookie never outlives 400 days, whatever the session's deadline", async () => {
  const clock = new TestClock();
  const sessions = new SessionManager({ clock, lifetime: "400d" });
  const session = await sessions.load();
  session.put("a", 1);
  session.setDeadline(new Date(8.64e15));
  const { headers } = await sessions.commit(session);
  expect(parse(headers[0]![1]).maxAge).toBe(maxPersistence / 1_000);
});
