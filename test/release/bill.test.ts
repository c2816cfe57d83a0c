// The bill of materials of a release: it names what is in the executable, all of it and nothing else.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HOST } from "../../scripts/link.ts";
import { billOfMaterials } from "../../scripts/release/bill.ts";

const ROOT = join(import.meta.dirname, "../..");

const packages: string[] = JSON.parse(readFileSync(join(ROOT, "dist/packages.json"), "utf8"));

function bill(): string {
  return billOfMaterials({ path: "bin/slash32", architecture: "amd64", target: HOST }, packages);
}

test("it names what is in the bundles, what is linked in, and no tool of ours", () => {
  const { components, metadata } = JSON.parse(bill());
  const names = components.map(({ name }: { name: string }) => name);
  const imported = ["@pkgjs/parseargs", "ajv", "fflate"];
  expect(names).toEqual([...imported, "quickjs", "sqlite3", "openssl", "glibc", "gcc-12"]);
  expect(metadata.component.name).toBe("slash32");
});

test("each has a version, a licence and an address", () => {
  for (const { name, version, licenses, purl } of JSON.parse(bill()).components) {
    expect(version, name).toMatch(/^\d/);
    expect(licenses, name).toHaveLength(1);
    expect(purl, name).toMatch(/^pkg:(npm|deb\/debian)\/[^@]+@\d/);
  }
});

test("it comes out the same, whenever it is made", () => {
  expect(bill()).toBe(bill());
});

test("the licences of all of it go with it", () => {
  const licences = readFileSync(join(ROOT, "dist/licenses.txt"), "utf8").split("\n");
  const linked = ["QuickJS", "SQLite", "OpenSSL", "GNU C Library", "GCC's runtime library"];
  expect(licences).toEqual(expect.arrayContaining([...linked, ...packages]));
});
