/** An API server, as far as a node is looked up in it: a process in a network namespace, TLS, answers from files. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Certificate } from "./certificates.ts";
import type { TestNetns } from "./lab.ts";

export type ServedAnswer = {
  readonly status?: number;
  readonly body?: unknown;
  /** Instead of a body that is JSON. */
  readonly text?: string;
  /** In chunks; not at all; not to the end. Default: at once, with its length. */
  readonly how?: "chunked" | "silent" | "cut";
};

const PROGRAM = join(import.meta.dirname, "../fixtures/programs/api-server.ts");

/** Listens on port 6443. Asked without "Bearer right", it says 401; for a path that it does not know, 404. */
export class ApiServer implements Disposable {
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  static async start(
    netns: TestNetns,
    address: string,
    { key, certificate }: Certificate,
  ): Promise<ApiServer> {
    const directory = mkdtempSync(join(tmpdir(), "slash32-api-"));
    const program = [process.execPath, PROGRAM, key, certificate, directory, address];
    const child = spawn("nsenter", [`--net=${netns.path}`, "--", ...program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve, reject) => {
      child.stdout?.once("data", resolve);
      child.once("close", () => reject(new Error(`Cannot start ${PROGRAM}`)));
    });
    return new ApiServer(child, directory);
  }

  /** What it says from now on when it is asked for the path. */
  serve(path: string, answer: ServedAnswer): void {
    writeFileSync(join(this.#directory, path.replaceAll("/", "_")), JSON.stringify(answer));
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true });
  }
}
