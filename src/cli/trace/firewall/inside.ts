// The programs that know the rules of a namespace, run in it.
import type { Namespace } from "../../../datapath/netns.ts";

/** nft answers in milliseconds; who asks shall not wait for one that is stuck. */
const LIMIT = { timeout: 5000, killSignal: "SIGKILL" } as const;

/** Runs a command in the namespace: a child is born where the calling thread is. */
export function runInside(
  namespace: Namespace,
  cmd: string[],
): { exitCode: number; stdout: string; stderr: string } {
  try {
    const run = namespace.inside(() => Bun.spawnSync({ cmd, stdout: "pipe", stderr: "pipe", ...LIMIT }));
    return { exitCode: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
  } catch (error) {
    // Bun throws when there is no such program.
    return { exitCode: 127, stdout: "", stderr: (error as Error).message };
  }
}
