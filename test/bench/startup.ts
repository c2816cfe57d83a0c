// How long until our first line runs, and how long our own work takes from there to the answer.
//
// Measured on a copy of the executable, built from the same bundle with the same options, that tells the time at
// its first line and before its exit. The executable that is shipped has no such trace in it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { compileOptions } from "../../scripts/compile-options.ts";
import type { Contestant } from "./contestants.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Descriptor 2 is nobody else's in a run that succeeds. */
const TRACE = `import { writeSync as traceWrite } from "node:fs";
const traceFirst = performance.timeOrigin + performance.now();
function traceExit(code) {
  const last = performance.timeOrigin + performance.now();
  traceWrite(2, JSON.stringify({ first: traceFirst, last }));
  process.exit(code);
}
`;

/** In milliseconds of the wall clock since 1970, with fractions. */
export interface Trace {
  readonly first: number;
  readonly last: number;
}

/** Builds the copy in build/, and returns a contestant that is like the one given otherwise. */
export function traced(contestant: Contestant): Contestant {
  const bundle = readFileSync(join(ROOT, "dist/index.js"), "utf8");
  if (!bundle.includes("process.exit(")) throw new Error("Cannot trace: the bundle has no process.exit(");
  const entry = join(ROOT, "dist/traced.js"); // beside what it imports
  const executable = join(ROOT, "build/traced");
  writeFileSync(entry, TRACE + bundle.replaceAll("process.exit(", "traceExit("));
  execaSync(join(ROOT, "node_modules/.bin/bun"), compileOptions(entry, executable), { cwd: ROOT });
  return { ...contestant, executable };
}

export function readTrace(stderr: string): Trace {
  try {
    return JSON.parse(stderr);
  } catch (error) {
    throw new Error(`Cannot read a trace: ${JSON.stringify(stderr)}`, { cause: error });
  }
}
