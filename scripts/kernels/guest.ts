// A guest: another kernel in a machine of software (qemu's TCG), with the host's files and no network.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { initramfs } from "./initramfs.ts";

/** What a guest is made of. */
export interface Machine {
  /** The directory that fetch-kernel.sh has made. */
  readonly kernel: string;
  /** Of the kernel's command line: what sets this machine apart. */
  readonly options: string;
  /** A command for bash that ends the machine when it has printed all to its second serial line. */
  readonly start: string;
}

/** A guest that says nothing for so long hangs: the longest test file takes a fraction of it. */
const SILENCE_MS = 20 * 60_000;
/** Half of what a test of the store's size needs is used. */
const MEMORY_MB = 2048;
/**
 * Neither the weaknesses of real processors nor secrets in memory need to be provided against. And a program that is
 * at the same addresses whenever it is started need not be translated again: a third of the time for all that tests
 * start.
 */
const FASTER = "mitigations=off init_on_alloc=0 norandmaps";
/** Of the kernel's own console, when a guest came to no good end. */
const CONSOLE_LINES = 30;

/**
 * Runs a machine until it is off, and hands on each line that it prints. Rejects when it was quiet for too long or
 * the signal aborts. Whatever comes to pass, also SIGKILL to this process, ends the machine, and leaves no file.
 */
export async function run(
  machine: Machine,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  using resources = new DisposableStack();
  const directory = resources.adopt(mkdtempSync(join(tmpdir(), "slash32-kernels-")), remove);
  writeFileSync(join(directory, "initramfs"), initramfs(machine.kernel, machine.start));
  const guest = resources.adopt(spawned(machine, directory), (child) => child.kill("SIGKILL"));
  try {
    await ended(guest, onLine, signal);
  } catch (error) {
    throw new Error(`${(error as Error).message}${consoleEnd(directory)}`, { cause: error });
  }
}

/** What the kernel itself printed last, for somebody who wonders what went wrong; nothing where it was silent. */
function consoleEnd(directory: string): string {
  const lines = readFileSync(join(directory, "console"), "utf8").split(/\r?\n/).filter(Boolean);
  return lines
    .slice(-CONSOLE_LINES)
    .map((line) => `\n  ${line}`)
    .join("");
}

function spawned({ kernel, options }: Machine, directory: string): ChildProcess {
  const files = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
  const commandLine = `console=ttyS0 panic=-1 quiet ${FASTER} ${options}`;
  // biome-ignore format: option and value
  const qemu = [
    "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", `${MEMORY_MB}`,
    "-nodefaults", "-display", "none", "-no-reboot",
    "-serial", `file:${join(directory, "console")}`, "-serial", "stdio",
    "-virtfs", files, "-device", "virtio-rng-pci",
    "-kernel", join(kernel, "vmlinuz"), "-initrd", join(directory, "initramfs"), "-append", commandLine,
  ];
  const command = ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemu];
  return spawn("setpriv", command, { stdio: ["ignore", "pipe", "inherit"] });
}

async function ended(
  guest: ChildProcess,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  guest.once("error", reject);
  guest.once("close", resolve);
  const interrupted = () => reject(new Error("interrupted"));
  signal.addEventListener("abort", interrupted);
  const minutes = SILENCE_MS / 60_000;
  const hanging = setTimeout(() => reject(new Error(`no word for ${minutes} minutes`)), SILENCE_MS);
  createInterface({ input: guest.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    hanging.refresh();
    onLine(line);
  });
  try {
    await promise;
  } finally {
    clearTimeout(hanging);
    signal.removeEventListener("abort", interrupted);
  }
}

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
