// Other programs, asked for what only they know: found as a shell finds them, bounded in time, and never left behind.
import { readLink } from "../directories.ts";
import { isExecutable } from "../files.ts";
import { basename } from "../paths.ts";
import { run } from "../spawn.ts";

/** Whoever takes longer has told us enough. */
const TIMEOUT_MS = 5000;
const LONGEST_OUTPUT_BYTES = 16 << 20;
/** Where root's programs are, though a runtime or a service may have a shorter PATH. */
const USUAL_PATH = "/usr/sbin:/sbin:/usr/bin:/bin";

export type Output =
  | { readonly kind: "done"; readonly text: string }
  /** It ran, and ended badly. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It could not be run. */
  | { readonly kind: "missing"; readonly reason: string };

/** Runs a program, in the calling thread's network namespace, and returns what it printed. */
export function output(command: readonly [string, ...string[]], environment = process.env): Output {
  const name = basename(command[0]);
  const path = findProgram(command[0], environment.PATH ?? "");
  if (path === undefined) return { kind: "missing", reason: `there is no ${name}` };
  try {
    const { exitCode, signal, timedOut, stdout, stderr } = run({
      command: [path, ...command.slice(1)],
      environment,
      timeoutMs: TIMEOUT_MS,
      longestOutputBytes: LONGEST_OUTPUT_BYTES,
    });
    if (timedOut) return { kind: "failed", reason: `${name} did not end in ${TIMEOUT_MS / 1000} s` };
    if (exitCode === 0) return { kind: "done", text: stdout };
    const [words = ""] = stderr.trim().split("\n");
    return { kind: "failed", reason: words || `${name} exited with ${exitCode ?? signal}` };
  } catch (error) {
    return { kind: "missing", reason: (error as Error).message };
  }
}

/** The path of the program that runs this. */
export function ownExecutable(): string {
  return readLink("/proc/self/exe");
}

function findProgram(name: string, path: string): string | undefined {
  if (name.includes("/")) return isExecutable(name) ? name : undefined;
  const candidates = `${path}:${USUAL_PATH}`.split(":").map((directory) => `${directory}/${name}`);
  return candidates.find(isExecutable);
}
