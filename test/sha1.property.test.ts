// SHA-1 against OpenSSL's, for any text.
import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { sha1 } from "../src/sha1.ts";

test("the digest is OpenSSL's, whatever the text and its length", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
      expect(sha1(text)).toBe(createHash("sha1").update(text).digest("hex"));
    }),
  );
  for (const length of [0, 54, 55, 56, 63, 64, 65, 1000]) {
    const text = "x".repeat(length);
    expect(sha1(text)).toBe(createHash("sha1").update(text).digest("hex"));
  }
});
