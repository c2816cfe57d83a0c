/** The system calls of the executable, one by one: counting them, making one the last, making one fail. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The nth call of that name on the main thread. */
export type Call = {
  readonly name: string;
  readonly nth: number;
  /** As strace prints it, for messages. */
  readonly text: string;
};

export type Calls = {
  /** Before the first line of ours runs: the C library and the engine. */
  readonly startUp: readonly Call[];
  /** From there to the end. */
  readonly own: readonly Call[];
};

/** What only the engine asks for, for its memory: how often differs from run to run. */
export const RUNTIME_CALLS: ReadonlySet<string> = new Set(["brk", "madvise", "mmap", "mprotect", "munmap"]);

/**
 * Runs a command, to be started as `[...through, EXECUTABLE]`, and tells the calls of its main thread. Its own ones begin
 * with the first that matches: a verb reads its standard input.
 */
export async function record(
  run: (through: readonly string[]) => Promise<unknown>,
  begin = /^read\(0,/,
): Promise<Calls> {
  const directory = mkdtempSync(join(tmpdir(), "slash32-strace-"));
  try {
    const log = join(directory, "log");
    await run(["strace", "-qq", "-s", "60", "-o", log]);
    return parse(readFileSync(log, "utf8"), begin);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What starts a command that is killed when it is about to make this call. */
export function stopAt({ name, nth }: Call): string[] {
  return strace(`${name}:signal=KILL:when=${nth}`);
}

/** What starts a command for which this call alone fails, without reaching the kernel. */
export function failAt({ name, nth }: Call, errno: string): string[] {
  return strace(`${name}:error=${errno}:when=${nth}`);
}

/** Without -f: each thread would have its own count, and another plugin its own life. */
function strace(inject: string): string[] {
  const name = inject.slice(0, inject.indexOf(":"));
  return ["strace", "-qq", "-o", "/dev/null", "-e", `trace=${name}`, "-e", `inject=${inject}`];
}

function parse(log: string, begin: RegExp): Calls {
  const counts = new Map<string, number>();
  const calls = log.split("\n").flatMap((text): Call[] => {
    const name = /^(\w+)\(/.exec(text)?.[1];
    if (name === undefined) return []; // a signal, or the end
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    return [{ name, nth, text: text.slice(0, 120) }];
  });
  const first = calls.findIndex(({ text }) => begin.test(text));
  if (first < 0) throw new Error(`Cannot tell where our own calls begin: ${log.slice(0, 2000)}`);
  return { startUp: calls.slice(0, first), own: calls.slice(first) };
}

/** Whether the kernel is asked for something, or a lock of ours is taken or let go of: where others may come between. */
export function isTurningPoint({ name, text }: Call): boolean {
  return /^(sendto|mkdir)$/.test(name) || /F_OFD_SETLKW?, |\/proc\/sys\/|leases\.db/.test(text);
}
