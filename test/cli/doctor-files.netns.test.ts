// slash32 doctor on files: those of other software, of the runtime, and of slash32 itself.

import { Database } from "bun:sqlite";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LockFile } from "../../src/lock.ts";
import { type Finding, TestNode } from "../helpers/doctor.ts";

type Case = {
  readonly name: string;
  /** Files of others, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** What is found; nothing when it is all right. */
  readonly seen?: RegExp;
  readonly severity?: "error" | "warning";
  readonly type?: RegExp;
};

const NETWORKD_RUNS = { "/run/systemd/netif/state": "" };
const NETWORK_MANAGER_RUNS = { "/run/NetworkManager/no-stub-resolv.conf": "" };
const FIREWALLD_RUNS = { "/etc/systemd/system/multi-user.target.wants/firewalld.service": "" };

const FOREIGN: readonly Case[] = [
  {
    name: "udev's default, which spares a MAC that was given",
    files: {
      "/usr/lib/systemd/network/99-default.link":
        "[Match]\nOriginalName=*\n\n[Link]\nNamePolicy=keep kernel\nMACAddressPolicy=persistent\n",
    },
  },
  {
    name: "a .link that gives every veth a MAC",
    files: {
      "/etc/systemd/network/10-veth.link": "[Match]\nDriver=veth\n[Link]\nMACAddress=02:00:00:00:00:01\n",
    },
    seen: /10-veth\.link sets MACAddress=02:00:00:00:00:01/,
    severity: "error",
    type: /\[Match\]\\nOriginalName=cali\*\\n.* > \/etc\/systemd\/network\/05-slash32\.link/,
  },
  {
    name: "a .link that renames",
    files: { "/etc/systemd/network/10.link": "[Match]\nOriginalName=cali*\n[Link]\nName=pod0\n" },
    seen: /10\.link names host ends "pod0"/,
    severity: "error",
  },
  {
    name: "a .link that sets an MTU",
    files: { "/run/systemd/network/10.link": "[Match]\nType=ether\n[Link]\nMTUBytes=9000\n" },
    seen: /10\.link sets MTUBytes=9000/,
    severity: "warning",
  },
  {
    name: "a .link for hardware",
    files: { "/etc/systemd/network/10.link": "[Match]\nPath=pci-*\nOriginalName=*\n[Link]\nMTUBytes=9000\n" },
  },
  {
    name: "a .link that an earlier one keeps off",
    files: {
      "/etc/systemd/network/05-slash32.link": "[Match]\nOriginalName=cali*\n[Link]\nMACAddressPolicy=none\n",
      "/etc/systemd/network/10-veth.link": "[Match]\nDriver=veth\n[Link]\nMACAddress=02:00:00:00:00:01\n",
    },
  },
  {
    name: "a .link that a file of the same name masks",
    files: {
      "/etc/systemd/network/10-veth.link": "",
      "/usr/lib/systemd/network/10-veth.link": "[Match]\nDriver=veth\n[Link]\nMTUBytes=9000\n",
    },
  },
  {
    name: "networkd at work, with its defaults",
    files: NETWORKD_RUNS,
    seen: /ManageForeignRoutes=yes \(its default\)/,
    severity: "warning",
    type: /ManageForeignRoutes=no.*networkd\.conf\.d\/slash32\.conf/,
  },
  {
    name: "networkd told to leave foreign routes",
    files: { ...NETWORKD_RUNS, "/etc/systemd/networkd.conf.d/x.conf": "[Network]\nManageForeignRoutes=no\n" },
  },
  {
    name: "networkd with a unit for all Ethernet",
    files: {
      ...NETWORKD_RUNS,
      "/etc/systemd/networkd.conf": "[Network]\nManageForeignRoutes=no\n",
      "/etc/systemd/network/20-wired.network": "[Match]\nName=en* !lo\nType=ether\n[Network]\nDHCP=yes\n",
      "/etc/systemd/network/30-all.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
    },
    seen: /30-all\.network matches host ends/,
    severity: "error",
    type: /Name=cali\*\\n\[Link\]\\nUnmanaged=yes/,
  },
  {
    name: "networkd with a unit that lets go of ours",
    files: {
      ...NETWORKD_RUNS,
      "/etc/systemd/networkd.conf": "[Network]\nManageForeignRoutes=no\n",
      "/etc/systemd/network/05-slash32.network": "[Match]\nName=cali*\n[Link]\nUnmanaged=yes\n",
      "/etc/systemd/network/30-all.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
    },
  },
  {
    name: "units for networkd, which nobody runs",
    files: { "/etc/systemd/network/30-all.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n" },
  },
  {
    name: "NetworkManager that was told nothing",
    files: NETWORK_MANAGER_RUNS,
    seen: /NetworkManager is in use, and no unmanaged-devices names cali\*/,
    severity: "warning",
    type: /unmanaged-devices\+=interface-name:cali\*/,
  },
  {
    name: "NetworkManager told of ours by name",
    files: {
      ...NETWORK_MANAGER_RUNS,
      "/etc/NetworkManager/conf.d/pods.conf":
        "[keyfile]\nunmanaged-devices=interface-name:br*;interface-name:cali*\n",
    },
  },
  {
    name: "NetworkManager told of ours by driver, but for one",
    files: {
      ...NETWORK_MANAGER_RUNS,
      "/etc/NetworkManager/NetworkManager.conf":
        "[device-veth]\nmatch-device=driver:veth,except:interface-name:cali*\nmanaged=0\n",
    },
    seen: /NetworkManager is in use/,
  },
  {
    name: "NetworkManager told of all veths by a udev rule",
    files: {
      ...NETWORK_MANAGER_RUNS,
      "/usr/lib/udev/rules.d/85-nm-unmanaged.rules": 'ENV{ID_NET_DRIVER}=="veth", ENV{NM_UNMANAGED}="1"\n',
    },
  },
  {
    name: "firewalld that does not know the ranges",
    files: {
      ...FIREWALLD_RUNS,
      "/etc/firewalld/zones/trusted.xml": '<zone target="ACCEPT"><source address="10.20.1.0/24"/></zone>',
    },
    seen: /zone trusted does not have fd00:20::\/64$/,
    severity: "warning",
    type: /firewall-cmd --permanent --zone=trusted --add-source=fd00:20::\/64/,
  },
  {
    name: "ufw that drops",
    files: {
      "/etc/ufw/ufw.conf": "ENABLED=yes\n",
      "/etc/default/ufw": 'DEFAULT_FORWARD_POLICY="DROP"\n',
      "/etc/ufw/user6.rules":
        "-A ufw6-user-forward -s fd00:20::/64 -j ACCEPT\n-A ufw6-user-forward -d fd00:20::/64 -j ACCEPT\n",
    },
    seen: /ufw is enabled with DEFAULT_FORWARD_POLICY=DROP, and no route rule for 10\.20\.1\.0\/24/,
    severity: "error",
    type: /ufw route allow from 10\.20\.1\.0\/24/,
  },
  { name: "ufw that is off", files: { "/etc/ufw/ufw.conf": "ENABLED=no\n" } },
  {
    name: "Calico's agent on the same node",
    files: { "/var/lib/calico/nodename": "node-a\n" },
    seen: /Felix/,
    severity: "error",
    type: /^sed -i .*hostInterfacePrefix/,
  },
  {
    name: "a result that the runtime was ended over",
    files: { "/var/lib/cni/results/podnet-a-eth0": "", "/var/lib/cni/results/podnet-b-eth0": "{}" },
    seen: /podnet-a-eth0 is empty/,
    severity: "error",
    type: /^rm \/var\/lib\/cni\/results\/podnet-a-eth0$/,
  },
  {
    name: "a result that the runtime wrote half of",
    files: { "/var/lib/cni/results/podnet-a-eth0": '{"kind":"cniCa' },
    seen: /podnet-a-eth0 is not JSON/,
    severity: "error",
  },
];

describe("other software's files", () => {
  test.each(FOREIGN)("$name", ({ files, seen, severity, type }) => {
    using node = new TestNode({ pods: 0 });
    for (const [path, text] of Object.entries(files)) node.file(path, text);
    const { findings } = node.report();
    expect(findings.map((finding) => finding.seen)).toEqual(seen ? [expect.stringMatching(seen)] : []);
    if (severity) expect(findings[0]?.severity).toBe(severity);
    if (type) expect(findings[0]?.type).toMatch(type);
  });

  test("what is said about Calico's prefix leaves a configuration with another", () => {
    using node = new TestNode({ pods: 0 });
    node.file("/var/lib/calico/nodename", "node-a\n");
    node.type((node.report().findings[0] as Finding).type);
    expect(node.report().findings).toEqual([]);
  });
});

type Fault = {
  readonly name: string;
  readonly breakIt: (node: TestNode) => void;
  readonly seen: readonly RegExp[];
  readonly mends?: boolean;
  readonly pods?: number;
};

const conf = (name: string, text: string) => (node: TestNode) =>
  writeFileSync(join(node.confDir, name), text);
const OTHER = JSON.stringify({ cniVersion: "1.0.0", name: "other", plugins: [{ type: "bridge" }] });
const store = (node: TestNode, file = "leases.db") => join(node.host.stateDir, "podnet", file);

const FAULTS: readonly Fault[] = [
  {
    name: "a file before ours",
    breakIt: conf("05-other.conflist", OTHER),
    seen: [/05-other\.conflist \(network "other"\) comes before .*10-slash32\.conflist$/],
  },
  { name: "a file after ours", breakIt: conf("20-other.conflist", OTHER), seen: [] },
  {
    name: "a broken file before ours",
    breakIt: conf("05-other.conf", "{ not JSON"),
    seen: [/05-other\.conf cannot be loaded: /],
  },
  {
    name: "a broken file after ours",
    breakIt: conf("20-other.json", "[]"),
    seen: [/20-other\.json cannot be loaded: it is no JSON object$/],
  },
  {
    name: "our file gone",
    breakIt: (node) => unlinkSync(node.conflist),
    seen: [/^no file in .*net\.d has a plugin of type slash32$/],
    pods: 0,
  },
  {
    name: "a mistake in our file",
    breakIt: conf("10-slash32.conflist", '{"name":"podnet","plugins":[{"type":"slash32","mtu":"big"}]}'),
    seen: [/InvalidConfig: .*mtu is "big", expected/],
    mends: false,
    pods: 0,
  },
  {
    name: "a plugin of the chain missing",
    breakIt: (node) => node.type(`sed -i 's/"plugins": \\[/&{"type":"portmap"},/' ${node.conflist}`),
    seen: [/bin\/portmap is missing$/],
    mends: false,
  },
  {
    name: "the loopback plugin missing",
    breakIt: (node) => unlinkSync(join(node.binDir, "loopback")),
    seen: [/bin\/loopback is missing$/],
    mends: false,
  },
  {
    name: "an executable that is not",
    breakIt(node) {
      unlinkSync(join(node.binDir, "slash32"));
      writeFileSync(join(node.binDir, "slash32"), "#!/bin/sh\necho slash32 0.1.0\n", { mode: 0o644 });
    },
    seen: [/bin\/slash32 is not executable$/],
  },
  {
    name: "an executable of another version",
    breakIt(node) {
      unlinkSync(join(node.binDir, "slash32"));
      node.program("slash32", "echo slash32 0.0.9");
    },
    seen: [/--version says "slash32 0\.0\.9"; this is slash32 /],
    mends: false,
  },
  {
    name: "an executable that does not end",
    breakIt(node) {
      unlinkSync(join(node.binDir, "slash32"));
      node.program("slash32", "exec sleep 60");
    },
    seen: [/--version says nothing \(slash32 did not end in \d s\)/],
    mends: false,
  },
  {
    name: "a configuration that others may write",
    breakIt: (node) => chmodSync(node.conflist, 0o666),
    seen: [/10-slash32\.conflist can be written by others \(0666\)$/],
  },
  {
    name: "leases that others may write",
    breakIt: (node) => chmodSync(store(node), 0o622),
    seen: [/leases\.db can be written by others \(0622\)$/],
  },
  {
    name: "leases that others may look at",
    breakIt: (node) => chmodSync(store(node, "."), 0o755),
    seen: [/podnet.* is open to others \(0755\)$/],
  },
  {
    name: "leases of another user's",
    breakIt: (node) => node.type(`chown nobody ${store(node)}`),
    seen: [/leases\.db belongs to user 65534$/],
  },
  {
    name: "a lease whose pod is gone",
    breakIt(node) {
      node.pods[0]?.[Symbol.dispose]();
      while (node.host.exec("ip", "link", "show", "type", "veth").stdout.includes("cali")) Bun.sleepSync(10);
    },
    seen: [
      /^podnet\/container-0\/eth0: lease of 10\.20\.1\.2 and fd00:20::2 is held, but cali\w+ is missing/,
    ],
  },
  {
    name: "a pod that the store does not know",
    breakIt(node) {
      using database = new Database(store(node));
      database.run("UPDATE address SET held_by = NULL, freed = 1");
      database.run("DELETE FROM attachment");
    },
    seen: [/^podnet\/container-0\/eth0: host end cali\w+ is there, with 10\.20\.1\.2/],
  },
  {
    name: "a route to what nobody holds",
    breakIt: (node) => node.type("ip route add 10.20.1.99 dev uplink0 proto 32"),
    seen: [/^host route to 10\.20\.1\.99\/32 is dev uplink0 proto 32/],
  },
  {
    name: "a store that is gone",
    breakIt: (node) => unlinkSync(store(node)),
    seen: [/^store in .* is missing, though 1 host ends? (is|are) there/],
  },
  {
    name: "a store that is empty",
    breakIt: (node) => writeFileSync(store(node), ""),
    seen: [/^store in .* is missing, though 1 host ends? (is|are) there/],
  },
  {
    name: "node.json that is not right",
    breakIt: (node) => writeFileSync(join(node.host.stateDir, "node.json"), '{"mtu":"large"}'),
    seen: [/InvalidNodeFile: .*mtu is "large", expected/],
  },
];

describe("the runtime's and our own files", () => {
  test.each(FAULTS)("$name", ({ breakIt, seen, mends = true, pods = 1 }) => {
    using node = new TestNode({ pods });
    breakIt(node);
    const { findings } = node.report();
    expect(findings.map((finding) => finding.seen)).toEqual(
      seen.map((words) => expect.stringMatching(words)),
    );
    if (!mends) return;
    for (const { type } of findings) node.type(type);
    expect(node.report().findings).toEqual([]);
  });

  test.each([
    {
      name: "garbage",
      breakIt: (path: string) => writeFileSync(path, "x".repeat(4096)),
      seen: /not a database/,
      mends: true,
    },
    {
      name: "of a newer version",
      breakIt(path: string) {
        using database = new Database(path);
        database.run("PRAGMA user_version = 99");
      },
      seen: /schema is version 99, this slash32 knows version \d/,
      mends: false,
    },
  ])("a store that is $name is told, and left as it is", ({ breakIt, seen, mends }) => {
    using node = new TestNode({ pods: 1 });
    breakIt(store(node));
    const before = node.host.exec("sha256sum", store(node)).stdout;
    const found = node.report().findings.filter(({ check }) => check === "every store can be read");
    expect(found).toMatchObject([{ severity: "error", seen: expect.stringMatching(seen) }]);
    expect(node.host.exec("sha256sum", store(node)).stdout).toBe(before);
    if (!mends) return;
    node.type(found[0]?.type ?? "");
    expect(node.report().findings).toEqual([]);
  });

  test("a store that somebody sits on keeps nobody waiting for long", () => {
    using node = new TestNode({ pods: 1 });
    using locks = new LockFile(store(node, "lock"));
    using _ = locks.hold(0n);
    const { findings, checks } = node.report();
    expect(findings).toMatchObject([
      { seen: expect.stringMatching(/leases\.db has been locked by another process for 2 s$/) },
    ]);
    expect(checks.find(({ check }) => check === "store and kernel agree")).toMatchObject({
      outcome: "unable",
    });
  });

  test("a state directory that is not on a tmpfs", () => {
    using node = new TestNode({ pods: 0 });
    const directory = mkdtempSync("/var/tmp/slash32-state-");
    const { findings } = node.report("--state-dir", directory);
    expect(findings).toMatchObject([{ severity: "warning", seen: `${directory} is not on a tmpfs` }]);
    rmSync(directory, { recursive: true });
  });

  test.each([
    { pods: 4, subnet: "10.20.1.0/29", seen: [] },
    {
      pods: 5,
      subnet: "10.20.1.0/29",
      seen: [/^5 of 5 addresses of 10\.20\.1\.0\/29 are leased \(100 %\)$/],
    },
  ])("$pods pods in $subnet", ({ pods, subnet, seen }) => {
    using node = new TestNode({ pods, netconf: { ipam: { ranges: [[{ subnet }]] } } });
    const { findings } = node.report();
    expect(findings.map((finding) => finding.seen)).toEqual(
      seen.map((words) => expect.stringMatching(words)),
    );
  });

  test("a pod CIDR that is asked for and not known", () => {
    using node = new TestNode({ pods: 0, netconf: { ipam: { ranges: [[{ subnet: "usePodCidr" }]] } } });
    const { findings } = node.report();
    expect(findings).toMatchObject([
      {
        severity: "error",
        seen: expect.stringMatching(
          /network podnet asks for the node's IPv4 pod CIDR, and .*node\.json has none$/,
        ),
      },
    ]);
    writeFileSync(join(node.host.stateDir, "node.json"), '{"podCIDRs":["10.20.1.0/24"]}');
    expect(node.report().findings).toEqual([]);
  });
});

describe("what is printed", () => {
  test("people read subjects, findings and a sum; with --verbose each check", () => {
    using node = new TestNode({ pods: 1 });
    node.host.setSysctl("net.ipv4.ip_forward", 0);
    const { stdout, exitCode } = node.doctor();
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      "  ✗ net.ipv4.ip_forward is 0\n" +
        "    No packet passes to or from any pod on this node.\n" +
        "    $ sysctl -w net.ipv4.ip_forward=1\n",
    );
    expect(stdout).toMatch(/^✗ {2}settings +1 error, /m);
    expect(stdout).toMatch(/\n1 error, (\d not told, )?\d+ fine$/);
    expect(stdout).not.toContain("\x1b");
    expect(node.doctor("--verbose").stdout.split("\n").length).toBeGreaterThan(40);
  });

  test("warnings alone are no failure, unless with --strict", () => {
    using node = new TestNode({ pods: 0 });
    node.file("/run/NetworkManager/x", "");
    expect(node.doctor().exitCode).toBe(0);
    expect(node.doctor("--strict").exitCode).toBe(1);
  });

  test("the root's own directories are taken where no others are named", () => {
    using node = new TestNode({ pods: 0 });
    node.file("/etc/cni/net.d/05-other.conf", '{"name":"other","type":"bridge"}');
    symlinkSync(node.conflist, join(node.root, "etc/cni/net.d/10-slash32.conflist"));
    const { stdout } = node.host.exec(node.executable, "doctor", "--json", "--root", node.root);
    expect(JSON.parse(stdout).findings.map(({ seen }: Finding) => seen)).toContain(
      '/etc/cni/net.d/05-other.conf (network "other") comes before /etc/cni/net.d/10-slash32.conflist',
    );
  });

  test.each([["--nonsense"], ["something"], ["--root"]])("%s is not understood", (...args) => {
    using node = new TestNode({ pods: 0 });
    expect(node.doctor(...args)).toMatchObject({ exitCode: 2, stdout: "" });
  });
});
