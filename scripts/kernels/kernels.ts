// `npm run test:kernels -- [--kernel VERSION] [TEST FILE...]`: the tests of the datapath and of the protocol in guests
// with Debian's kernels. Root, and the packages of `setup.sh kernels`; nothing on the host is touched.
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { execaSync } from "execa";
import { word } from "../../src/shell.ts";
import { interruptedStatus, onInterruption } from "../demo/interruption.ts";
import { print } from "../demo/terminal.ts";
import { run } from "./guest.ts";
import { Report, table } from "./report.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Kernel, the release of Debian that has it, and what its command line shall say. */
const MACHINES = [
  { kernel: "6.1", release: "bookworm", options: "" },
  { kernel: "6.12", release: "trixie", options: "" },
  { kernel: "6.12", release: "trixie", options: "ipv6.disable=1" },
] as const;

type Choice = (typeof MACHINES)[number];

const TESTS = ["test/datapath/", "test/conformance/"];

/** A machine of software is 10 to 20 times slower than the one it runs on, and there may be several. */
const PATIENCE = 20;

process.exit(await main());

/** Returns the exit status: 0 if every test passed in every guest, 2 if the arguments make no sense. */
async function main(): Promise<number> {
  const choice = chosen();
  if (choice === undefined) return 2;
  const interruption = onInterruption();
  for (const { kernel, release } of choice.machines) fetchKernel(kernel, release);
  const reports = await inTurns(choice.machines, (machine) => tested(machine, choice.tests, interruption));
  const status = await interruptedStatus(interruption);
  if (status !== undefined) return status;
  print(`\n${table(reports)}`);
  return reports.every(({ isGood }) => isGood) ? 0 : 1;
}

/** By the arguments; says what is wrong with them where it returns undefined. */
function chosen(): { machines: readonly Choice[]; tests: readonly string[] } | undefined {
  try {
    const options = { kernel: { type: "string" } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const machines = MACHINES.filter(({ kernel }) => values.kernel === undefined || values.kernel === kernel);
    if (machines.length > 0) return { machines, tests: positionals.length > 0 ? positionals : TESTS };
    const known = [...new Set(MACHINES.map(({ kernel }) => kernel))].join(" or ");
    print(`Cannot test in kernel ${values.kernel}: expected ${known}`);
  } catch (error) {
    print(`Cannot read the arguments: ${(error as Error).message}`);
  }
  print("Usage: npm run test:kernels -- [--kernel VERSION] [TEST FILE...]");
  return undefined;
}

function directoryOf(kernel: string): string {
  return join(ROOT, "node_modules/.cache/slash32/kernels", kernel);
}

function fetchKernel(kernel: string, release: string): void {
  const command = [join(import.meta.dirname, "fetch-kernel.sh"), release, directoryOf(kernel)];
  execaSync("sh", command, { stdio: "inherit" });
}

/** A guest has one processor: as many at the same time as the host has, each as one before it ends. */
async function inTurns<T, R>(things: readonly T[], work: (thing: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = [...things.entries()];
  const take = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, take));
  return results;
}

async function tested(choice: Choice, tests: readonly string[], interruption: AbortSignal): Promise<Report> {
  const { kernel, options } = choice;
  const report = new Report(kernel, options);
  if (interruption.aborted) return report;
  const script = ["bash", join(import.meta.dirname, "tests.sh"), ...tests].map(word).join(" ");
  const machine = { kernel: directoryOf(kernel), options, start: `PATIENCE=${PATIENCE} exec ${script}` };
  const hear = (line: string) => line === "" || print(report.hear(line));
  const { trouble, console } = await run(machine, hear, interruption);
  report.mishap = trouble ?? report.mishap;
  if (!report.isComplete && !interruption.aborted) print(`${report.hear(`${report.mishap}`)}\n${console}`);
  return report;
}
