/** A program held still in the middle of its work, for others to do something meanwhile. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Call } from "./calls.ts";
import type { Outcome } from "./stage.ts";

/** How long others are waited for while it is held: those that need its locks get on only when it does. */
const PATIENCE_MS = 80;

/**
 * Runs a program, to be started as `[...through, EXECUTABLE]`, and holds it right after the call, which the kernel has
 * carried out; lets others begin, and lets it go when they are done or seem to wait for it. Returns the outcomes of both,
 * and whether the others were done while it was held. A call that never comes holds nothing up.
 */
export async function meanwhile<T>(
  run: (through: readonly string[]) => Promise<Outcome>,
  { name, nth }: Pick<Call, "name" | "nth">,
  begin: () => Promise<T>,
): Promise<{ outcome: Outcome; result: T; isDone: boolean }> {
  const directory = mkdtempSync(join(tmpdir(), "slash32-pause-"));
  const log = join(directory, "log");
  try {
    const inject = `inject=${name}:signal=STOP:when=${nth}`;
    const outcome = run(["strace", "-f", "-qq", "-o", log, "-e", `trace=${name}`, "-e", inject]);
    const pid = await held(log, outcome);
    try {
      const result = begin();
      const done = Promise.race([result.then(() => true), Bun.sleep(PATIENCE_MS).then(() => false)]);
      const isDone = (await done) && pid !== undefined;
      signal(pid, "SIGCONT");
      return { outcome: await outcome, result: await result, isDone };
    } catch (error) {
      signal(pid, "SIGKILL");
      throw error;
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, name);
  } catch {
    // It has ended.
  }
}

/** The process that is held; `undefined` when it has ended. */
async function held(log: string, ended: Promise<Outcome>): Promise<number | undefined> {
  let isOver = false;
  ended.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  while (!isOver) {
    const text = existsSync(log) ? readFileSync(log, "utf8") : "";
    const pid = /^(\d+) +--- stopped by SIGSTOP ---/m.exec(text)?.[1];
    if (pid !== undefined) return Number(pid);
    await Bun.sleep(2);
  }
  return undefined;
}
