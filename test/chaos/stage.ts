/** A host, a pod and a configuration: one lane on which verbs are run again and again from the same beginning. */

import { Database } from "bun:sqlite";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hostEndName } from "../../src/datapath/endpoint.ts";
import { wiring } from "../../src/datapath/wiring.ts";
import { testEndpoint } from "../helpers/endpoint.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { type Answer, EXECUTABLE, netconf, type Verb } from "../helpers/plugin.ts";

export type Stack = "single" | "dual";
export type Ipam = "slash32" | "host-local";

export type StageOptions = { readonly stack: Stack; readonly ipam: Ipam };

export type Outcome = {
  /** Absent when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly json: Answer | undefined;
};

export type CallOptions = {
  /** What starts the executable, whose path it is given as its last argument. */
  readonly through?: readonly string[];
  readonly containerId?: string;
  readonly netns?: string;
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further keys of the configuration. */
  readonly netconf?: Readonly<Record<string, unknown>>;
};

export const CONTAINER = "container-1";
const ATTACHMENT = { network: "podnet", containerId: CONTAINER, ifName: "eth0" };
export const HOST_END = hostEndName("cali", ATTACHMENT);
const SUBNETS = { single: ["10.20.1.0/24"], dual: ["10.20.1.0/24", "fd00:20::/64"] };
const WORLD = { single: ["198.51.100.1"], dual: ["198.51.100.1", "2001:db8:ffff::1"] };
/** No call takes seconds, unless the kernel is busy ending namespaces; one that takes minutes hangs. */
const TIMEOUT_MS = 120_000;

/** Debian's host-local speaks CNI up to 1.0.0 and has no GC. */
const HOST_LOCAL = `#!/bin/sh
[ "$CNI_COMMAND" = GC ] || sed 's/"1\\.1\\.0"/"1.0.0"/' | /usr/lib/cni/host-local
`;

export class Stage implements Disposable {
  readonly host: TestHost;
  readonly pod: TestNetns;
  readonly stack: Stack;
  readonly #ipam: Ipam;
  readonly #directory: string;
  readonly #resources = new DisposableStack();
  #saved = "";
  /** What the kernel holds beside us, and what is on the disk: what every state is compared with. */
  #untouched: readonly string[] = [];

  constructor({ stack, ipam }: StageOptions) {
    this.stack = stack;
    this.#ipam = ipam;
    this.host = this.#resources.use(new TestHost());
    this.pod = this.#resources.use(new TestNetns("pod"));
    this.#directory = mkdtempSync(join(tmpdir(), "slash32-chaos-"));
    this.#resources.defer(() => rmSync(this.#directory, { recursive: true, force: true }));
    mkdirSync(join(this.#directory, "bin"));
    writeFileSync(join(this.#directory, "bin/host-local"), HOST_LOCAL);
    chmodSync(join(this.#directory, "bin/host-local"), 0o755);
  }

  /** Runs a verb for the one attachment. */
  run(verb: Verb, options: CallOptions = {}): Promise<Outcome> {
    const { through = [], containerId = CONTAINER, netns = this.pod.path } = options;
    const attachment = { CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: "eth0" };
    return execute([`nsenter`, `--net=${this.host.path}`, "--", ...through, EXECUTABLE], {
      input: JSON.stringify({ ...this.netconf(), ...options.netconf }),
      env: {
        CNI_COMMAND: verb,
        CNI_PATH: `${this.#directory}/bin:${dirname(EXECUTABLE)}`,
        ...(verb === "GC" ? {} : attachment),
        ...options.env,
      },
    });
  }

  /** The verb for whoever starts it by another program, as strace. */
  runThrough(verb: Verb): (through: readonly string[]) => Promise<Outcome> {
    return (through) => this.run(verb, { through });
  }

  /** GC that is told of no valid attachment. */
  gc(): Promise<Outcome> {
    return this.run("GC", { netconf: { "cni.dev/valid-attachments": [] } });
  }

  netconf(): Record<string, unknown> {
    const ranges = SUBNETS[this.stack].map((subnet) => [{ subnet }]);
    const dataDir = this.#ipam === "host-local" ? { dataDir: join(this.host.stateDir, "host-local") } : {};
    return { ...netconf(this.host, { ipam: { type: this.#ipam, ranges, ...dataDir } }) };
  }

  /** Remembers the state directory, for `restore`; the kernel has to be clean. */
  save(): void {
    this.#saved = join(this.#directory, "saved");
    rmSync(this.#saved, { recursive: true, force: true });
    cpSync(this.host.stateDir, this.#saved, { recursive: true });
  }

  /** Takes away all links of ours, and brings the state directory back as it was saved. */
  async restore(): Promise<void> {
    await shell(this.host, `ip link delete ${HOST_END} 2>&- || :`);
    for (const name of readdirSync(this.host.stateDir)) {
      rmSync(join(this.host.stateDir, name), { recursive: true });
    }
    if (this.#saved) cpSync(this.#saved, this.host.stateDir, { recursive: true });
  }

  /** Waits until nothing runs on the host: a plugin whose caller was killed goes on for a moment. */
  async quiet(): Promise<void> {
    for (;;) {
      const { stdout } = await execute(["ip", "netns", "pids", this.host.name]);
      if (stdout.trim() === "") return;
      await Bun.sleep(5);
    }
  }

  /** All that a verb can change, as text that is equal for equal states. */
  async picture(): Promise<string> {
    const parts = `
      ${BATCH("4", ["link show", "route show table main", "neighbour show nud permanent", "rule show"])}
      ${BATCH("6", ["route show table main", "rule show"])}
      cd /proc/sys; grep -s . ${KEYS.host.join(" ")}
      exec nsenter --net=${this.pod.path} -- sh -c '
        ${BATCH("4", ["link show", "address show", "route show table main", "neighbour show nud permanent"])}
        ${BATCH("6", ["route show table main"])}
        cd /proc/sys; grep -s . ${KEYS.sandbox.join(" ")}'`;
    const text = await shell(this.host, parts);
    return [...text.split("\n").filter(isLasting).map(lasting), ...disk(this.host.stateDir)]
      .sort()
      .join("\n");
  }

  /** What is left of ours anywhere: nothing, when the attachment is gone. */
  async remains(): Promise<string[]> {
    return [...(await this.kernelRemains()), ...this.leases()];
  }

  /** The same, without what stands in the store. */
  async kernelRemains(): Promise<string[]> {
    const left = (await this.picture()).split("\n").filter((line) => !line.startsWith("file "));
    return left.filter((line) => !this.#untouched.includes(line));
  }

  /** What `remains` does not count; the kernel has to be clean. */
  async remember(): Promise<void> {
    this.#untouched = (await this.picture()).split("\n");
  }

  /** Attachments and addresses on record, ours and another plugin's. */
  leases(): string[] {
    const path = join(this.host.stateDir, "podnet/leases.db");
    const others = files(join(this.host.stateDir, "host-local/podnet"));
    return [
      ...(isFile(path) ? recorded(path) : []),
      ...others.filter((name) => /^[\da-f][\da-f.:_]+$/.test(name)).map((name) => `host-local: ${name}`),
    ];
  }

  /** Addresses of the world that the pod cannot reach. */
  async unreachable(): Promise<string[]> {
    const pings = WORLD[this.stack].map(async (address) => {
      const ping = ["nsenter", `--net=${this.pod.path}`, "--", "ping", "-n", "-c1", "-W2", address];
      return (await execute(ping)).exitCode === 0 ? [] : [address];
    });
    return (await Promise.all(pings)).flat();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

type Command = { readonly input?: string; readonly env?: Record<string, string> };

/** A thin runner: thousands of processes are started here. */
export async function execute(command: string[], { input = "", env = {} }: Command = {}): Promise<Outcome> {
  const child = Bun.spawn(command, {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH ?? "", ...env },
    timeout: TIMEOUT_MS,
    killSignal: "SIGTERM",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  if (child.signalCode === "SIGTERM") throw new Error(`Cannot wait any longer for ${command.join(" ")}`);
  return { exitCode: child.exitCode, stdout, stderr, json: parsed(stdout) };
}

export async function shell(netns: TestNetns, script: string): Promise<string> {
  return (await execute(["nsenter", `--net=${netns.path}`, "--", "sh", "-c", script])).stdout;
}

function parsed(text: string): Answer | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const BATCH = (family: string, lines: string[]) =>
  `printf "%s\\n" ${lines.map((line) => `"${line}"`).join(" ")} | ip -${family} -oneline -batch -`;

/** Every setting that a wiring names. */
const KEYS = (() => {
  const endpoint = testEndpoint({ addresses: ["10.20.1.2", "fd00:20::2"], containerId: CONTAINER });
  const steps = wiring(endpoint).filter((step) => step.kind === "sysctl");
  const of = (side: string) => steps.filter(({ on }) => on === side).map(({ key }) => key);
  return { host: of("host"), sandbox: of("sandbox") };
})();

/** Link-local routes and addresses come a moment after their link is up; the uplink differs from host to host. */
function isLasting(line: string): boolean {
  return line !== "" && !/\bfe80:|\bmulticast |\bff00::|^\d+: uplink0/.test(line);
}

/** Without what differs from one making of a link to the next, or follows a moment later (carrier). */
function lasting(line: string): string {
  return line
    .replace(/^\d+: /, "")
    .replace(/@\w+:/, ":")
    .replace(/,(LOWER_UP|M-DOWN)|(NO-CARRIER),/g, "")
    .replace(/ (qdisc|state|qlen|group|mode|link-netnsid|link-netns|index) \S+/g, "")
    .replace(/ valid_lft.*| linkdown/, "")
    .replaceAll(/[\\\s]+/g, " ")
    .trim();
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
}

function disk(directory: string): string[] {
  return files(directory).map((name) => {
    const bytes = readFileSync(join(directory, name));
    const content = name.endsWith("-journal") ? withoutNonces(bytes) : bytes;
    return `file ${name} ${bytes.length} ${Bun.hash(content)}`;
  });
}

/**
 * SQLite salts the checksums of each journal (https://www.sqlite.org/fileformat.html#the_rollback_journal): the salt,
 * and the checksum at the end of each record, say nothing.
 */
function withoutNonces(journal: Buffer): Buffer {
  const copy = Buffer.from(journal);
  copy.subarray(12, 16).fill(0);
  for (let at = 512 + 4 + 4096; at < copy.length; at += 4 + 4096 + 4) copy.subarray(at, at + 4).fill(0);
  return copy;
}

/** The database is read in a copy, as a reader would roll an interrupted transaction back. */
function recorded(path: string): string[] {
  const copy = mkdtempSync(join(tmpdir(), "slash32-copy-"));
  try {
    for (const part of ["", "-journal"]) {
      if (existsSync(path + part)) cpSync(path + part, join(copy, `leases.db${part}`));
    }
    using database = new Database(join(copy, "leases.db"));
    const has = database.query("SELECT 1 FROM sqlite_schema WHERE name = 'address'").get() !== null;
    if (!has) return [];
    const list = (query: string) => database.query(query).values().flat().map(String);
    return [
      ...list("SELECT 'attachment ' || container_id || '/' || if_name FROM attachment"),
      ...list("SELECT 'lease ' || hex(address) FROM address WHERE held_by IS NOT NULL"),
    ];
  } finally {
    rmSync(copy, { recursive: true });
  }
}
