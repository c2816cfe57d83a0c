// How long until our first line runs, and how long our own work takes from there to the answer.
//
// Measured on a copy of the executable, built from the same bundles, that tells the time at
// its first line and before its exit. The executable that is shipped has no such trace in it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { link, MODULES } from "../../scripts/link.ts";
import type { Contestant } from "./contestants.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Descriptor 2 is nobody else's in a run that succeeds. */
const TRACE = `import { dlopen as traceOpen, ptr as tracePointer } from "bun:ffi";
const { symbols: traceC } = traceOpen("libc.so.6", {
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
});
function traceNow() {
  const time = new BigInt64Array(2);
  traceC.clock_gettime(0, tracePointer(time)); // CLOCK_REALTIME
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
}
const traceFirst = traceNow();
function traceExit(code) {
  const text = new TextEncoder().encode(JSON.stringify({ first: traceFirst, last: traceNow() }));
  traceC.write(2, tracePointer(text), text.length);
  process.exit(code);
}
`;

/** In milliseconds of the wall clock since 1970, with fractions. */
export interface Trace {
  readonly first: number;
  readonly last: number;
}

/** Builds the copy in build/, and returns a contestant that is like the one given otherwise. */
export async function traced(contestant: Contestant): Promise<Contestant> {
  const modules = MODULES.map((each) =>
    each.name === "main" ? { ...each, bundle: "build/traced.js" } : each,
  );
  const bundle = readFileSync(join(ROOT, "dist/index.js"), "utf8");
  if (!bundle.includes("process.exit(")) throw new Error("Cannot trace: the bundle has no process.exit(");
  writeFileSync(join(ROOT, "build/traced.js"), TRACE + bundle.replaceAll("process.exit(", "traceExit("));
  const executable = join(ROOT, "build/traced");
  await link(modules, executable);
  return { ...contestant, executable };
}

export function readTrace(stderr: string): Trace {
  try {
    return JSON.parse(stderr);
  } catch (error) {
    throw new Error(`Cannot read a trace: ${JSON.stringify(stderr)}`, { cause: error });
  }
}
