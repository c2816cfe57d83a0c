/**
 * Network namespaces for tests, made and judged with iproute2, never with our own netlink.
 *
 * Needs root, iproute2, nsenter and ping. Names live in /run/netns: run the tests through scripts/lab.sh,
 * which gives them a private one.
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import { execaSync } from "execa";
import { hasIpv6 } from "./kernel.ts";
import { patient } from "./patience.ts";

/** What a command in a namespace left behind. `exitCode` is -1 when it was killed or could not start. */
export type CommandOutcome = {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
};

export type PingOptions = {
  /** Echo requests to send. Default 1. */
  readonly count?: number;
  /** Seconds to wait for an answer. Default 1. */
  readonly timeoutS?: number;
  /** Source address or interface (`ping -I`). */
  readonly from?: string;
  /** Bytes of payload; the packet is 28 bytes longer in IPv4 and 48 in IPv6. It is never fragmented. */
  readonly size?: number;
};

/** `ttl` is that of the first reply (the hop limit in IPv6), absent when there was none. */
export type PingOutcome = { readonly received: number; readonly ttl?: number };

let count = 0;

/**
 * A named network namespace of its own, as `ip netns add` makes it: nothing in it but a `lo` that is down.
 *
 * Names are unique among all tests of a machine. Disposing deletes the name; the kernel ends the namespace and the
 * links in it a moment later, or when the last process in it ends. Disposing twice is harmless.
 */
export class TestNetns implements Disposable {
  readonly name: string;
  /** What a runtime would give as CNI_NETNS. */
  readonly path: string;

  constructor(prefix = "netns") {
    count += 1;
    this.name = `${prefix}-${process.pid}-${threadId}-${count}`;
    this.path = `/run/netns/${this.name}`;
    execaSync("ip", ["netns", "add", this.name]);
  }

  /**
   * Runs `ip -json -details <args>` in the namespace and returns what it printed, parsed; undefined if it printed
   * nothing. Throws when ip fails, with ip's own words.
   */
  ip(...args: readonly string[]): unknown {
    const { stdout } = execaSync("ip", ["-json", "-details", "-n", this.name, ...args]);
    return stdout === "" ? undefined : JSON.parse(stdout);
  }

  /** What `ip -json -details` prints for each of several commands, by one process. Routes of all tables are of both families. */
  ipAll(commands: readonly string[]): unknown[] {
    const args = ["-json", "-details", "-n", this.name, "-batch", "-"];
    const { stdout } = execaSync("ip", args, { input: commands.join("\n") });
    return stdout.split("\n").map((line) => JSON.parse(line));
  }

  /** Runs several ip commands, in order, by one process: for set-ups. Throws at the first that fails. */
  ipBatch(...commands: readonly string[]): void {
    execaSync("ip", ["-n", this.name, "-batch", "-"], { input: commands.join("\n") });
  }

  /** Runs a command in the namespace, with the environment of the test. A failing command is an outcome, not an error. */
  exec(command: string, ...args: readonly string[]): CommandOutcome {
    const outcome = execaSync("nsenter", [`--net=${this.path}`, "--", command, ...args], { reject: false });
    const { stdout, stderr, exitCode = -1 } = outcome;
    return { stdout, stderr, exitCode };
  }

  /** Runs a script for sh(1) in the namespace: for set-ups. Throws when a command of it fails. */
  script(text: string): void {
    const { stderr, exitCode } = this.exec("sh", "-ec", text);
    if (exitCode !== 0) throw new Error(`Cannot prepare ${this.name}: ${stderr}`);
  }

  /** Pings an address from the namespace, without resolving names. No route and no answer both are `received: 0`. */
  ping(address: string, { count = 1, timeoutS = 1, from, size }: PingOptions = {}): PingOutcome {
    const options = ["-n", "-M", "do", "-i", "0.2", "-c", `${count}`, "-W", `${timeoutS}`];
    if (from !== undefined) options.push("-I", from);
    if (size !== undefined) options.push("-s", `${size}`);
    const { stdout, stderr, exitCode } = this.exec("ping", ...options, address);
    if (exitCode > 2 || stderr.includes("failed to execute")) {
      throw new Error(`Cannot ping ${address} from ${this.name}: ${stderr}`);
    }
    const received = Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
    const ttl = /ttl=(\d+)/.exec(stdout)?.[1];
    return ttl === undefined ? { received } : { received, ttl: Number(ttl) };
  }

  /** Reads a sysctl of the namespace, e.g. `net.ipv4.ip_forward`. Throws when there is none of that name. */
  sysctl(key: string): string {
    const { stdout, stderr, exitCode } = this.exec("cat", sysctlPath(key));
    if (exitCode !== 0) throw new Error(`Cannot read the sysctl "${key}" in ${this.name}: ${stderr}`);
    return stdout;
  }

  /** Writes a sysctl of the namespace. */
  setSysctl(key: string, value: string | number): void {
    const { stderr, exitCode } = this.exec("sh", "-c", 'echo "$1" >"$2"', "sh", `${value}`, sysctlPath(key));
    if (exitCode !== 0) throw new Error(`Cannot set the sysctl "${key}" in ${this.name}: ${stderr}`);
  }

  [Symbol.dispose](): void {
    execaSync("ip", ["netns", "delete", this.name], { reject: false });
  }
}

/** The paths of network interfaces with a dot in their name can be given with slashes. */
function sysctlPath(key: string): string {
  return `/proc/sys/${key.includes("/") ? key : key.replaceAll(".", "/")}`;
}

export type Cable = {
  /** The interface in the first namespace and the one in the second. */
  readonly names: readonly [string, string];
  /** The addresses of each, as address/length. */
  readonly addresses: readonly [readonly string[], readonly string[]];
  /** Of both ends. Default 1500. */
  readonly mtu?: number;
  /** For ip(8) in each, when its end is up. */
  readonly commands?: readonly [readonly string[], readonly string[]];
};

let cables = 0;

/** Joins two namespaces with a veth pair, both ends up and all addresses usable (no duplicate-address detection). */
export function connect(a: TestNetns, b: TestNetns, cable: Cable): void {
  const { names, addresses, mtu = 1500, commands = [[], []] } = cable;
  cables += 1;
  // Ends with one and the same index count as a single device to the kernel's link watch, which then activates
  // the end that came up first only after up to a second: its first packets are lost.
  const index = 1000 + cables;
  const peer = `peer name ${names[0]} mtu ${mtu} netns ${a.name}`;
  b.ipBatch(`link add ${names[1]} index ${index} mtu ${mtu} type veth ${peer}`);
  const ends = [
    [a, names[0], addresses[0], commands[0]],
    [b, names[1], addresses[1], commands[1]],
  ] as const;
  for (const [netns, name, own, more] of ends) {
    const batch = [...own.map((address) => addAddress(address, name)), `link set ${name} up`, ...more];
    // The kernel's own link-local address too: until it is usable, nothing asks for an IPv6 neighbour.
    const dad = hasIpv6 ? `echo 0 >/proc/sys/net/ipv6/conf/${name}/accept_dad` : "";
    netns.script(`${dad}\nip -batch - <<'END'\n${batch.join("\n")}\nEND`);
  }
  for (const [netns, name, own] of ends)
    if (own.some((address) => address.includes(":"))) awaitLinkLocal(netns, name);
}

/** The kernel adds it, with routes, when its work queue gets round to it: on a busy machine after the next commands. */
function awaitLinkLocal(netns: TestNetns, name: string): void {
  const [pauseS, tries] = [0.01, patient(500)];
  netns.script(`
    is_there() {
      while read -r address _ _ _ _ device; do
        case $device-$address in ${name}-fe80*) return 0 ;; esac
      done </proc/net/if_inet6
      return 1
    }
    tries=0
    until is_there; do
      tries=$((tries + 1))
      [ $tries -lt ${tries} ] || { echo "${name} has no link-local address" >&2; exit 1; }
      sleep ${pauseS}
    done`);
}

function addAddress(address: string, device: string): string {
  return `address add ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`;
}

export type TestHostOptions = {
  /** Whether the host knows a way to everywhere, which is what makes proxy ARP answer. Default true. */
  readonly defaultRoute?: boolean;
  /** False disables IPv6 on every interface, present and to come. Default: whether the kernel has it. */
  readonly ipv6?: boolean;
  /** Of uplink0. Default 1500. */
  readonly mtu?: number;
};

/**
 * A namespace that plays the host: `lo` up, `uplink0` with 192.0.2.1/24 and 2001:db8::1/64, default routes via
 * 192.0.2.254 and 2001:db8::fe, forwarding off, and a directory for state that goes when the host goes. Nothing of
 * IPv6 where the kernel has none.
 *
 * The other end of `uplink0` is in `router`, which answers for 192.0.2.254 and 2001:db8::fe and, as the rest of the
 * world, for 198.51.100.1 and 2001:db8:ffff::1. It sends everything else back to the host, so a pod can talk to it.
 * (A veth pair, because not every kernel has dummy devices.)
 */
export class TestHost extends TestNetns {
  readonly stateDir: string;
  readonly router: TestNetns;

  constructor({ defaultRoute = true, ipv6 = hasIpv6, mtu = 1500 }: TestHostOptions = {}) {
    super("host");
    using undo = new DisposableStack();
    undo.defer(() => super[Symbol.dispose]());
    this.stateDir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "slash32-test-"));
    undo.defer(() => rmSync(this.stateDir, { recursive: true, force: true }));
    this.router = undo.use(new TestNetns("router"));

    prepare(this, ipv6);
    prepare(this.router, ipv6);
    const pick = <T>(v4: T, v6: T): T[] => (ipv6 ? [v4, v6] : [v4]);
    const world = pick("198.51.100.1/32", "2001:db8:ffff::1/128").map((address) => addAddress(address, "lo"));
    const via = (router: string) => `route add default via ${router}`;
    connect(this, this.router, {
      names: ["uplink0", "downlink0"],
      addresses: [pick("192.0.2.1/24", "2001:db8::1/64"), pick("192.0.2.254/24", "2001:db8::fe/64")],
      mtu,
      commands: [
        ["link set lo up", ...(defaultRoute ? pick("192.0.2.254", "2001:db8::fe").map(via) : [])],
        ["link set lo up", ...world, ...pick("192.0.2.1", "2001:db8::1").map(via)],
      ],
    });
    undo.move();
  }

  override [Symbol.dispose](): void {
    this.router[Symbol.dispose]();
    super[Symbol.dispose]();
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}

/** Sets what a new namespace would take over from the machine. */
function prepare(netns: TestNetns, ipv6: boolean): void {
  const zeroes = ["ip_forward", "conf/all/rp_filter", "conf/default/rp_filter"];
  const disabled = ["all", "default"].map((which) => `echo 1 >ipv6/conf/${which}/disable_ipv6`);
  const writes = [...zeroes.map((key) => `echo 0 >ipv4/${key}`), ...(ipv6 || !hasIpv6 ? [] : disabled)];
  netns.script(["cd /proc/sys/net", ...writes].join("\n"));
}
