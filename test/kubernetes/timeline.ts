// What happened when: a line for each step, as it ends.
import { writeSync } from "node:fs";

/** Asks until the answer is that nothing is missing. A question that fails is asked again. */
export type Until = (missing: () => Missing | Promise<Missing>) => Promise<void>;

/** What is not as it should be yet, in words; undefined when all is. */
export type Missing = string | undefined;

/** A step may have a remark, printed behind its "ok". It is to stop waiting when the signal is aborted. */
export type Work = (until: Until, signal: AbortSignal) => Promise<string | undefined>;

const POLL_MS = 100;
const WIDTH = 58;

/** Prints steps and how long they took; in place on a terminal, where the step that runs is shown too. */
export class Timeline {
  readonly #started = performance.now();
  readonly #interruption: AbortSignal;
  readonly #isTerminal = process.stdout.isTTY === true;

  /** Aborting `interruption` ends the step that runs, and no other begins. */
  constructor(interruption: AbortSignal) {
    this.#interruption = interruption;
  }

  /**
   * Runs a step. Throws when it fails, or takes longer than its limit, with what was still missing then. Limits are for
   * machines with other work, and no measure.
   */
  async step(what: string, limitS: number, work: Work): Promise<void> {
    this.#interruption.throwIfAborted();
    const started = performance.now();
    const at = seconds(started - this.#started);
    const row = (ms: number) => `${at}  ${what.padEnd(WIDTH)} ${seconds(ms)}`;
    if (this.#isTerminal) print(`${at}  ${what} …`);
    const show = (ending: string) =>
      print(`${this.#isTerminal ? "\r\x1b[K" : ""}${row(performance.now() - started)}  ${ending}\n`);
    try {
      const remark = await bounded(work, limitS, this.#interruption);
      show(remark ? `ok  ${remark}` : "ok");
    } catch (error) {
      const [reason] = String(error instanceof Error ? error.message : error).split("\n");
      show(`FAILED  ${reason}`);
      throw error;
    }
  }

  /** How long it is since the beginning, as the steps' times are printed. */
  get elapsed(): string {
    return seconds(performance.now() - this.#started).trim();
  }
}

async function bounded(work: Work, limitS: number, interruption: AbortSignal): Promise<string | undefined> {
  const signal = AbortSignal.any([interruption, AbortSignal.timeout(limitS * 1000)]);
  let last: Missing;
  const until: Until = async (missing) => {
    for (;;) {
      last = await answered(missing);
      if (last === undefined) return;
      signal.throwIfAborted();
      await Bun.sleep(POLL_MS);
    }
  };
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([work(until, signal), over]);
  } catch (error) {
    if (interruption.aborted) throw new Error("interrupted");
    if (signal.aborted) throw new Error(`not within ${limitS} s${last === undefined ? "" : `: ${last}`}`);
    throw error;
  }
}

async function answered(missing: () => Missing | Promise<Missing>): Promise<Missing> {
  try {
    return await missing();
  } catch (error) {
    return (error as Error).message.trim().split("\n").at(-1);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(6)} s`;
}

function print(text: string): void {
  writeSync(1, text);
}
