/** A place for daemons and what they start: whatever runs in it ends when it is left, however that comes about. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import type { CommandOutcome, TestNetns } from "./lab.ts";

/** The shell commands that make it a place of its own. */
const EMPTY_VAR_LIB = "mount -t tmpfs tmpfs /var/lib";

/**
 * Process, mount and host name namespaces of their own in a network: by default that of the machine with an empty
 * /var/lib. Network namespaces that are named later are not seen in it.
 *
 * Its first process is `init`, a program that waits and takes care of orphans. When that ends, or the test's process
 * does, the kernel ends all others and drops their mounts: containers with their runtime, and daemons that detach.
 */
export class Enclosure implements AsyncDisposable {
  /** The name of the control group, at the top of each hierarchy, below which all others are to be made. */
  readonly cgroup: string;
  readonly #network: TestNetns;
  readonly #outer: ChildProcess;
  readonly #init: number;

  private constructor(network: TestNetns, outer: ChildProcess, init: number) {
    this.#network = network;
    this.#outer = outer;
    this.#init = init;
    this.cgroup = cgroupOf(network);
  }

  /** `prepare` has the name for its control groups in CGROUP, and "$@" is the command that it ends with. */
  static async open(network: TestNetns, init: string, prepare = EMPTY_VAR_LIB): Promise<Enclosure> {
    const start = `CGROUP=${cgroupOf(network)}\n${prepare}\necho ready; exec "$@"`;
    const unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
    const command = ["--pdeathsig", "KILL", ...unshare, "sh", "-euc", start, "sh", init];
    const outer = spawn("setpriv", command, { stdio: ["ignore", "pipe", "pipe"] });
    let complaint = "";
    outer.stderr.on("data", (text) => {
      complaint += text;
    });
    await new Promise((resolve, reject) => {
      outer.stdout.once("data", resolve);
      outer.once("error", reject);
      outer.once("close", () => reject(new Error(`Cannot make an enclosure: ${complaint}`)));
    });
    return new Enclosure(network, outer, onlyChild(outer.pid as number));
  }

  /** The command that runs a command in it. */
  command(...command: readonly string[]): [string, ...string[]] {
    const namespaces = ["--mount", "--uts", "--pid", "--cgroup", `--net=${this.#network.path}`];
    return ["nsenter", "--target", `${this.#init}`, ...namespaces, "--", ...command];
  }

  /** Runs a command. A failing one is an outcome, not an error. */
  exec(...command: readonly string[]): CommandOutcome {
    const [program, ...args] = this.command(...command);
    const { stdout, stderr, exitCode = -1 } = execaSync(program, args, { reject: false });
    return { stdout, stderr, exitCode };
  }

  /** Runs a command; what it printed. Rejects when it fails. */
  async run(...command: readonly string[]): Promise<string> {
    const [program, ...args] = this.command(...command);
    const { stdout } = await execa(program, args, { stdin: "ignore" });
    return stdout;
  }

  /** Starts a daemon; what it prints is appended to a file. It ends with the enclosure, if not before. */
  start(log: string, ...command: readonly string[]): Bun.Subprocess {
    const output = openSync(log, "a");
    try {
      return Bun.spawn(this.command(...command), { stdin: "ignore", stdout: output, stderr: output });
    } finally {
      closeSync(output);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#outer;
    if (exitCode === null && signalCode === null) {
      const ended = new Promise((resolve) => this.#outer.once("exit", resolve));
      process.kill(this.#init, "SIGKILL");
      await ended;
    }
    await removeCgroups(this.cgroup);
  }
}

function cgroupOf({ name }: TestNetns): string {
  return `slash32-${name}`;
}

function onlyChild(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"));
}

const CGROUPS = "/sys/fs/cgroup";
/** Ended processes leave their groups a moment later. */
const PATIENCE_MS = 5_000;

/** One hierarchy (version 2), or one for each controller (version 1). */
async function removeCgroups(name: string): Promise<void> {
  const hierarchies = readdirSync(CGROUPS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const tops = [CGROUPS, ...hierarchies.map((entry) => join(CGROUPS, entry.name))];
  const deadline = Date.now() + PATIENCE_MS;
  for (const top of tops.map((directory) => join(directory, name)).filter((path) => existsSync(path))) {
    while (!isRemoved(top)) {
      if (Date.now() > deadline) throw new Error(`Cannot remove ${top}: there are still processes in it`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Removes a group with all below it, as far as they are empty. */
function isRemoved(path: string): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !isRemoved(join(path, entry.name))) return false;
  }
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EBUSY") return false;
    throw error;
  }
}
