/** The same program under another version: what an upgrade and a downgrade are made with. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { link, MODULES } from "../../scripts/link.ts";

const ROOT = join(import.meta.dirname, "../..");
const VERSION = /const VERSION = "[^"]+";/;

/** Linked from the bundles of the last build, with the version in them replaced; goes when it is disposed of. */
export class OtherVersion implements Disposable {
  readonly executable: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.executable = join(directory, "slash32");
  }

  static async make(version: string): Promise<OtherVersion> {
    mkdirSync(join(ROOT, "build"), { recursive: true });
    const other = new OtherVersion(mkdtempSync(join(ROOT, "build/other-")));
    const bundle = join(other.#directory, "cli.js");
    const cli = MODULES.find(({ name }) => name === "cli");
    const code = readFileSync(join(ROOT, cli?.bundle ?? ""), "utf8");
    if (!VERSION.test(code))
      throw new Error(`Cannot make version ${version}: the bundle does not tell its own`);
    writeFileSync(bundle, code.replace(VERSION, `const VERSION = ${JSON.stringify(version)};`));
    const modules = MODULES.map((each) => (each === cli ? { ...each, bundle } : each));
    await link(modules, other.executable);
    return other;
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
