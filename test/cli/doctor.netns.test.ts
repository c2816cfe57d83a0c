// slash32 doctor on nodes that are broken in the kernel: each fault is named, and what is to be typed mends it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TestNode } from "../helpers/doctor.ts";
import { succeeded } from "../helpers/outcome.ts";
import { add } from "../helpers/plugin.ts";

const sysctl = (key: string, value: number) => (node: TestNode) => node.host.setSysctl(key, value);
const inPod = (command: string) => (node: TestNode) => node.pods[0]?.ipBatch(command);
const nft = (rules: string) => (node: TestNode) => node.type(`nft '${rules}'`);
const onHost = (command: (node: TestNode) => string) => (node: TestNode) => node.host.ipBatch(command(node));

test("a healthy node has nothing wrong, and says what was looked at", () => {
  using node = new TestNode();
  const { findings, summary, checks } = node.report();
  expect(findings).toEqual([]);
  expect(summary).toMatchObject({ errors: 0, warnings: 0 });
  expect(checks.length).toBeGreaterThan(30);
  expect(checks.find(({ check }) => check === "every pod is wired as ADD left it")).toMatchObject({
    outcome: "fine",
    seen: "2 pods verified",
  });
  expect(node.doctor()).toMatchObject({ exitCode: 0, stderr: "" });
});

test("a node without pods has nothing wrong", () => {
  using node = new TestNode({ pods: 0 });
  expect(node.report().findings).toEqual([]);
});

describe("of pods whose addresses another IPAM plugin gave", () => {
  /** A node with such a pod and none of another kind. */
  function delegatedNode(): TestNode {
    const dataDir = mkdtempSync(join(tmpdir(), "slash32-host-local-"));
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.20.1.0/24" }]], dataDir };
    const node = new TestNode({ pods: 0, netconf: { ipam } });
    const { stateDir } = node.host;
    const conf = { type: "slash32", cniVersion: "1.0.0", name: "podnet", stateDir, ipam };
    succeeded(add({ host: node.host, netns: node.sandbox(), path: "/usr/lib/cni", netconf: conf }));
    rmSync(dataDir, { recursive: true });
    node.program("host-local", "exit 0");
    return node;
  }

  test("all is well where it is", () => {
    using node = delegatedNode();
    expect(node.report().findings).toEqual([]);
  });

  test.each([
    { what: "forwarding off", breakIt: sysctl("net.ipv4.ip_forward", 0), seen: "net.ipv4.ip_forward is 0" },
    {
      what: "a firewall that forwards nothing",
      breakIt: nft("table ip guard { chain forward { type filter hook forward priority 0; policy drop; }; }"),
      seen: expect.stringMatching(/^the firewall drops packets from pods to uplink0/),
    },
  ])("$what is told", ({ breakIt, seen }) => {
    using node = delegatedNode();
    breakIt(node);
    expect(node.report().findings).toEqual([expect.objectContaining({ severity: "error", seen })]);
  });
});

test.each([
  { netconf: { mtu: 50 }, seen: /10-slash32\.conflist: InvalidConfig: .*mtu is 50/ },
  {
    netconf: { ipam: { ranges: [[{ subnet: "10.20.1.0/24" }]], routes: [{ dst: "10.96.1.0/12" }] } },
    seen: /InvalidConfig: .*ipam\.routes\[0\]\.dst/,
  },
])("a configuration that its schema allows and ADD refuses is told: $netconf", ({ netconf, seen }) => {
  using node = new TestNode({ pods: 0, netconf });
  expect(node.report().findings).toEqual([
    expect.objectContaining({ severity: "error", seen: expect.stringMatching(seen) }),
  ]);
});

test("an MTU in node.json that the way out does not take any more is told, before any pod has it", () => {
  using node = new TestNode({ pods: 0 });
  writeFileSync(join(node.host.stateDir, "node.json"), JSON.stringify({ podCIDRs: [], mtu: 9000 }), {
    mode: 0o600,
  });
  expect(node.report().findings).toEqual([
    expect.objectContaining({
      severity: "warning",
      seen: "new pods of network podnet get MTU 9000, and the host's way out takes 1500",
    }),
  ]);
});

type Fault = {
  readonly name: string;
  readonly breakIt: (node: TestNode) => void;
  /** One for each finding, in order. */
  readonly seen: readonly RegExp[];
  readonly severity?: "error" | "warning";
  /** Whether typing what is said leaves nothing to find. Default true. */
  readonly mends?: boolean;
};

/** A second interface that leads out. */
function secondWay({ host }: TestNode, ...more: readonly string[]): void {
  host.ipBatch(
    "link add second0 type veth peer name second1",
    "address add 192.0.3.1/24 dev second0",
    "link set second1 up",
    "link set second0 up",
    ...more,
  );
}

const FAULTS: readonly Fault[] = [
  {
    name: "IPv4 forwarding off",
    breakIt: sysctl("net.ipv4.ip_forward", 0),
    seen: [/^net\.ipv4\.ip_forward is 0$/],
  },
  {
    name: "IPv6 forwarding off",
    breakIt: sysctl("net.ipv6.conf.all.forwarding", 0),
    seen: [/^net\.ipv6\.conf\.all\.forwarding is 0$/],
  },
  {
    name: "forwarding off on the way out alone",
    breakIt: sysctl("net.ipv4.conf.uplink0.forwarding", 0),
    seen: [/^net\.ipv4\.conf\.uplink0\.forwarding is 0$/],
  },
  {
    name: "forwarding off on one of two ways out among which packets are divided",
    breakIt(node) {
      secondWay(
        node,
        "route replace default nexthop via 192.0.2.254 dev uplink0 nexthop via 192.0.3.254 dev second0",
      );
      node.host.setSysctl("net.ipv4.conf.second0.forwarding", 0);
    },
    seen: [/^net\.ipv4\.conf\.second0\.forwarding is 0$/],
  },
  {
    name: "strict rp_filter on a second way in",
    breakIt(node) {
      secondWay(node);
      node.host.setSysctl("net.ipv4.conf.second0.rp_filter", 1);
    },
    seen: [/^rp_filter is strict \(1\) on second0$/],
    severity: "warning",
  },
  {
    name: "no IPv4 default route",
    breakIt: onHost(() => "route delete default"),
    seen: [
      /^the host has no IPv4 default route$/,
      /^default\/web-0: gateway 169\.254\.1\.1 is mute/,
      /^default\/web-1: gateway/,
    ],
    mends: false,
  },
  {
    name: "no IPv6 default route",
    breakIt: onHost(() => "route delete default via 2001:db8::fe"),
    seen: [/^the host has no IPv6 default route$/],
    severity: "warning",
    mends: false,
  },
  {
    name: "a route that swallows the gateway",
    breakIt: onHost(() => "route add blackhole 169.254.0.0/16"),
    seen: [/^the host discards packets to 169\.254\.1\.1 \(route 169\.254\.0\.0\/16\)$/],
  },
  {
    name: "a route that sends the gateway to a pod",
    breakIt: onHost(({ hostEnd }) => `route add 169.254.1.1 dev ${hostEnd}`),
    seen: [/^the host routes 169\.254\.1\.1 to a pod/],
  },
  {
    name: "the gateway's address on the way out",
    breakIt: onHost(() => "address add 169.254.1.1/32 dev uplink0"),
    seen: [/^uplink0 has the address 169\.254\.1\.1$/],
    severity: "warning",
  },
  {
    name: "the gateway's address in use by a machine outside",
    breakIt: onHost(() => "neigh add 169.254.1.1 lladdr 02:00:00:00:00:07 dev uplink0 nud reachable"),
    seen: [/^a machine behind uplink0 owns 169\.254\.1\.1 \(02:00:00:00:00:07\)$/],
    severity: "warning",
    mends: false,
  },
  {
    name: "proxy ARP off",
    breakIt: (node) => node.host.setSysctl(`net.ipv4.conf.${node.hostEnd}.proxy_arp`, 0),
    seen: [/^default\/web-0: setting net\/ipv4\/conf\/cali\w+\/proxy_arp on the host is 0, should be 1$/],
  },
  {
    name: "host end's MAC rewritten",
    breakIt: onHost(({ hostEnd }) => `link set ${hostEnd} address 02:00:00:00:00:01`),
    // The kernel forgets the neighbours of an interface whose MAC changes, pinned ones too.
    seen: [
      /^default\/web-0: host end cali\w+ is MAC 02:00:00:00:00:01, should be MAC ee:ee:ee:ee:ee:ee$/,
      /neighbour 10\.20\.1\.2 on cali\w+ on the host is missing/,
      /neighbour fd00:20::2 on cali\w+ on the host is missing/,
    ],
  },
  {
    name: "host route to the wrong link",
    breakIt: onHost(() => "route replace 10.20.1.2 dev uplink0"),
    seen: [/^default\/web-0: route 10\.20\.1\.2\/32 on the host is/],
    mends: true,
  },
  {
    name: "host route gone",
    breakIt: onHost(({ hostEnd }) => `route delete 10.20.1.2 dev ${hostEnd}`),
    seen: [/^default\/web-0: route 10\.20\.1\.2\/32 on the host is missing/],
  },
  {
    name: "pod's default route gone",
    breakIt: inPod("route delete default"),
    seen: [
      /^default\/web-0: route default in the sandbox is missing, should be via 169\.254\.1\.1 dev eth0$/,
    ],
  },
  {
    name: "pod's address gone",
    breakIt: inPod("address delete fd00:20::2/128 dev eth0"),
    seen: [/^default\/web-0: address fd00:20::2\/128 on eth0 is missing/],
  },
  {
    name: "pod's MAC changed, as the host does not know",
    breakIt: inPod("link set eth0 address 02:00:00:00:00:02"),
    seen: [/neighbour 10\.20\.1\.2 on cali\w+ on the host/, /neighbour fd00:20::2 on cali\w+ on the host/],
  },
  {
    name: "pinned neighbour gone",
    breakIt: onHost(({ hostEnd }) => `neigh delete 10.20.1.2 dev ${hostEnd}`),
    seen: [/^default\/web-0: neighbour 10\.20\.1\.2 on cali\w+ on the host is missing/],
  },
  {
    name: "pod's interface down, and with it its routes",
    breakIt: inPod("link set eth0 down"),
    seen: [
      /^default\/web-0: interface eth0 in the sandbox is down, should be up$/,
      /^default\/web-0: address fd00:20::2\/128 on eth0 is missing/,
      /route 169\.254\.1\.1\/32 in the sandbox is missing/,
      /route default in the sandbox is missing, should be via 169\.254\.1\.1/,
      /route default in the sandbox is missing, should be via fe80::/,
    ],
  },
  {
    name: "pod's interface taken out of it",
    breakIt: (node) => inPod(`link set eth0 netns ${node.host.name}`)(node),
    seen: [/^podnet\/container-0\/eth0: other end of cali\w+ is on the host, should be eth0 in the sandbox$/],
    mends: false,
  },
  {
    name: "MTUs that differ",
    breakIt: inPod("link set eth0 mtu 1400"),
    seen: [/^default\/web-0: sandbox end eth0 has MTU 1400, should have MTU 1500$/],
  },
  {
    name: "a way out that takes smaller packets than the pods send",
    breakIt: onHost(() => "link set uplink0 mtu 1400"),
    seen: [/^MTU 1500 on default\/web-0, default\/web-1; a new pod would get 1400$/],
    severity: "warning",
    mends: false,
  },
  {
    name: "a firewall that forwards nothing (nft)",
    breakIt: nft(
      "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    ),
    seen: [
      /^the firewall drops packets from pods to uplink0, of answers from uplink0 to pods, from pod to pod: policy of ip filter FORWARD$/,
    ],
  },
  {
    name: "a firewall that rejects what comes from pods",
    breakIt: nft(
      "add table inet guard; add chain inet guard forward { type filter hook forward priority 0; }; " +
        'add rule inet guard forward ct state established accept; add rule inet guard forward iifname "cali*" oifname "uplink0" reject',
    ),
    seen: [
      /^the firewall drops packets from pods to uplink0: inet guard forward: iifname "cali\*" oifname "uplink0" reject/,
    ],
  },
  {
    name: "a firewall that accepts pods before its policy drops",
    breakIt: nft(
      "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; " +
        "add rule ip filter FORWARD ip saddr 10.20.1.0/24 accept; add rule ip filter FORWARD ip daddr 10.20.1.0/24 accept",
    ),
    seen: [],
  },
  {
    name: "somebody else's interface under our prefix",
    breakIt: onHost(() => "link add cali0123 type veth peer name elsewhere"),
    seen: [/^1 interface named as host ends are not ours: cali0123$/],
    severity: "warning",
    mends: false,
  },
];

test("without privileges it says what it could not look at", () => {
  using node = new TestNode();
  const unprivileged = ["--bounding-set=-all", "--inh-caps=-all"];
  const { stdout, exitCode } = node.host.exec(
    "setpriv",
    ...unprivileged,
    node.executable,
    "doctor",
    ...node.options,
  );
  expect(exitCode).toBe(1);
  expect(stdout).toContain("✗ this process is without CAP_NET_ADMIN and CAP_SYS_ADMIN");
  expect(stdout).toMatch(
    /\? every pod is wired as ADD left it: cannot be told \(no sandbox can be looked into\)/,
  );
});

describe("each fault is named, and nothing else is", () => {
  test.each(FAULTS)("$name", ({ breakIt, seen, severity, mends = true }) => {
    using node = new TestNode();
    breakIt(node);
    const { findings } = node.report();
    expect(findings).toEqual(
      seen.map((words) => expect.objectContaining({ seen: expect.stringMatching(words) })),
    );
    if (severity) expect(findings.map((finding) => finding.severity)).toEqual(seen.map(() => severity));
    for (const { why, type } of findings) {
      expect(why).toMatch(/^[A-Z].*\.$/);
      expect(type).not.toBe("");
      if (mends) node.type(type);
    }
    if (mends) expect(node.report().findings).toEqual([]);
  });
});
