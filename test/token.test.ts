// Tokens: how they look, and which are taken for ours.
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newToken, sha256, signed, unsigned } from "../src/token.ts";

const secrets = ["first secret", "second secret", "third secret"] as const;
const [newest, older, oldest] = secrets;

/** A token with one character of it replaced, inserted or left out. */
const damaged = (text: string) =>
  fc
    .tuple(fc.nat(text.length - 1), fc.constantFrom("", "A", "B", "-", ".", "=", " ", "\n", "é", "\0"), fc.boolean())
    .map(([at, char, insert]) => text.slice(0, at) + char + text.slice(insert ? at : at + 1))
    .filter((changed) => changed !== text);

describe("a new token", () => {
  test("is 32 bytes in base64url, and never the same", () => {
    const tokens = Array.from({ length: 1_000 }, newToken);
    expect(new Set(tokens).size).toBe(1_000);
    for (const token of tokens) {
      expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(Buffer.from(token, "base64url").toString("base64url")).toBe(token);
      expect(Buffer.from(token, "base64url")).toHaveLength(32);
    }
  });

  test("is opened as it is, with no secrets", () => {
    const token = newToken();
    expect(unsigned.wrap(token)).toBe(token);
    expect(unsigned.open(token)).toStrictEqual({ token, stale: false });
  });
});

test("the hash is SHA-256 in base64url, as everybody computes it", () => {
  expect(sha256("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(sha256(text)).toBe(createHash("sha256").update(text).digest("base64url"));
    }),
  );
});

describe("without secrets", () => {
  test("everything of another form is refused", () => {
    const token = newToken();
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), damaged(token)), (text) => {
        expect(unsigned.open(text) !== undefined).toBe(/^[A-Za-z0-9_-]*$/.test(text) && text.length === 43);
      }),
      { numRuns: 2_000 },
    );
    for (const text of [`${token}\n`, `\n${token}`, ` ${token}`, `${token}.${token}`, `${token}=`, ""]) {
      expect(unsigned.open(text)).toBeUndefined();
    }
  });
});

describe("with secrets", () => {
  const framing = signed(secrets, false);

  test("a token is signed with HMAC-SHA-256 under the newest", () => {
    const token = newToken();
    const signature = createHmac("sha256", newest).update(token).digest("base64url");
    expect(framing.wrap(token)).toBe(`${token}.${signature}`);
    expect(framing.open(framing.wrap(token))).toStrictEqual({ token, stale: false });
  });

  test("a token under an older one is taken, to be signed again", () => {
    const token = newToken();
    for (const secret of [older, oldest]) {
      expect(framing.open(signed([secret], false).wrap(token))).toStrictEqual({ token, stale: true });
    }
    expect(framing.open(signed(["another secret"], false).wrap(token))).toBeUndefined();
  });

  test("whatever is changed on a signed token, it is refused", () => {
    const text = framing.wrap(newToken());
    fc.assert(
      fc.property(damaged(text), (changed) => {
        expect(framing.open(changed)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
    const [token, signature] = text.split(".") as [string, string];
    const other = newToken();
    for (const forged of [
      token,
      `${token}.`,
      `.${signature}`,
      `${other}.${signature}`,
      `${token}.${token}`,
      `${text}\n`,
    ]) {
      expect(framing.open(forged)).toBeUndefined();
    }
  });

  test("no text opens by chance, and none throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(framing.open(text)).toBeUndefined();
      }),
    );
  });

  test("an unsigned token is taken while signing is being introduced, a forged one is not", () => {
    const lenient = signed(secrets, true);
    const token = newToken();
    expect(lenient.open(token)).toStrictEqual({ token, stale: true });
    expect(lenient.open(lenient.wrap(token))).toStrictEqual({ token, stale: false });
    expect(lenient.open(`${token}.${newToken()}`)).toBeUndefined();
    expect(lenient.open(`${token}x`)).toBeUndefined();
  });
});
