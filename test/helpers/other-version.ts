/** The same program under another version: what an upgrade and a downgrade are made with. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { compileOptions } from "../../scripts/compile-options.ts";

const ROOT = join(import.meta.dirname, "../..");
const VERSION = /const VERSION = "[^"]+";/;

/** Compiled from the bundles of the last build, with the version in them replaced; goes when it is disposed of. */
export class OtherVersion implements Disposable {
  readonly executable: string;
  readonly #directory: string;

  constructor(version: string) {
    mkdirSync(join(ROOT, "build"), { recursive: true });
    this.#directory = mkdtempSync(join(ROOT, "build/other-"));
    cpSync(join(ROOT, "dist"), this.#directory, { recursive: true });
    const path = join(this.#directory, "cli/cli.js");
    const bundle = readFileSync(path, "utf8");
    if (!VERSION.test(bundle))
      throw new Error(`Cannot make version ${version}: the bundle does not tell its own`);
    writeFileSync(path, bundle.replace(VERSION, `const VERSION = ${JSON.stringify(version)};`));
    this.executable = join(this.#directory, "slash32");
    const options = compileOptions(join(this.#directory, "index.js"), this.executable);
    execaSync(join(ROOT, "node_modules/.bin/bun"), options, { cwd: ROOT });
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
