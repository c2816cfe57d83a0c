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

/** A guest that says nothing for so long hangs: on a host with much else to do a test file was seen to take half of it. */
const SILENCE_MS = 30 * 60_000;
/** All changes to files are in it, too. Of the host's memory it takes what the tests touch: 1.3 GB were seen. */
const MEMORY_MB = 2048;
/**
 * Neither the weaknesses of real processors nor secrets in memory need to be provided against. And a program that is
 * at the same addresses whenever it is started need not be translated again: a third of the time for all that tests
 * start.
 */
const FASTER = "mitigations=off init_on_alloc=0 norandmaps";
/** Of the kernel's own console, to be shown when a guest came to no good end. */
const CONSOLE_LINES = 30;

/** How a machine went off. */
export interface Ending {
  /** Why it had to be switched off; undefined where it went by itself. */
  readonly trouble: string | undefined;
  /** What its kernel printed last, for somebody who wonders what went wrong. */
  readonly console: string;
}

/**
 * Runs a machine until it is off, and hands on each line that it prints. It is switched off when it was quiet for too
 * long or the signal aborts. Whatever comes to pass, also SIGKILL to this process, ends it.
 */
export async function run(
  machine: Machine,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<Ending> {
  using resources = new DisposableStack();
  const directory = resources.adopt(mkdtempSync(join(tmpdir(), "slash32-kernels-")), remove);
  writeFileSync(join(directory, "initramfs"), initramfs(machine.kernel, machine.start));
  writeFileSync(join(directory, "console"), "");
  const guest = resources.adopt(spawned(machine, directory), (child) => child.kill("SIGKILL"));
  const trouble = await ended(guest, onLine, signal);
  const lines = readFileSync(join(directory, "console"), "utf8").split(/\r?\n/).filter(Boolean);
  return { trouble, console: lines.slice(-CONSOLE_LINES).join("\n") };
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

/** Waits for the end, or until waiting is no use any more: then it says why. */
async function ended(
  guest: ChildProcess,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  guest.once("error", reject);
  guest.once("close", () => resolve(undefined));
  signal.addEventListener("abort", () => resolve("interrupted"));
  const hanging = setTimeout(() => resolve(`no word for ${SILENCE_MS / 60_000} minutes`), SILENCE_MS);
  createInterface({ input: guest.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    hanging.refresh();
    onLine(line);
  });
  return await promise.finally(() => clearTimeout(hanging));
}

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
