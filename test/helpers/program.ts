/** Programs of test/fixtures/programs, each a process of its own in the runtime of the tests. */

import { join } from "node:path";
import { execa } from "execa";
import { patient } from "./patience.ts";

const DIRECTORY = join(import.meta.dirname, "../fixtures/programs");

/** Starts a program. Its failure is an outcome; ending it is the caller's business. */
export function start(name: string, ...args: readonly string[]) {
  return execa(process.execPath, [join(DIRECTORY, `${name}.ts`), ...args], {
    reject: false,
    timeout: patient(10_000),
    killSignal: "SIGKILL",
  });
}
