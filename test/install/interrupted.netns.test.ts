// Killed at any instant: the system calls of install and of uninstall in turn are the last. Whatever a runtime then finds
// works, and another run completes what was begun.
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Call, RUNTIME_CALLS, record, stopAt } from "../chaos/calls.ts";
import { difference, inLanes, isStopped } from "../chaos/crash.ts";
import { FULL } from "../chaos/full.ts";
import { execute, type Outcome, shell } from "../chaos/stage.ts";
import { CONFLIST, InstallNode, POD_CIDR } from "../helpers/installed.ts";
import { type CommandOutcome, TestNetns } from "../helpers/lab.ts";
import { ListRunner } from "../helpers/list.ts";
import { OtherVersion } from "../helpers/other-version.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

const LANES = 2;
const TIMEOUT_MS = 1_800_000;
const PATIENCE_MS = 20_000;
const EXECUTABLE_PATH = "/opt/cni/bin/slash32";
const NODE_FILE = "/run/slash32/node.json";
/** What may lie about after a kill: nothing that a runtime looks at. */
const LEFTOVER = /^\S*\/\.[^/]+\.slash32-(new|old) |^\/run\/slash32\/(\.trial\/|install\.lock )/;

let other: OtherVersion;
beforeAll(async () => {
  other = await OtherVersion.make("9.9.9");
});
afterAll(() => other[Symbol.dispose]());

type Scenario = {
  readonly title: string;
  readonly args: readonly string[];
  /** Makes of an empty node what the command finds, but for the pods. */
  readonly prepare: (node: InstallNode) => void;
  readonly pods: number;
  /** Whether the node that a kill leaves is one that a runtime can go on with; throws why not. */
  readonly judge: (left: Left) => void;
};

/** Lines of what a node holds: its files with their contents, and the kernel's links, routes and neighbours. */
type State = readonly string[];

/** A node after a kill, with what it was before and what it is when the command is through. */
type Left = {
  readonly node: InstallNode;
  readonly state: State;
  readonly before: State;
  readonly after: State;
};

const INSTALL = ["install", "--pod-cidr", POD_CIDR, "--mtu", "1450"];

const scenarios: Scenario[] = [
  {
    title: "install on a node that has nothing",
    args: INSTALL,
    prepare: () => {},
    pods: 0,
    judge: judgeInstall,
  },
  {
    title: "install where there is nothing to do",
    args: INSTALL,
    prepare: (node) => succeed(node.install(INSTALL.slice(1))),
    pods: 0,
    judge: judgeInstall,
  },
  {
    title: "install over another version, another range and another name of the list",
    args: INSTALL,
    prepare(node) {
      const args = ["--pod-cidr", "10.20.2.0/24", "--conf-name", "20-old.conflist"];
      succeed(node.install(args, { executable: other.executable }));
    },
    pods: 0,
    judge: judgeInstall,
  },
  {
    title: "uninstall of a node with pods, leases and a log",
    args: ["uninstall", "--force"],
    prepare: (node) => succeed(node.install([...INSTALL.slice(1), "--log-file", "/var/log/slash32.log"])),
    pods: 2,
    judge: judgeUninstall,
  },
];

test.each(scenarios)("$title", { timeout: TIMEOUT_MS }, async (scenario) => {
  using resources = new DisposableStack();
  const lanes = Array.from({ length: LANES }, () => resources.use(new Lane(scenario)));
  const [first] = lanes as [Lane];
  const before = await first.begin();
  const calls = await record(async (through) => {
    expect((await first.run(through)).exitCode).toBe(0);
  }, /^mkdir\("[^"]*\/run\/slash32"/);
  const after = await first.state();

  const [states, leaks] = [new Set<string>(), [] as string[]];
  let [stops, missed] = [0, 0];
  for (const lane of lanes) await lane.begin();
  await inLanes(lanes, calls.own.filter(isTried), async (lane, call) => {
    if (isStopped(await lane.run(stopAt(call)))) stops += 1;
    else missed += 1; // the runtime's own calls were more when the calls were recorded, or less now
    const state = await lane.state();
    const isKnown = states.has(state.join("\n"));
    states.add(state.join("\n"));
    if (!isKnown) {
      const complaint = await mended(lane, scenario, { node: lane.node, state, before, after });
      if (complaint) leaks.push(`${call.text}: ${complaint}`);
    }
    await lane.begin();
  });
  console.log(
    `${scenario.title}: stopped at ${stops} system calls, ${states.size} states reached, ${leaks.length} leaks`,
  );
  expect(leaks).toEqual([]);
  expect(stops).toBeGreaterThan(FULL ? 100 : 15);
  expect(missed).toBeLessThan(FULL ? 50 : 5);
});

/** What is wrong with the state, or with what another run makes of it. */
async function mended(lane: Lane, scenario: Scenario, left: Left): Promise<string | undefined> {
  try {
    scenario.judge(left);
    succeed(await lane.run());
    return difference(left.after.join("\n"), (await lane.state()).join("\n")) || undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * `npm run chaos` tries every call. To be stopped at a call is to have done all before it, so it is enough to try those
 * that come after one which changes something; and in the middle of a long copy one is as another.
 */
function isTried(call: Call, at: number, calls: readonly Call[]): boolean {
  if (FULL) return true;
  const isCopying =
    calls.slice(Math.max(0, at - 3), at + 2).filter(({ name }) => name === "write").length > 1;
  return !isRuntimes(call) && !isCopying && changes(calls[at - 1]);
}

function changes(call: Call | undefined): boolean {
  const name =
    /^(mkdir|rmdir|unlink|unlinkat|rename|renameat2?|write|pwrite64|chmod|vfork|wait4|unshare|setns|sendto)$/;
  return call === undefined || name.test(call.name) || /O_CREAT|F_OFD_SETLK/.test(call.text);
}

function isRuntimes({ name, text }: Call): boolean {
  return RUNTIME_CALLS.has(name) || name === "newfstatat" || text.includes("/proc/self/statm");
}

/** A node on which the scenario is begun again and again. */
class Lane implements Disposable {
  readonly node: InstallNode;
  readonly #scenario: Scenario;
  readonly #pods: readonly TestNetns[];
  readonly #resources = new DisposableStack();
  /** The files that the command finds; they are linked from here, as nobody writes in their places. */
  readonly #prepared: string;
  #begun: State | undefined;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.node = this.#resources.use(new InstallNode());
    this.#pods = Array.from({ length: scenario.pods }, () => this.#resources.use(new TestNetns("pod")));
    scenario.prepare(this.node);
    this.#prepared = mkdtempSync("/run/slash32-prepared-");
    this.#resources.defer(() => rmSync(this.#prepared, { recursive: true }));
    execFileSync("cp", ["-a", `${this.node.root}/.`, this.#prepared]);
  }

  /** Where all is as it was at the beginning, there is nothing to do. */
  async begin(): Promise<State> {
    const state = await this.state();
    if (this.#begun?.join() === state.join()) return state;
    const links = state.flatMap((line) => /^link (cali\w+)/.exec(line)?.[1] ?? []);
    for (const link of links) this.node.host.ipBatch(`link delete ${link}`);
    this.node.clear();
    execFileSync("cp", ["-al", `${this.#prepared}/.`, this.node.root]);
    for (const [at, netns] of this.#pods.entries())
      this.node.runtime().add({ containerId: `web-${at}`, netns });
    this.#begun = await this.state();
    return this.#begun;
  }

  run(through: readonly string[] = []): Promise<Outcome> {
    const { host, root } = this.node;
    const command = [EXECUTABLE, ...this.#scenario.args, "--root", root];
    return execute(["nsenter", `--net=${host.path}`, "--", ...through, ...command]);
  }

  /** When the plugins are through that were started by what was killed, and the kernel has ended the sandbox of a trial. */
  async state(): Promise<State> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const kernel = await kernelOf(this.node);
      if (!kernel.some((line) => line.includes("slash32-trial") || line.startsWith("process "))) {
        return [...kernel, ...this.node.files().map((line) => fileLine(this.node, line))];
      }
      if (Date.now() > deadline)
        throw new Error(`Cannot wait any longer for the trial to end: ${kernel.join("; ")}`);
      await Bun.sleep(20);
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** By one process: a line for each thing that is not the host's own, and for each process that runs on the host. */
async function kernelOf({ host }: InstallNode): Promise<string[]> {
  const text = await shell(
    host,
    `ip -o link | sed -n 's/^[0-9]*: \\(cali[^:@]*\\).*alias \\(.*\\)$/link \\1 \\2/p'
     for family in -4 -6; do
       ip $family route show proto 32 | sed 's/^/route /; s/ linkdown//'
       ip $family neighbour show nud permanent | sed -n 's/.*dev cali.*/neighbour &/p'
     done
     for pid in $(ip netns pids ${host.name}); do
       [ $pid = $$ ] || sed 's/^/process /' /proc/$pid/comm 2>&-
     done`,
  );
  // The shell's own children are none that was left.
  return text.split("\n").filter((line) => line !== "" && !/^process (sh|ip|sed)$/.test(line));
}

const contents = new Map<string, string>();

/** With its content; but SQLite's pages and the log tell of times, which differ. */
function fileLine(node: InstallNode, line: string): string {
  const [path = "", mode] = line.split(" ");
  if (/leases\.db|\.log$/.test(path)) return `file ${path} ${mode}`;
  const { ino, mtimeMs, size } = lstatSync(node.at(path));
  const key = `${ino} ${mtimeMs} ${size}`;
  const known = contents.get(key) ?? String(Bun.hash(readFileSync(node.at(path))));
  contents.set(key, known);
  return `file ${line} ${known}`;
}

/** Nothing is half there, and every list that is there works. */
function judgeInstall({ node, state, before, after }: Left): void {
  const [was, is, willBe] = [before, state, after].map((lines) =>
    lines.filter((line) => line.startsWith("file ")),
  );
  const strange = is?.filter(
    (line) => !was?.includes(line) && !willBe?.includes(line) && !LEFTOVER.test(line.slice(5)),
  );
  expect(strange).toEqual([]);
  const has = (path: string, lines = is) => lines?.find((line) => line.startsWith(`file ${path} `));
  if (has(CONFLIST) !== has(CONFLIST, was)) {
    for (const path of [EXECUTABLE_PATH, NODE_FILE]) expect(has(path)).toBe(has(path, willBe));
  }
  for (const path of lists(node)) {
    using pod = new TestNetns("pod");
    const runtime = new ListRunner(node.host, node.list(path), [node.at("/opt/cni/bin")]);
    const attachment = { containerId: "after-kill", netns: pod };
    runtime.add(attachment);
    runtime.check(attachment);
    runtime.del(attachment);
  }
  rmSync(node.at("/run/slash32/podnet"), { recursive: true, force: true }); // what it left is not of the installation
}

/** As long as a runtime has the list, all is there that it needs. */
function judgeUninstall({ node, state, before }: Left): void {
  if (lists(node).length === 0) return;
  const lasting = state.filter((line) => !LEFTOVER.test(line.slice("file ".length)));
  const changed = difference(before.join("\n"), lasting.join("\n"));
  if (changed) throw new Error(`there is a list, and not all that it needs:\n${changed}`);
}

function lists(node: InstallNode): string[] {
  return node.files().flatMap((line) => /^(\/etc\/cni\/net\.d\/[^.]\S*\.conflist) /.exec(line)?.[1] ?? []);
}

function succeed({ exitCode, stderr }: Pick<CommandOutcome, "stderr"> & Pick<Outcome, "exitCode">): void {
  if (exitCode !== 0) throw new Error(`Cannot set the stage, or mend what is left: ${exitCode} ${stderr}`);
}
