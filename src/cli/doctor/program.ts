// Other programs, asked for what only they know: bounded in time, and never left behind.
import { basename } from "node:path";

/** Whoever takes longer has told us enough. */
const TIMEOUT_MS = 3000;
const LONGEST_OUTPUT_BYTES = 16 << 20;

export type Output =
  | { readonly kind: "done"; readonly text: string }
  /** It ran, and ended badly. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It could not be run. */
  | { readonly kind: "missing"; readonly reason: string };

/** Runs a program and returns what it printed. */
export function output(command: readonly [string, ...string[]], environment = process.env): Output {
  const name = basename(command[0]);
  const path = Bun.which(command[0], { PATH: `${environment.PATH ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin` });
  if (path === null) return { kind: "missing", reason: `there is no ${name}` };
  try {
    const run = Bun.spawnSync({
      cmd: [path, ...command.slice(1)],
      env: environment,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
      maxBuffer: LONGEST_OUTPUT_BYTES,
    });
    if (run.exitedDueToTimeout)
      return { kind: "failed", reason: `${name} did not end in ${TIMEOUT_MS / 1000} s` };
    if (run.exitCode === 0) return { kind: "done", text: run.stdout.toString() };
    const [words = ""] = run.stderr.toString().trim().split("\n");
    return { kind: "failed", reason: words || `${name} exited with ${run.exitCode ?? run.signalCode}` };
  } catch (error) {
    return { kind: "missing", reason: (error as Error).message };
  }
}
