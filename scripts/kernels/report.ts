// What a guest tells of itself and of its tests, read from the lines that it prints (tests.sh, test/reporter.ts).

/** The account of one guest; it grows with every line, and is complete when the guest has ended. */
export class Report {
  /** As people call the machine. */
  readonly machine: string;
  /** Which ones it ran. */
  readonly tests: string;
  /** Of the kernel, as it calls itself; unknown until the guest is up. */
  release = "unknown";
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Why the tests came to no end, or to a bad one. */
  mishap: string | undefined = "it went off before its tests had ended";
  /** Whether they came to an end, a good or a bad one. */
  isComplete = false;
  seconds = 0;
  readonly #started = performance.now();

  constructor(machine: string, tests: string) {
    this.machine = machine;
    this.tests = tests;
  }

  get isGood(): boolean {
    return this.mishap === undefined && this.failed === 0 && this.passed > 0;
  }

  /** Takes in a line. Returns it for people: whose it is, when it came, and what it says. */
  hear(line: string): string {
    this.seconds = Math.round((performance.now() - this.#started) / 1000);
    const [, release] = /^up: (\S+)/.exec(line) ?? [];
    if (release !== undefined) this.release = release;
    const [, passed, failed, skipped = 0] =
      /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line) ?? [];
    if (passed !== undefined)
      Object.assign(this, { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
    const [, status] = /^exit status: (\d+)$/.exec(line) ?? [];
    if (status !== undefined) {
      this.isComplete = true;
      this.mishap = status === "0" ? undefined : `exit status ${status}`;
    }
    return `${this.machine} ${this.tests} ${`${this.seconds} s`.padStart(6)}  ${line}`;
  }
}

/** One line a guest: what it was, how its tests fared, and how long it took. */
export function table(reports: readonly Report[]): string {
  const head = ["machine", "kernel", "tests", "passed", "failed", "skipped", "seconds", ""];
  const rows = reports.map(({ mishap = "", ...report }) => {
    const { machine, release, tests, passed, failed, skipped, seconds } = report;
    return [machine, release, tests, passed, failed, skipped, seconds, mishap].map(String);
  });
  const columns = head.map((title, at) => aligned([title, ...rows.map((row) => row[at] ?? "")]));
  const line = (at: number) => columns.map((cells) => cells[at]).join("  ");
  return ["", ...rows].map((_, at) => line(at).trimEnd()).join("\n");
}

/** A column's cells in one width; numbers stand at its right. */
function aligned([title = "", ...cells]: string[]): string[] {
  const width = Math.max(title.length, ...cells.map(({ length }) => length));
  const isNumber = cells.every((cell) => /^\d+$/.test(cell));
  return [title, ...cells].map((cell) => (isNumber ? cell.padStart(width) : cell.padEnd(width)));
}
