// `npm run test:kernels -- [--machine NAME] [TEST FILE...]`: the tests of the datapath and of the protocol in guests with
// Debian's kernels. Root, and the packages of `setup.sh kernels`; nothing on the host is touched.
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

/** As they are called, with the release of Debian that has the kernel, and what its command line shall say. */
const MACHINES = [
  { name: "6.1", release: "bookworm", options: "" },
  { name: "6.12", release: "trixie", options: "" },
  { name: "6.12-no-ipv6", release: "trixie", options: "ipv6.disable=1" },
] as const;

type Machine = (typeof MACHINES)[number];

/** Each is work for a guest of its own; the longest come first, so that the processors have an end at the same time. */
const TESTS = [["test/conformance/"], ["test/datapath/"]];

/** One guest: a machine, and the tests that it runs. */
interface Guest {
  readonly machine: Machine;
  readonly tests: readonly string[];
}

/** A machine of software is 10 to 20 times slower than the one it runs on, and there may be several. */
const PATIENCE = 20;

process.exit(await main());

/** Returns the exit status: 0 if every test passed in every guest, 2 if the arguments make no sense. */
async function main(): Promise<number> {
  const guests = chosen();
  if (guests === undefined) return 2;
  const interruption = onInterruption();
  for (const release of new Set(guests.map(({ machine }) => machine.release))) fetchKernel(release);
  const reports = await inTurns(guests, (guest) => tested(guest, interruption));
  const status = await interruptedStatus(interruption);
  if (status !== undefined) return status;
  print(`\n${table(reports)}`);
  return reports.every(({ isGood }) => isGood) ? 0 : 1;
}

/** By the arguments; says what is wrong with them where it returns undefined. */
function chosen(): Guest[] | undefined {
  try {
    const options = { machine: { type: "string" } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const machines = MACHINES.filter(({ name }) => name === (values.machine ?? name));
    const parts = positionals.length > 0 ? [positionals] : TESTS;
    if (machines.length > 0) return parts.flatMap((tests) => machines.map((machine) => ({ machine, tests })));
    const known = MACHINES.map(({ name }) => name).join(", ");
    print(`Cannot test in machine ${values.machine}: expected one of ${known}`);
  } catch (error) {
    print(`Cannot read the arguments: ${(error as Error).message}`);
  }
  print("Usage: npm run test:kernels -- [--machine NAME] [TEST FILE...]");
  return undefined;
}

function directoryOf(release: string): string {
  return join(ROOT, "node_modules/.cache/slash32/kernels", release);
}

function fetchKernel(release: string): void {
  const command = [join(import.meta.dirname, "fetch-kernel.sh"), release, directoryOf(release)];
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

async function tested({ machine, tests }: Guest, interruption: AbortSignal): Promise<Report> {
  const report = new Report(machine.name, tests.join(" "));
  if (interruption.aborted) return report;
  const script = ["bash", join(import.meta.dirname, "tests.sh"), ...tests].map(word).join(" ");
  const start = `PATIENCE=${PATIENCE} exec ${script}`;
  const hear = (line: string) => line === "" || print(report.hear(line));
  const made = { kernel: directoryOf(machine.release), options: machine.options, start };
  const { trouble, console } = await run(made, hear, interruption);
  report.mishap = trouble ?? report.mishap;
  if (!report.isComplete && !interruption.aborted) print(`${report.hear(`${report.mishap}`)}\n${console}`);
  return report;
}
