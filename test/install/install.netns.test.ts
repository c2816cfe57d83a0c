// slash32 install: what becomes of a node, and what does not where something is wrong.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { CONFLIST, EXECUTABLE_BYTES, InstallNode, POD_CIDR } from "../helpers/installed.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

const GATEWAY = ["198.51.100.1"];
const BIN = "/opt/cni/bin/slash32";
const NODE_FILE = "/run/slash32/node.json";
const INSTALLED = (listBytes: number, nodeBytes: number) => [
  `${CONFLIST} 600 ${listBytes}`,
  `${BIN} 755 ${EXECUTABLE_BYTES}`,
  `${NODE_FILE} 600 ${nodeBytes}`,
];

const OTHER = JSON.stringify({ cniVersion: "1.0.0", name: "other", plugins: [{ type: "bridge" }] });

/** The report of an installation, every word of it on standard output. */
function installed(node: InstallNode, ...args: Parameters<InstallNode["install"]>): string {
  const { stdout, stderr, exitCode } = node.install(...args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout;
}

/** The one line that says why not; the node is as it was. */
function refused(node: InstallNode, ...args: Parameters<InstallNode["install"]>): string {
  const before = node.files();
  const { stdout, stderr, exitCode } = node.install(...args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toMatch(/^slash32 install: Cannot [^\n]+$/);
  expect(node.files()).toEqual(before);
  expect(remains(node.host)).toMatchObject({ links: [], routes: [] });
  return stderr.slice("slash32 install: ".length);
}

describe("a node that had nothing", () => {
  test("has the executable, node.json and a list, nothing else, and its first pod works", () => {
    using node = new InstallNode({ mtu: 1400 });
    expect(installed(node)).toMatch(
      /^✓ trial {7}ADD, CHECK and DEL of a pod {9}passed in \d+ ms\n✓ executable {2}\/opt\/cni\/bin\/slash32 {16}written: slash32 \S+\n✓ node file {3}\/run\/slash32\/node\.json {14}written: 10\.20\.1\.0\/24, MTU 1400\n✓ list {8}\/etc\/cni\/net\.d\/10-slash32\.conflist {2}written: network podnet, CNI 1\.0\.0$/,
    );
    const bytes = [CONFLIST, NODE_FILE].map((path) => lstatSync(node.at(path)).size) as [number, number];
    expect(node.files()).toEqual(INSTALLED(...bytes));
    expect(JSON.parse(node.read(NODE_FILE))).toEqual({ podCIDRs: [POD_CIDR], mtu: 1400 });
    expect(JSON.parse(node.read(CONFLIST))).toEqual({
      cniVersion: "1.0.0",
      name: "podnet",
      plugins: [
        {
          type: "slash32",
          ipam: { type: "slash32", ranges: [[{ subnet: "usePodCidr" }]] },
          capabilities: { ips: true, mac: true, ipRanges: true, dns: true },
          writtenBy: "slash32 install",
        },
      ],
    });
    expect(readFileSync(node.at(BIN)).equals(readFileSync(EXECUTABLE))).toBe(true);
    expect(remains(node.host)).toEqual(NOTHING);

    const pod = node.pod("web-0");
    expect(pod.ping(GATEWAY[0] as string, { size: 1372 }).received).toBe(1);
    expect(pod.ip("link", "show", "eth0")).toMatchObject([{ mtu: 1400 }]);
  });

  test("has ranges for both families, in a version that portmap and bandwidth speak", () => {
    using node = new InstallNode();
    node.plugins("portmap", "bandwidth");
    const args = [
      "--pod-cidr",
      POD_CIDR,
      "--pod-cidr",
      "fd00:20:1::/64",
      "--network",
      "pods",
      "--mtu",
      "1450",
    ];
    installed(node, [...args, "--log-file", "/var/log/slash32.log", "--state-dir", "/run/elsewhere"]);
    expect(JSON.parse(node.read(CONFLIST))).toMatchObject({
      cniVersion: "1.0.0",
      name: "pods",
      plugins: [
        {
          stateDir: "/run/elsewhere",
          logFile: "/var/log/slash32.log",
          ipam: { ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]] },
        },
        { type: "portmap", capabilities: { portMappings: true } },
        { type: "bandwidth", capabilities: { bandwidth: true } },
      ],
    });
    expect(JSON.parse(node.read("/run/elsewhere/node.json"))).toEqual({
      podCIDRs: [POD_CIDR, "fd00:20:1::/64"],
      mtu: 1450,
    });
    const pod = node.pod("web-0");
    expect([...GATEWAY, "2001:db8:ffff::1"].map((address) => pod.ping(address).received)).toEqual([1, 1]);
  });

  test.each([
    ["1.1.0", "ADD, CHECK and DEL of a pod"],
    ["0.3.1", "ADD and DEL of a pod"],
  ])("has a list in CNI %s where that is asked for, tried by %s", (version, tried) => {
    using node = new InstallNode();
    const args = ["--pod-cidr", POD_CIDR, "--cni-version", version, "--json"];
    const [trial] = JSON.parse(installed(node, args)).lines;
    expect(trial).toMatchObject({ what: "trial", path: tried });
    expect(JSON.parse(node.read(CONFLIST))).toMatchObject({ cniVersion: version });
  });

  test("is told to programs, too", () => {
    using node = new InstallNode();
    const report = JSON.parse(installed(node, ["--pod-cidr", POD_CIDR, "--json"]));
    expect(report).toMatchObject({ podCIDRs: [POD_CIDR], mtu: 1500 });
    expect(report.lines.map(({ what, kind }: { what: string; kind: string }) => `${what} ${kind}`)).toEqual([
      "trial done",
      "executable done",
      "node file done",
      "list done",
    ]);
  });

  test("would be changed, says --plan, and is not", () => {
    using node = new InstallNode();
    expect(installed(node, ["--pod-cidr", POD_CIDR, "--plan"])).toMatch(
      /^\+ executable .* would be written: .*\n\+ node file .* would be written: .*\n\+ list .* would be written: .*$/,
    );
    const { lines } = JSON.parse(installed(node, ["--pod-cidr", POD_CIDR, "--plan", "--json"]));
    const [executable] = lines;
    expect(executable).toEqual({
      what: "executable",
      path: BIN,
      kind: "planned",
      words: expect.stringMatching(/^would be written: slash32 /),
    });
    expect(node.files()).toEqual([]);
  });

  test("has plugins in its list that lie behind links, also where only the node can follow them", () => {
    using node = new InstallNode();
    const plugins = () => {
      const { cniVersion, plugins } = JSON.parse(node.read(CONFLIST));
      return [cniVersion, ...plugins.map(({ type }: { type: string }) => type)];
    };
    node.write("/usr/libexec/cni/bandwidth", "");
    symlinkSync("/usr/libexec/cni/bandwidth", node.at("/opt/cni/bin/bandwidth")); // leads to no executable
    symlinkSync("/srv/plugins/portmap", node.at("/opt/cni/bin/portmap")); // a directory that is not seen from here
    installed(node);
    expect(plugins()).toEqual(["0.4.0", "slash32", "portmap"]);
    installed(node, ["--pod-cidr", POD_CIDR, "--cni-version", "1.0.0"]);
    expect(plugins()).toEqual(["1.0.0", "slash32", "portmap"]);
    chmodSync(node.at("/usr/libexec/cni/bandwidth"), 0o755);
    installed(node);
    expect(plugins()).toEqual(["0.4.0", "slash32", "portmap", "bandwidth"]);
  });

  test("needs no capabilities but those of an init container, also where directories are another user's", () => {
    using node = new InstallNode();
    for (const directory of ["/opt/cni/bin", "/etc/cni/net.d"]) chownSync(node.at(directory), 1000, 1000);
    const capabilities = "-all,+net_admin,+sys_admin,+dac_override";
    const limited = ["setpriv", "--inh-caps", capabilities, "--bounding-set", capabilities, "--no-new-privs"];
    const command = [EXECUTABLE, "install", "--root", node.root, "--pod-cidr", POD_CIDR];
    const [program = "", ...args] = [...limited, ...command];
    expect(node.host.exec(program, ...args)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(node.pod("web-0").ping("198.51.100.1").received).toBe(1);
  });

  test("may be installed by a container that sees /proc/sys read-only, which it stays for everybody else", () => {
    using node = new InstallNode();
    const readOnly =
      'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; "$@"; test ! -w $0';
    const inContainer = ["unshare", "--mount", "sh", "-ec", readOnly, "/proc/sys/net/ipv4/ip_forward"];
    const command = [EXECUTABLE, "install", "--root", node.root, "--pod-cidr", POD_CIDR];
    const [program = "", ...args] = [...inContainer, ...command];
    expect(node.host.exec(program, ...args)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(node.pod("web-0").ping("198.51.100.1").received).toBe(1);
  });

  test("may keep its directories behind links, which lead to where they lead on the node", () => {
    using node = new InstallNode();
    mkdirSync(node.at("/srv/cni"), { recursive: true });
    symlinkSync("/srv/cni", node.at("/etc/cni/lists"));
    symlinkSync("../opt/cni", node.at("/srv/plugins"));
    installed(node, [
      "--pod-cidr",
      POD_CIDR,
      "--cni-conf-dir",
      "/etc/cni/lists",
      "--cni-bin-dir",
      "/srv/plugins/bin",
    ]);
    expect(lstatSync(node.at("/srv/cni/10-slash32.conflist")).isFile()).toBe(true);
    expect(lstatSync(node.at(BIN)).size).toBe(EXECUTABLE_BYTES);
  });
});

describe("who tells the pod CIDRs", () => {
  const tell = (args: readonly string[], env: Record<string, string> = {}) => {
    using node = new InstallNode();
    node.write("/node-file.json", '{ "podCIDRs": ["10.20.3.0/24"], "mtu": 1300 }');
    installed(node, [...args.map((arg) => arg.replace("FILE", node.at("/node-file.json")))], { env });
    return JSON.parse(node.read(NODE_FILE));
  };
  const env = { SLASH32_POD_CIDR: "10.20.2.0/24, fd00:20:2::/64" };

  test("first the arguments, then the environment, then a file", () => {
    expect(tell(["--pod-cidr", POD_CIDR, "--node-file", "FILE"], env)).toMatchObject({
      podCIDRs: [POD_CIDR],
      mtu: 1300,
    });
    expect(tell(["--node-file", "FILE"], env)).toMatchObject({
      podCIDRs: ["10.20.2.0/24", "fd00:20:2::/64"],
      mtu: 1300,
    });
    expect(tell(["--node-file", "FILE"])).toEqual({ podCIDRs: ["10.20.3.0/24"], mtu: 1300 });
    expect(tell(["--node-file", "FILE", "--mtu", "1400"])).toMatchObject({ mtu: 1400 });
  });
});

describe("a node that has slash32", () => {
  test("is left as it is, and tried again", () => {
    using node = new InstallNode();
    installed(node);
    const identity = () => [BIN, NODE_FILE, CONFLIST].map((path) => lstatSync(node.at(path)).ino);
    const before = identity();
    expect(installed(node)).toMatch(
      /^✓ trial .*\n· executable .* is so already: .*\n· node file .* is so already: .*\n· list .* is so already: .*$/,
    );
    expect(identity()).toEqual(before);
  });

  test("gets what has changed", () => {
    using node = new InstallNode();
    installed(node);
    expect(installed(node, ["--pod-cidr", "10.20.9.0/24"])).toMatch(
      /· executable .*\n✓ node file .*\n· list /,
    );
    expect(JSON.parse(node.read(NODE_FILE))).toMatchObject({ podCIDRs: ["10.20.9.0/24"] });
  });

  test("is told of pods whose addresses are not in its new pod CIDR", () => {
    using node = new InstallNode();
    const both = ["--pod-cidr", POD_CIDR, "--pod-cidr", "fd00:20:1::/64"];
    installed(node, both);
    node.pod("web-0");
    expect(installed(node, both)).not.toContain("!");
    const words =
      /^! pod {9}default\/web-0 +holds 10\.20\.1\.2, not in 10\.20\.9\.0\/24, fd00:20:1::\/64: delete the pod$/m;
    const moved = ["--pod-cidr", "10.20.9.0/24", "--pod-cidr", "fd00:20:1::/64"];
    expect(installed(node, [...moved, "--plan"])).toMatch(words);
    expect(installed(node, moved)).toMatch(words);
    node.runtime().del({ containerId: "web-0" });
    expect(installed(node, moved)).not.toContain("!");
  });

  test("is told of a plugin that its list had, and has not any more", () => {
    using node = new InstallNode();
    node.plugins("portmap", "bandwidth");
    installed(node);
    expect(installed(node)).not.toContain("!");
    rmSync(node.at("/opt/cni/bin/portmap"));
    const words =
      /^! plugin {6}portmap +was in \/etc\/cni\/net\.d\/10-slash32\.conflist, and is not any more: see whether \/opt\/cni\/bin\/portmap is there, or name it with --conflist$/m;
    expect(installed(node, ["--pod-cidr", POD_CIDR, "--plan"])).toMatch(words);
    expect(installed(node)).toMatch(words);
    expect(installed(node)).not.toContain("!");
  });

  test("may be full: the trial takes no lease of the network's", () => {
    using node = new InstallNode();
    const args = ["--pod-cidr", "10.20.1.0/30"]; // room for one
    installed(node, args);
    const runtime = node.runtime();
    const pod = node.pod("web-0", runtime);
    expect(() => node.pod("web-1", runtime)).toThrow(/NoFreeAddress/);
    installed(node, args);
    runtime.check({ containerId: "web-0", netns: pod });
  });

  test("may be at work: its executable runs while another takes its place", async () => {
    using node = new InstallNode();
    installed(node);
    execaSync("sh", ["-c", `echo changed >>${node.at(BIN)}`]); // another one, as far as installing is concerned
    const env = { PATH: process.env.PATH, CNI_COMMAND: "STATUS" };
    const busy = spawn(node.at(BIN), [], { env, stdio: ["pipe", "pipe", "inherit"] }); // waits for its input
    expect(installed(node)).toMatch(/✓ executable .* written/);
    const asked = { ...node.list(), cniVersion: "1.1.0", type: "slash32", ipam: { subnet: POD_CIDR } };
    busy.stdin.end(JSON.stringify(asked));
    const [exitCode] = await once(busy, "close");
    expect(exitCode).toBe(0);
  });

  test("may be installed on twice at once", async () => {
    using node = new InstallNode();
    const one = (cidr: string) => {
      const command = [EXECUTABLE, "install", "--root", node.root, "--pod-cidr", cidr];
      const child = spawn("nsenter", [`--net=${node.host.path}`, "--", ...command], { stdio: "ignore" });
      return once(child, "close");
    };
    const ends = await Promise.all([one(POD_CIDR), one("10.20.2.0/24"), one(POD_CIDR)]);
    expect(ends.map(([exitCode]) => exitCode)).toEqual([0, 0, 0]);
    expect(node.files()).toHaveLength(3);
    node.pod("web-0");
  });
});

describe("lists beside ours", () => {
  test("of an earlier name are removed, if install wrote them for this network", () => {
    using node = new InstallNode();
    installed(node, ["--pod-cidr", POD_CIDR, "--conf-name", "20-pods.conflist"]);
    installed(node, ["--pod-cidr", POD_CIDR, "--conf-name", "30-second.conflist", "--network", "second"]);
    const byHand = JSON.stringify({ cniVersion: "1.0.0", name: "podnet", plugins: [{ type: "slash32" }] });
    node.write("/etc/cni/net.d/40-by-hand.conflist", byHand);
    expect(installed(node)).toMatch(
      /✓ older list {2}\/etc\/cni\/net\.d\/20-pods\.conflist +removed: network podnet$/m,
    );
    const names = node.files().flatMap((line) => /net\.d\/(\S+)/.exec(line)?.[1] ?? []);
    expect(names).toEqual(["10-slash32.conflist", "30-second.conflist", "40-by-hand.conflist"]);
  });

  test("that come first are left, and told of", () => {
    using node = new InstallNode();
    node.write("/etc/cni/net.d/05-other.conflist", OTHER);
    node.write("/etc/cni/net.d/06-draft.conf", "{");
    node.write("/etc/cni/net.d/87-later.conflist", OTHER);
    const report = installed(node);
    expect(report).toMatch(/^! other list .*\/05-other\.conflist .* runtimes take network "other" instead$/m);
    expect(report).toMatch(
      /^! other list .*\/06-draft\.conf .* cannot be loaded .*: containerd stops at it$/m,
    );
    expect(report).not.toContain("87-later");
    expect(node.read("/etc/cni/net.d/05-other.conflist")).toBe(OTHER);
  });

  test("that come first make it fail where ours has to be the first, with all in place", () => {
    using node = new InstallNode();
    const args = ["--pod-cidr", POD_CIDR, "--require-first"];
    for (const type of ["multus", "multus-shim"]) {
      node.write(
        "/etc/cni/net.d/00-multus.conf",
        JSON.stringify({ cniVersion: "0.3.1", name: "multus", type }),
      );
      expect(installed(node, args)).toContain("00-multus.conf");
    }
    node.write("/etc/cni/net.d/05-other.conflist", OTHER);
    const { stdout, stderr, exitCode } = node.install(args);
    expect({ stderr, exitCode }).toEqual({
      exitCode: 1,
      stderr:
        "slash32 install: Cannot serve pods from 10-slash32.conflist: /etc/cni/net.d/05-other.conflist comes first: " +
        'runtimes take network "other" instead; take it away, or have ours come before it by --conf-name',
    });
    expect(stdout).toMatch(/^· list .* is so already/m);
    node.write("/etc/cni/net.d/05-other.conflist", "{");
    expect(node.install(args).stderr).toMatch(/cannot be loaded .*: containerd stops at it; take it away/);
    expect(installed(node, [...args, "--conf-name", "01-slash32.conflist"])).not.toContain("05-other");
  });

  test("that have its name are not replaced, unless they are of slash32 or of nobody", () => {
    using node = new InstallNode();
    node.write(CONFLIST, OTHER);
    expect(refused(node)).toBe(
      `Cannot write ${CONFLIST}: it is of network "other", without slash32; choose another --conf-name`,
    );
    node.write(CONFLIST, "");
    installed(node);
  });
});

describe("a list of the operator's own", () => {
  const own = {
    cniVersion: "1.0.0",
    name: "own",
    disableCheck: true,
    plugins: [
      { type: "slash32", hostInterfacePrefix: "pod", ipam: { subnet: "usePodCidr" } },
      { type: "tuning", sysctl: {} },
    ],
  };
  const given = (node: InstallNode, list: unknown) => {
    node.write("/own.json", typeof list === "string" ? list : JSON.stringify(list));
    return ["--conflist", node.at("/own.json")];
  };

  test("is installed with all that it says, and marked", () => {
    using node = new InstallNode();
    node.plugins("tuning");
    installed(node, [...given(node, own), "--pod-cidr", POD_CIDR]);
    const [slash32, tuning] = own.plugins;
    const plugins = [{ ...slash32, writtenBy: "slash32 install" }, tuning];
    expect(JSON.parse(node.read(CONFLIST))).toEqual({ ...own, plugins });
    expect(node.pod("web-0").ping("198.51.100.1").received).toBe(1);
  });

  test("may name plugins that only the node can start", () => {
    using node = new InstallNode();
    symlinkSync("/srv/plugins/tuning", node.at("/opt/cni/bin/tuning"));
    installed(node, [...given(node, own), "--pod-cidr", POD_CIDR]);
    expect(JSON.parse(node.read(CONFLIST)).plugins).toHaveLength(2);
  });

  test.each([
    ["no JSON", "{", /^Cannot use \S+own\.json: .*JSON/],
    ["without slash32", JSON.parse(OTHER), /own\.json: none of its plugins has the type slash32$/],
    [
      "with a mistake in it",
      { ...own, plugins: [{ type: "slash32", mtu: "large", ipam: {} }] },
      /own\.json: InvalidConfig: .*mtu is "large"/,
    ],
    [
      "with routes that no ADD takes",
      {
        ...own,
        plugins: [{ type: "slash32", ipam: { subnet: "usePodCidr", routes: [{ dst: "10.96.1.0/12" }] } }],
      },
      /ipam\.routes\[0\]\.dst is "10\.96\.1\.0\/12", expected no host bits set/,
    ],
    ["with a plugin that is missing", own, /names "tuning", and \/opt\/cni\/bin\/tuning is no executable$/],
  ])("is refused: %s", (_, list, words) => {
    using node = new InstallNode();
    expect(refused(node, [...given(node, list), "--pod-cidr", POD_CIDR])).toMatch(words);
  });
});

describe("where it cannot be, the node is as before:", () => {
  const mute = {
    cniVersion: "1.1.0",
    name: "podnet",
    plugins: [{ type: "slash32", gatewayNeighbour: "proxy-arp", ipam: { subnet: "usePodCidr" } }],
  };

  test("a pod cannot be made for trial, as the host would not answer it", () => {
    using node = new InstallNode({ defaultRoute: false });
    node.write("/mute.json", JSON.stringify(mute));
    expect(refused(node, ["--pod-cidr", POD_CIDR, "--conflist", node.at("/mute.json")])).toMatch(
      /^Cannot ADD a pod on trial: KernelRefused: Cannot answer for the gateway 169\.254\.1\.1: /,
    );
  });

  test("a pod cannot be made for trial by what was to replace what is there", () => {
    using node = new InstallNode();
    installed(node);
    const runtime = node.runtime();
    const pod = node.pod("web-0", runtime);
    node.write("/mute.json", JSON.stringify(mute));
    const before = node.files();
    node.host.ip("route", "delete", "default");
    const { exitCode, stderr } = node.install([
      "--pod-cidr",
      "10.20.2.0/24",
      "--conflist",
      node.at("/mute.json"),
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^slash32 install: Cannot ADD a pod on trial: KernelRefused: [^\n]*$/);
    expect(node.files()).toEqual(before);
    node.host.ip("route", "add", "default", "via", "192.0.2.254");
    runtime.check({ containerId: "web-0", netns: pod });
  });

  test("a capability is missing", () => {
    using node = new InstallNode();
    const limited = ["--inh-caps", "-sys_admin", "--bounding-set", "-sys_admin", "--no-new-privs"];
    const command = [EXECUTABLE, "install", "--root", node.root, "--pod-cidr", POD_CIDR];
    expect(node.host.exec("setpriv", ...limited, ...command)).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        "slash32 install: Cannot make a sandbox for a pod on trial: " +
        "Cannot make a network namespace: Operation not permitted",
    });
    expect(node.files()).toEqual([]);
  });

  test("there is no room for the executable", () => {
    using node = new InstallNode();
    execaSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", node.at("/opt/cni/bin")]);
    try {
      expect(refused(node)).toMatch(/^Cannot write \S+\/opt\/cni\/bin\/slash32: .*No space left on device/);
    } finally {
      execaSync("umount", [node.at("/opt/cni/bin")]);
    }
  });

  test("there is no directory to be made", () => {
    using node = new InstallNode();
    node.write("/srv", "a file");
    expect(refused(node, ["--pod-cidr", POD_CIDR, "--cni-bin-dir", "/srv/bin"])).toContain("/srv");
  });
});

test.each([
  [[], /no pod CIDR is told/],
  [["--pod-cidr", "10.20.1.0"], /--pod-cidr is "10\.20\.1\.0", expected a CIDR/],
  [["--pod-cidr", "10.20.1.0/24", "--pod-cidr", "10.20.2.0/24"], /expected one of each family/],
  [["--pod-cidr", "10.20.1.7/24"], /subnet is "10\.20\.1\.7\/24", expected/],
  [["--pod-cidr", POD_CIDR, "--mtu", "67"], /--mtu is "67", expected 68 to 65535/],
  [["--pod-cidr", "fd00:20:1::/64", "--mtu", "1000"], /mtu is 1000, expected at least 1280 for IPv6/],
  [["--pod-cidr", POD_CIDR, "--timeout", "soon"], /--timeout is "soon", expected a time/],
  [["--pod-cidr", POD_CIDR, "--conf-name", "../x.conflist"], /--conf-name is "\.\.\/x\.conflist"/],
  [["--pod-cidr", POD_CIDR, "--conf-name", "x.conf"], /--conf-name is "x\.conf"/],
  [["--pod-cidr", POD_CIDR, "--cni-version", "2.0.0"], /--cni-version is "2\.0\.0"/],
  [["--pod-cidr", POD_CIDR, "--network", "a/b"], /name is "a\/b"/],
  [
    ["--pod-cidr", POD_CIDR, "--conflist", "x", "--network", "y"],
    /--network "y" is for the list to say, which --conflist gives/,
  ],
  [["--pod-cidr", POD_CIDR, "--conflist", "x", "--cni-version", "1.0.0"], /--cni-version "1\.0\.0" is for/],
  [["--pod-cidr", POD_CIDR, "--conflist", "x", "--log-file", "/l"], /--log-file "\/l" is for/],
  [["please"], /install takes no "please"/],
])("%j is not understood: exit status 2, and nothing is changed", (args, words) => {
  using node = new InstallNode();
  const { stdout, stderr, exitCode } = node.install(args);
  expect({ stdout, exitCode, files: node.files() }).toEqual({ stdout: "", exitCode: 2, files: [] });
  expect(stderr).toMatch(words);
});
