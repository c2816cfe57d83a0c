// Paths against Node's, for any path.
import path from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { basename, dirname, join } from "../src/paths.ts";

const name = fc.constantFrom("", ".", "..", "a", "b.conf", "…", "a b", "/", "//");
const text = fc.array(name, { maxLength: 8 }).map((names) => names.join("/"));

test("join is Node's, but for a slash at the end", () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), (parts) => {
      const nodes = path.posix.join(...parts).replace(/(?<=.)\/$/, "");
      expect(join(...parts)).toBe(nodes);
    }),
  );
});

test("basename and dirname are Node's, but for doubled slashes", () => {
  fc.assert(
    fc.property(text, (text) => {
      expect(basename(text)).toBe(path.posix.basename(text));
      expect(join(dirname(text))).toBe(join(path.posix.dirname(text)));
    }),
  );
});
