// `slash32 trace`: what it says of paths that work, and of paths that were broken by hand.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TestNetns } from "../helpers/lab.ts";
import { facts, TraceBench } from "../helpers/trace.ts";

const WORLD = "198.51.100.1";

describe("a path that works", () => {
  let bench: TraceBench;
  beforeAll(() => {
    bench = new TraceBench();
  });
  afterAll(() => bench[Symbol.dispose]());
  const paths: [string, string, string[]][] = [
    ["default/web-0", "default/db-0", ["sandbox default/web-0", "host", "sandbox default/db-0"]],
    ["10.20.1.2", "10.20.1.3", ["sandbox default/web-0", "host", "sandbox default/db-0"]],
    ["aaaa1111", "fd00:20::3", ["sandbox default/web-0", "host", "sandbox default/db-0"]],
    ["aaaa1", "aaaa22", ["sandbox default/web-0", "host", "sandbox default/db-0"]],
    ["default/web-0", WORLD, ["sandbox default/web-0", "host", "beyond"]],
    ["default/web-0", "2001:db8:ffff::1", ["sandbox default/web-0", "host", "beyond"]],
    ["default/web-0", "host", ["sandbox default/web-0", "host"]],
    ["default/web-0", "192.0.2.1", ["sandbox default/web-0", "host"]],
    ["host", "default/web-0", ["host", "sandbox default/web-0"]],
    ["192.0.2.1", "default/web-0", ["host", "sandbox default/web-0"]],
    ["host", WORLD, ["host", "beyond"]],
  ];
  test.each(paths)("%s → %s: every fact is well", (from, to, places) => {
    const traced = bench.trace(from, to);
    expect(traced).toMatchObject({ exitCode: 0, verdict: "ok", mtu: 1500 });
    expect([...new Set(traced.hops.map(({ place }) => place))]).toEqual(places);
    // What lies beyond the host cannot be seen from it; all else can.
    const doubts = facts(traced).filter(({ verdict }) => verdict !== "ok");
    expect(doubts.map(({ place }) => place)).toEqual(places.includes("beyond") ? ["beyond"] : []);
  });

  test("after packets have crossed, it tells what was learned", () => {
    expect(bench.web.ping("10.20.1.3").received).toBe(1);
    const gateway = facts(bench.trace("default/web-0", "default/db-0")).find(({ seen }) =>
      seen.endsWith("REACHABLE"),
    );
    expect(gateway).toMatchObject({ subject: "gateway 169.254.1.1", seen: "ee:ee:ee:ee:ee:ee REACHABLE" });
  });

  test("is found without the store: by host ends, their aliases and routes", () => {
    const { exitCode, stdout } = bench.text("--state-dir", "/nonexistent", "10.20.1.2", "default/db-0");
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("sandbox default/web-0"),
    });
  });
});

type Breach = {
  title: string;
  from?: string;
  to?: string;
  breach(bench: TraceBench): void;
  /** What is to be there beside the bench. */
  prepare?(bench: TraceBench): void;
  /** What only the reader can know of the mend. */
  fill?: string;
  /** The first thing that is wrong. */
  found: { place: string; subject: string | RegExp; seen: string | RegExp };
};

const NODE_MAC = "02:00:00:00:02:00";
const MAC = "02:00:00:00:00:99";
const WEB = "sandbox default/web-0";
const DB = "sandbox default/db-0";

const BREACHES: Breach[] = [
  {
    title: "the host's route to TO is gone",
    breach: ({ host }) => host.ip("route", "delete", "10.20.1.3"),
    found: { place: "host", subject: "route to 10.20.1.3", seen: "via 192.0.2.254 dev uplink0 (default)" },
  },
  {
    title: "the host's route back to FROM is gone",
    breach: ({ host }) => host.ip("route", "delete", "10.20.1.2"),
    found: { place: "host", subject: "route to 10.20.1.2", seen: "via 192.0.2.254 dev uplink0 (default)" },
  },
  {
    title: "the host's route to TO leads to another pod",
    breach: ({ host, webEnd }) => host.ip("route", "replace", "10.20.1.3", "dev", webEnd, "proto", "32"),
    found: { place: "host", subject: "route to 10.20.1.3", seen: /^dev cali/ },
  },
  {
    title: "a blackhole in place of the host's route",
    breach: ({ host }) => host.ip("route", "replace", "blackhole", "10.20.1.3", "metric", "0"),
    found: { place: "host", subject: "route to 10.20.1.3", seen: "blackhole 10.20.1.3/32" },
  },
  {
    title: "a blackhole for the whole range, and the host's route gone",
    breach: ({ host }) => host.ipBatch("route delete 10.20.1.3", "route add blackhole 10.20.1.0/24"),
    found: { place: "host", subject: "route to 10.20.1.3", seen: "blackhole 10.20.1.0/24" },
  },
  {
    title: "an unreachable route to the world",
    to: WORLD,
    breach: ({ host }) => host.ip("route", "add", "unreachable", "198.51.100.0/24"),
    found: { place: "host", subject: `route to ${WORLD}`, seen: "unreachable 198.51.100.0/24" },
  },
  {
    title: "proxy_arp is off, and nothing is pinned",
    breach: ({ host, webEnd }) => host.setSysctl(`net/ipv4/conf/${webEnd}/proxy_arp`, 0),
    found: { place: "host", subject: "proxy_arp", seen: /^0 on cali/ },
  },
  {
    title: "proxy_arp is off, and the pod has asked in vain",
    breach({ host, web, webEnd }) {
      host.setSysctl(`net/ipv4/conf/${webEnd}/proxy_arp`, 0);
      expect(web.ping("10.20.1.3").received).toBe(0);
    },
    found: { place: "host", subject: "proxy_arp", seen: /^0 on cali/ },
  },
  {
    title: "proxy_arp is off at TO: the answer is lost",
    breach: ({ host, dbEnd }) => host.setSysctl(`net/ipv4/conf/${dbEnd}/proxy_arp`, 0),
    found: { place: "host", subject: "proxy_arp", seen: /^0 on cali/ },
  },
  {
    title: "the host has no default route: nobody answers for the gateway",
    to: "host",
    from: "default/web-0",
    breach: ({ host }) => host.ip("route", "delete", "default"),
    found: {
      place: "host",
      subject: "gateway 169.254.1.1",
      seen: /no route to 169\.254\.1\.1 \(Network is unreachable\)/,
    },
  },
  {
    title: "ip_forward is off",
    breach: ({ host }) => host.setSysctl("net/ipv4/ip_forward", 0),
    found: { place: "host", subject: "ip_forward", seen: "0" },
  },
  {
    title: "forwarding is off for one host end",
    breach: ({ host, webEnd }) => host.setSysctl(`net/ipv4/conf/${webEnd}/forwarding`, 0),
    found: { place: "host", subject: "forwarding", seen: /^0 on cali/ },
  },
  {
    title: "forwarding is off for the uplink: the answer is lost",
    to: WORLD,
    breach: ({ host }) => host.setSysctl("net/ipv4/conf/uplink0/forwarding", 0),
    found: { place: "host", subject: "forwarding", seen: "0 on uplink0" },
  },
  {
    title: "FROM's host end is down",
    breach: ({ host, webEnd }) => host.ip("link", "set", webEnd, "down"),
    found: { place: "host", subject: /^cali/, seen: "down" },
  },
  {
    title: "TO's host end is down",
    breach: ({ host, dbEnd }) => host.ip("link", "set", dbEnd, "down"),
    found: { place: "host", subject: /^cali/, seen: "down" },
  },
  {
    title: "FROM's sandbox end is down",
    breach: ({ web }) => web.ip("link", "set", "eth0", "down"),
    found: { place: WEB, subject: "eth0", seen: "down" },
  },
  {
    title: "TO's sandbox end is down",
    breach: ({ db }) => db.ip("link", "set", "eth0", "down"),
    found: { place: DB, subject: "eth0", seen: "down" },
  },
  {
    title: "FROM's default route is gone",
    breach: ({ web }) => web.ip("route", "delete", "default"),
    found: { place: WEB, subject: "route to 10.20.1.3", seen: "Network is unreachable" },
  },
  {
    title: "TO's default route is gone: the answer is lost",
    breach: ({ db }) => db.ip("route", "delete", "default"),
    found: { place: DB, subject: "route to 10.20.1.2", seen: "Network is unreachable" },
  },
  {
    title: "a blackhole inside FROM",
    breach: ({ web }) => web.ip("route", "add", "blackhole", "10.20.1.0/24"),
    found: { place: WEB, subject: "route to 10.20.1.3", seen: "blackhole 10.20.1.0/24" },
  },
  {
    title: "FROM's address is missing",
    breach: ({ web }) => web.ip("address", "delete", "10.20.1.2/32", "dev", "eth0"),
    found: { place: WEB, subject: "address", seen: "missing" },
  },
  {
    title: "TO's address is missing",
    breach: ({ db }) => db.ip("address", "delete", "10.20.1.3/32", "dev", "eth0"),
    found: { place: DB, subject: "address", seen: "missing" },
  },
  {
    title: "the gateway is pinned to a wrong MAC",
    breach: ({ web }) =>
      web.ip("neigh", "replace", "169.254.1.1", "lladdr", MAC, "dev", "eth0", "nud", "permanent"),
    found: { place: WEB, subject: "gateway 169.254.1.1", seen: `${MAC} PERMANENT` },
  },
  {
    title: "a wrong MAC was learned for the gateway",
    breach: ({ web }) =>
      web.ip("neigh", "replace", "169.254.1.1", "lladdr", MAC, "dev", "eth0", "nud", "stale"),
    found: { place: WEB, subject: "gateway 169.254.1.1", seen: `${MAC} STALE` },
  },
  {
    title: "the host end's MAC was rewritten",
    breach: ({ host, webEnd }) => host.ip("link", "set", webEnd, "address", MAC),
    found: { place: "host", subject: /^cali/, seen: `MAC ${MAC}` },
  },
  {
    title: "TO is pinned to a wrong MAC on the host",
    breach: ({ host, dbEnd }) =>
      host.ip("neigh", "replace", "10.20.1.3", "lladdr", MAC, "dev", dbEnd, "nud", "permanent"),
    found: { place: "host", subject: "neighbour 10.20.1.3", seen: `${MAC} PERMANENT` },
  },
  {
    title: "FROM is pinned to a wrong MAC on the host: the answer is lost",
    breach: ({ host, webEnd }) =>
      host.ip("neigh", "replace", "10.20.1.2", "lladdr", MAC, "dev", webEnd, "nud", "permanent"),
    found: { place: "host", subject: "neighbour 10.20.1.2", seen: `${MAC} PERMANENT` },
  },
  {
    title: "strict rp_filter, and FROM is routed to another interface",
    breach({ host, webEnd }) {
      host.setSysctl(`net/ipv4/conf/${webEnd}/rp_filter`, 1);
      host.ip("route", "replace", "10.20.1.2", "dev", "uplink0", "proto", "32");
    },
    found: { place: "host", subject: "rp_filter", seen: "strict: drops 10.20.1.2" },
  },
  {
    title: "the host end's MTU is smaller than the sandbox end's",
    breach: ({ host, webEnd }) => host.ip("link", "set", webEnd, "mtu", "1400"),
    found: { place: "host", subject: /^cali/, seen: "MTU 1400" },
  },
  {
    title: "the sandbox end's MTU is smaller than the host end's",
    breach: ({ db }) => db.ip("link", "set", "eth0", "mtu", "1300"),
    found: { place: DB, subject: "eth0", seen: /MTU 1300/ },
  },
  {
    title: "a rule of nftables drops",
    breach: firewall("ip saddr 10.20.1.0/24 ip daddr { 10.20.1.3, 10.20.1.9 } counter drop"),
    found: {
      place: "host",
      subject: "firewall",
      seen: /^drops: inet guard forward: ip saddr 10\.20\.1\.0\/24 .* drop$/,
    },
  },
  {
    title: "a policy of nftables drops what no rule accepts",
    breach: ({ host }) =>
      nft(
        host,
        "table inet guard { chain forward { type filter hook forward priority 0; policy drop; iifname lo accept; }; }",
      ),
    found: { place: "host", subject: "firewall", seen: "drops: policy of inet guard forward" },
  },
  {
    title: "a rule of nftables drops the answer alone",
    breach: firewall("ct state established,related ip daddr 10.20.1.2 drop"),
    found: { place: "host", subject: "firewall", seen: /ct state established,related/ },
  },
  {
    title: "a rule of nftables in the sandbox drops",
    breach: ({ db }) =>
      nft(
        db,
        "table ip own { chain in { type filter hook input priority 0; icmp type echo-request drop; }; }",
      ),
    found: { place: DB, subject: "firewall", seen: /^drops: ip own in: icmp type echo-request drop$/ },
  },
  {
    title: "a policy of iptables-legacy drops",
    breach: ({ host }) => void host.exec("iptables-legacy", "-P", "FORWARD", "DROP"),
    found: { place: "host", subject: "firewall", seen: "drops: policy of iptables-legacy filter FORWARD" },
  },
  {
    title: "a rule of iptables-legacy drops",
    breach: ({ host }) =>
      void host.exec("iptables-legacy", "-A", "FORWARD", "-d", "10.20.1.3/32", "-j", "DROP"),
    found: {
      place: "host",
      subject: "firewall",
      seen: "drops: iptables-legacy filter FORWARD: -A FORWARD -d 10.20.1.3/32 -j DROP",
    },
  },
  {
    title: "a policy of iptables-nft drops, behind a rule that only iptables can read",
    breach({ host }) {
      host.exec(
        "iptables-nft",
        "-A",
        "FORWARD",
        "-m",
        "conntrack",
        "--ctstate",
        "ESTABLISHED",
        "-j",
        "ACCEPT",
      );
      host.exec("iptables-nft", "-P", "FORWARD", "DROP");
    },
    found: { place: "host", subject: "firewall", seen: "drops: policy of iptables-nft filter FORWARD" },
  },
  {
    title: "a rule of routing refuses FROM",
    breach: ({ host }) => host.ip("rule", "add", "from", "10.20.1.2", "unreachable"),
    found: {
      place: "host",
      subject: "gateway 169.254.1.1",
      seen: /^mute: rule \d+: from 10\.20\.1\.2\/32 unreachable$/,
    },
  },
  {
    title: "a rule of routing refuses TO",
    breach: ({ host }) => host.ip("rule", "add", "to", "10.20.1.3", "prohibit"),
    found: {
      place: "host",
      subject: "route to 10.20.1.3",
      seen: /^rule \d+: from all to 10\.20\.1\.3\/32 prohibit$/,
    },
  },
  {
    title: "a tunnel does not know the node",
    to: "10.20.2.7",
    prepare: vxlan,
    breach: ({ host }) =>
      void host.exec("bridge", "fdb", "del", NODE_MAC, "dev", "vxlan0", "dst", "192.0.2.2"),
    found: { place: "host", subject: "tunnel vxlan0", seen: `no node known for ${NODE_MAC}` },
    fill: "192.0.2.2",
  },
  {
    title: "a tunnel's node cannot be reached",
    to: "10.20.2.7",
    prepare: vxlan,
    breach: ({ host }) => host.ip("route", "add", "prohibit", "192.0.2.2"),
    found: { place: "host", subject: "tunnel vxlan0", seen: "vxlan to 192.0.2.2: prohibit 192.0.2.2/32" },
  },
  {
    title: "the next hop does not answer",
    to: WORLD,
    breach: ({ host }) => host.ip("neigh", "replace", "192.0.2.254", "dev", "uplink0", "nud", "failed"),
    found: { place: "host", subject: "next hop 192.0.2.254", seen: /^FAILED/ },
  },
  {
    title: "IPv6 forwarding is off",
    to: "fd00:20::3",
    breach: ({ host }) => host.setSysctl("net/ipv6/conf/all/forwarding", 0),
    found: { place: "host", subject: "forwarding", seen: "0" },
  },
  {
    title: "the host end has lost its IPv6 gateway address",
    to: "fd00:20::3",
    breach: ({ host, webEnd }) => host.ip("-6", "address", "flush", "dev", webEnd),
    found: { place: "host", subject: /^gateway fe80/, seen: /^mute/ },
  },
  {
    title: "the pod's IPv6 default route is gone",
    to: "fd00:20::3",
    breach: ({ web }) => web.ip("-6", "route", "delete", "default"),
    found: { place: WEB, subject: "route to fd00:20::3", seen: /unreachable/i },
  },
];

describe("a path that is broken", () => {
  test.each(BREACHES)("$title: named first, and the mend mends", (breached) => {
    const { from = "default/web-0", to = "10.20.1.3", prepare, breach, found, fill = "" } = breached;
    using bench = new TraceBench();
    prepare?.(bench);
    expect(bench.trace(from, to)).toMatchObject({ exitCode: 0 });
    breach(bench);
    const traced = bench.trace(from, to);
    expect(traced).toMatchObject({ exitCode: 1, verdict: "wrong" });
    expect(traced.firstWrong).toMatchObject({
      place: found.place,
      subject: matching(found.subject),
      seen: matching(found.seen),
      mend: expect.any(String),
    });
    bench.type((traced.firstWrong?.mend ?? "").replace(/<\w+>/, fill));
    const { exitCode, firstWrong } = bench.trace(from, to);
    expect(firstWrong).toBeUndefined();
    expect(exitCode).toBe(0);
  });

  test("a host end that is gone cannot be mended by a command", () => {
    using bench = new TraceBench();
    bench.host.ip("link", "delete", bench.dbEnd);
    const { firstWrong } = bench.trace("default/web-0", "default/db-0");
    expect(firstWrong).toMatchObject({
      place: "host",
      subject: bench.dbEnd,
      seen: "missing",
      mend: /runtime wires/,
    });
  });

  test("what is wrong is wrong for packets, too: ping agrees, before and after", () => {
    using bench = new TraceBench();
    bench.host.ip("route", "delete", "10.20.1.3");
    expect(bench.web.ping("10.20.1.3").received).toBe(0);
    bench.type(bench.trace("default/web-0", "default/db-0").firstWrong?.mend ?? "");
    expect(bench.web.ping("10.20.1.3").received).toBe(1);
  });
});

/** Each would have been named, or would have hidden what is to blame. */
const BYSTANDERS: [string, string[]][] = [
  [
    "a rule for marked packets, as Tailscale has it",
    ["rule add fwmark 0x80000/0xff0000 unreachable pref 5250"],
  ],
  ["a rule for one interface", ["rule add oif uplink0 prohibit pref 5250"]],
  [
    "a route that says: on to the next rule",
    ["rule add table 10 pref 5250", "route add throw 198.51.100.1 table 10"],
  ],
  [
    "a table that no rule names, as that of a VRF",
    ["route add unreachable default metric 4278198272 table 10"],
  ],
  [
    "a table whose rule is passed over",
    [
      "rule add goto 32766 pref 5250",
      "rule add table 10 pref 5251",
      "route add prohibit 198.51.100.1 table 10",
    ],
  ],
];
/** In a table that no rule names. */
const LONGER = "route add 198.51.100.1 dev uplink0 table 11";

describe("what discards a packet is told from what does not", () => {
  const wayOut = (bench: TraceBench) =>
    facts(bench.trace("default/web-0", WORLD)).find(
      ({ place, subject }) => place === "host" && subject === `route to ${WORLD}`,
    );

  test.each(BYSTANDERS)("%s: nobody is blamed where there is no route", (_, batch) => {
    using bench = new TraceBench();
    bench.host.ipBatch(...batch, "route delete default");
    expect(wayOut(bench)).toMatchObject({
      verdict: "wrong",
      seen: "Network is unreachable",
      mend: "ip route add default via <router>",
    });
  });

  test.each(BYSTANDERS)("%s: the blackhole is", (_, batch) => {
    using bench = new TraceBench();
    bench.host.ipBatch(...batch, LONGER, "route add blackhole 198.51.100.0/24");
    expect(wayOut(bench)).toMatchObject({
      verdict: "wrong",
      seen: "blackhole 198.51.100.0/24",
      mend: "ip route delete blackhole 198.51.100.0/24",
    });
  });

  test("nobody is blamed behind a rule that cannot be judged", () => {
    using bench = new TraceBench();
    bench.host.ipBatch("rule add ipproto tcp table 10 pref 5250", "route add blackhole 198.51.100.0/24");
    expect(wayOut(bench)).toMatchObject({
      verdict: "wrong",
      seen: "Invalid argument",
    });
  });

  test("a strict rp_filter is named before a blackhole, which the same packet would meet", () => {
    using bench = new TraceBench();
    const { host, webEnd } = bench;
    host.setSysctl(`net/ipv4/conf/${webEnd}/rp_filter`, 1);
    host.ipBatch("route replace 10.20.1.2 dev uplink0 proto 32", "route add blackhole 198.51.100.0/24");
    expect(bench.trace("default/web-0", WORLD).firstWrong).toMatchObject({
      subject: "rp_filter",
      seen: "strict: drops 10.20.1.2",
    });
  });
});

test("for programs: who, what, the verdict, and every fact with its place", () => {
  using bench = new TraceBench();
  bench.host.ip("route", "delete", "10.20.1.3");
  const { exitCode, hops, ...traced } = bench.trace("default/web-0", "default/db-0:80");
  const wrong = {
    place: "host",
    subject: "route to 10.20.1.3",
    seen: "via 192.0.2.254 dev uplink0 (default)",
    verdict: "wrong",
    expected: `dev ${bench.dbEnd}`,
    why: expect.any(String),
    mend: expect.any(String),
  };
  expect(traced).toEqual({
    from: { name: "default/web-0", address: "10.20.1.2" },
    to: { name: "default/db-0", address: "10.20.1.3" },
    packet: { protocol: "tcp", port: 80 },
    verdict: "wrong",
    firstWrong: wrong,
    mtu: 1500,
  });
  expect(hops.map(({ place, way }) => `${way} ${place}`)).toEqual([
    `there ${WEB}`,
    "there host",
    `there ${DB}`,
    `back ${DB}`,
    "back host",
    `back ${WEB}`,
  ]);
  expect(hops[0]?.facts[1]).toEqual({ place: WEB, subject: "address", seen: "10.20.1.2/32", verdict: "ok" });
  expect(hops[1]?.facts).toContainEqual(wrong);
});

describe("the picture", () => {
  test("has every place, every fact and the first wrong thing, in lines of equal length", () => {
    using bench = new TraceBench();
    bench.host.ip("route", "delete", "10.20.1.3");
    const { stdout, exitCode } = bench.text("default/web-0", "default/db-0");
    expect(exitCode).toBe(1);
    const boxes = stdout.split("\n").filter((line) => /^[│╭╰]/.test(line));
    expect(new Set(boxes.map((line) => line.length)).size).toBe(1);
    expect(boxes.filter((line) => line.startsWith("╭"))).toEqual([
      expect.stringContaining("sandbox default/web-0"),
      expect.stringContaining(`${bench.webEnd} ─ host`),
      expect.stringContaining("eth0 ─ sandbox default/db-0"),
    ]);
    expect(boxes.filter((line) => line.includes("◀ first"))).toEqual([
      expect.stringContaining("✗ route to 10.20.1.3"),
    ]);
    expect(stdout).toContain("✗ First wrong thing, host: route to 10.20.1.3\n");
    expect(stdout).toMatch(
      /^ {2}mend {6}ip route replace 10\.20\.1\.3\/32 dev cali\w+ scope link proto 32$/m,
    );
  });

  test("is written as SVG, too, with the same facts", () => {
    using bench = new TraceBench();
    bench.host.ip("route", "delete", "10.20.1.3");
    const file = join(bench.host.stateDir, "path.svg");
    const traced = bench.trace("default/web-0", "default/db-0", "--svg", file);
    const svg = readFileSync(file, "utf8");
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    for (const { subject, seen } of facts(traced)) {
      expect(svg).toContain(`>${subject}</text>`);
      expect(svg).toContain(`>${seen}</text>`);
    }
  });
});

describe("a question that makes no sense is refused with exit status 2", () => {
  let bench: TraceBench;
  beforeAll(() => {
    bench = new TraceBench();
  });
  afterAll(() => bench[Symbol.dispose]());
  const refusals: [string[], RegExp][] = [
    [[], /takes FROM and TO/],
    [["default/web-0"], /takes FROM and TO/],
    [
      ["default/web-9", "10.20.1.3"],
      /"default\/web-9" is no address, no pod and no container of this host \(this host has default\/web-0, default\/db-0\)/,
    ],
    [["aaaa", "10.20.1.3"], /"aaaa" is 2 pods; say which by its host end: aaaa1111 \(host end cali/],
    [[WORLD, "10.20.1.3"], /FROM is to be a pod of this host/],
    [["default/web-0", "10.20.1.2"], /FROM and TO are the same/],
    [["10.20.1.2", "fd00:20::3"], /no family of addresses in common/],
    [["default/web-0", "10.20.1.3:70000"], /70000 is no port/],
    [["--nonsense", "a", "b"], /nonsense/],
  ];
  test.each(refusals)("%j", (args, message) => {
    const { exitCode, stdout, stderr } = bench.text(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

test("a port that nobody listens at is told from one that somebody does", () => {
  using bench = new TraceBench();
  expect(bench.trace("default/web-0", "default/db-0:80").firstWrong).toMatchObject({
    place: DB,
    subject: "tcp port 80",
    seen: "nobody listens",
  });
  expect(bench.trace("default/web-0", "[fd00:20::3]:53/udp").firstWrong).toMatchObject({
    place: DB,
    subject: "udp port 53",
  });
});

/** Who listens at a port of the pod 10.20.1.3 and fd00:20::3, and what is said of IPv4 and of IPv6. */
const LISTENERS: [protocol: "tcp" | "udp", host: string, isV6Only: boolean, seen: [string, string]][] = [
  ["tcp", "0.0.0.0", false, ["somebody listens", "nobody listens"]],
  ["tcp", "10.20.1.3", false, ["somebody listens", "nobody listens"]],
  ["tcp", "127.0.0.1", false, ["nobody listens", "nobody listens"]],
  ["tcp", "::", false, ["somebody listens", "somebody listens"]],
  ["tcp", "::", true, ["nobody listens", "somebody listens"]],
  ["udp", "::", false, ["somebody listens", "somebody listens"]],
  ["udp", "::", true, ["nobody listens", "somebody listens"]],
  ["tcp", "::ffff:10.20.1.3", false, ["somebody listens", "nobody listens"]],
  ["tcp", "::ffff:0.0.0.0", false, ["somebody listens", "nobody listens"]],
  ["tcp", "::ffff:127.0.0.1", false, ["nobody listens", "nobody listens"]],
];

test.each(LISTENERS)(
  "who listens at %s %s (for IPv6 alone: %j) is understood",
  async (protocol, host, ipv6Only, seen) => {
    using bench = new TraceBench();
    bench.db.ip("link", "set", "lo", "up");
    const bound = "() => console.log('listens')";
    const type = host.includes(":") ? "udp6" : "udp4";
    const script = {
      tcp: `require("node:net").createServer().listen({ port: 8080, host: "${host}", ipv6Only: ${ipv6Only} }, ${bound})`,
      udp: `require("node:dgram").createSocket({ type: "${type}", ipv6Only: ${ipv6Only} }).bind(8080, "${host}", ${bound})`,
    }[protocol];
    const inside = [`--net=${bench.db.path}`, "--", process.execPath, "-e", script];
    const listener = execa("nsenter", inside, { reject: false });
    try {
      await once(listener.stdout, "data");
      const told = ["10.20.1.3", "[fd00:20::3]"].map((to) =>
        bench.fact(bench.trace("default/web-0", `${to}:8080/${protocol}`), `${protocol} port 8080`),
      );
      expect(told.map((fact) => fact?.seen)).toEqual(seen);
    } finally {
      listener.kill("SIGKILL");
      await listener;
    }
  },
);

test("a packet to another node's pod is followed into the tunnel that carries it", () => {
  using bench = new TraceBench();
  vxlan(bench);
  const traced = bench.trace("default/web-0", "10.20.2.7");
  expect(traced).toMatchObject({ exitCode: 0, mtu: 1450 });
  expect(bench.fact(traced, "tunnel vxlan0")).toMatchObject({
    verdict: "ok",
    seen: "vxlan to 192.0.2.2 dev uplink0 (192.0.2.0/24)",
  });
  expect(bench.fact(traced, "next hop 10.20.2.0")).toMatchObject({ seen: `${NODE_MAC} PERMANENT` });
  bench.host.ip("link", "set", "vxlan0", "mtu", "1500");
  expect(bench.fact(bench.trace("default/web-0", "10.20.2.7"), "tunnel vxlan0")).toMatchObject({
    verdict: "warning",
    expected: "MTU 1450, as uplink0 has 1500",
  });
});

const NAT = "type nat hook prerouting priority -100";

describe("a packet that is sent elsewhere by address translation is not followed on a wrong way", () => {
  const service = "ip daddr 10.96.0.1 dnat to 10.20.1.3";
  const elsewhere = (bench: TraceBench, ...args: string[]) => {
    const traced = bench.trace(...args);
    expect(traced).toMatchObject({ exitCode: 0 });
    return bench.fact(traced, "firewall");
  };

  test("for certain, whatever the rules behind and the routes say of the old address", () => {
    using bench = new TraceBench();
    const policy =
      "type filter hook forward priority 0; policy drop; ct state established accept; ip daddr 10.20.0.0/16 accept;";
    bench.type(`nft 'table ip nat { chain pre { ${NAT}; ${service}; }; chain forward { ${policy} }; }'`);
    expect(bench.web.ping("10.96.0.1").received).toBe(1);
    const told = {
      verdict: "unknown",
      seen: `goes elsewhere by ip nat pre: ${service}; trace the address that it is given`,
    };
    expect(elsewhere(bench, "default/web-0", "10.96.0.1")).toMatchObject(told);
    // The pods' gateway is answered for without a route to everywhere as well, if to that address.
    bench.host.ipBatch("route delete default", "route add 169.254.1.1 dev uplink0");
    expect(bench.web.ping("10.96.0.1").received).toBe(1);
    expect(elsewhere(bench, "default/web-0", "10.96.0.1")).toMatchObject(told);
  });

  test("of a host port, by nft and by iptables: only what is for the host's own address", () => {
    using bench = new TraceBench();
    const port = "fib daddr type local tcp dport 8080 dnat to 10.20.1.3:80";
    bench.type(`nft 'table ip nat { chain pre { ${NAT}; ${port}; }; }'`);
    const goes = {
      verdict: "unknown",
      seen: expect.stringMatching(/^goes elsewhere by ip nat pre: fib daddr type/),
    };
    expect(elsewhere(bench, "default/web-0", "192.0.2.1:8080")).toMatchObject(goes);
    expect(elsewhere(bench, "default/web-0", `${WORLD}:8080`)).toMatchObject({
      verdict: "ok",
      seen: "accepts",
    });
    bench.type(`nft delete table ip nat &&
      iptables-legacy -t nat -N DNS && iptables-legacy -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DNS &&
      iptables-legacy -t nat -A DNS -p tcp --dport 8080 -j DNAT --to-destination 10.20.1.3:80`);
    expect(elsewhere(bench, "default/web-0", "192.0.2.1:8080")).toMatchObject({
      verdict: "unknown",
      seen: expect.stringMatching(/^goes elsewhere by iptables-legacy nat DNS: -A DNS -p tcp/),
    });
    expect(elsewhere(bench, "default/web-0", `${WORLD}:8080`)).toMatchObject({
      verdict: "ok",
      seen: "accepts",
    });
  });

  test("perhaps, where the rule cannot be decided, or one before it", () => {
    using bench = new TraceBench();
    bench.type(
      `nft 'table ip nat { chain pre { ${NAT}; meta mark 1 tcp dport 8080 dnat to 10.20.1.3:80; }; }'`,
    );
    const goes = {
      verdict: "unknown",
      seen: expect.stringMatching(/^may go elsewhere by ip nat pre: .* dnat to 10/),
    };
    expect(elsewhere(bench, "default/web-0", "192.0.2.1:8080")).toMatchObject(goes);
    bench.type(
      `nft 'flush chain ip nat pre; add rule ip nat pre meta mark 1 return; add rule ip nat pre tcp dport 8080 dnat to 10.20.1.3:80'`,
    );
    expect(elsewhere(bench, "default/web-0", "192.0.2.1:8080")).toMatchObject(goes);
  });

  test("inside the pod, as proxies beside a program do", () => {
    using bench = new TraceBench();
    nft(bench.db, `table ip nat { chain pre { ${NAT}; tcp dport 8080 redirect to :15006; }; }`);
    expect(elsewhere(bench, "default/web-0", "default/db-0:8080")).toMatchObject({ verdict: "ok" });
    const told = facts(bench.trace("default/web-0", "default/db-0:8080"));
    expect(told.find(({ place, subject }) => place === DB && subject === "firewall")).toMatchObject({
      verdict: "unknown",
      seen: expect.stringMatching(/^goes elsewhere by ip nat pre/),
    });
  });
});

test("a table that is dormant drops nothing", () => {
  using bench = new TraceBench();
  const chain = "chain forward { type filter hook forward priority 0; policy drop; };";
  bench.type(`nft 'table inet guard { flags dormant; ${chain} }; table inet other { }'`);
  expect(bench.web.ping("10.20.1.3").received).toBe(1);
  expect(bench.trace("default/web-0", "default/db-0")).toMatchObject({ exitCode: 0 });
});

describe("chains of one interface", () => {
  test.each([
    { hook: "ingress", family: "netdev", at: (bench: TraceBench) => bench.webEnd },
    { hook: "ingress", family: "inet", at: (bench: TraceBench) => bench.webEnd },
    { hook: "egress", family: "netdev", at: (bench: TraceBench) => bench.dbEnd },
  ])("$family $hook drops there, and at no other", ({ hook, family, at }) => {
    using bench = new TraceBench();
    const drop = "ip daddr 10.20.1.3 icmp type echo-request drop";
    const chain = (device: string, name: string) =>
      `chain ${name} { type filter hook ${hook} device "${device}" priority 0; ${drop}; };`;
    bench.type(`nft 'table ${family} guard { ${chain("uplink0", "other")} }'`);
    expect(bench.trace("default/web-0", "default/db-0")).toMatchObject({ exitCode: 0 });
    bench.type(`nft 'table ${family} guard { ${chain(at(bench), "end")} }'`);
    expect(bench.web.ping("10.20.1.3").received).toBe(0);
    expect(bench.trace("default/web-0", "default/db-0").firstWrong).toMatchObject({
      place: "host",
      subject: "firewall",
      seen: `drops: ${family} guard end: ${drop}`,
    });
  });

  test("that hand packets on to another are left undecided", () => {
    using bench = new TraceBench();
    const chain = `chain end { type filter hook ingress device "${bench.webEnd}" priority 0; fwd to "uplink0"; };`;
    bench.type(`nft 'table netdev guard { ${chain} }'`);
    const traced = bench.trace("default/web-0", "default/db-0");
    expect(facts(traced).find(({ subject }) => subject === "firewall")).toMatchObject({
      verdict: "unknown",
      seen: 'cannot tell: netdev guard end: fwd to "uplink0"',
    });
  });
});

test("rules that cannot be decided are quoted and left undecided", () => {
  using bench = new TraceBench();
  firewall("limit rate 1/second drop")(bench);
  const traced = bench.trace("default/web-0", "default/db-0");
  expect(traced).toMatchObject({ exitCode: 0 });
  expect(facts(traced).find(({ subject }) => subject === "firewall")).toMatchObject({
    verdict: "unknown",
    seen: expect.stringMatching(/^cannot tell: inet guard forward: limit rate 1\/second/),
  });
});

test("an uplink with less room than the pod is a warning, with the longest packet that passes", () => {
  using bench = new TraceBench();
  bench.host.ip("link", "set", "uplink0", "mtu", "1400");
  const traced = bench.trace("default/web-0", WORLD);
  expect(traced).toMatchObject({ exitCode: 0, mtu: 1400 });
  expect(facts(traced).find(({ verdict }) => verdict === "warning")).toMatchObject({
    subject: "uplink0",
    seen: "up, MTU 1400",
  });
});

describe("next hops", () => {
  const NEXT = "fe80::99";

  test("of IPv6 for an IPv4 route: the neighbour that is asked for is theirs", () => {
    using bench = new TraceBench();
    bench.host.ipBatch(`route add 198.51.100.0/24 via inet6 ${NEXT} dev uplink0`);
    const seen = `via inet6 ${NEXT} dev uplink0 (198.51.100.0/24)`;
    const traced = bench.trace("host", WORLD);
    expect(bench.fact(traced, `route to ${WORLD}`)).toMatchObject({ verdict: "ok", seen });
    expect(bench.fact(traced, `next hop ${NEXT}`)).toMatchObject({
      verdict: "ok",
      seen: "not asked for yet",
    });
    bench.host.ip("neigh", "replace", NEXT, "dev", "uplink0", "nud", "failed");
    expect(bench.trace("host", WORLD).firstWrong).toMatchObject({
      subject: `next hop ${NEXT}`,
      mend: `ping -c 1 ${NEXT}%uplink0`,
    });
  });

  test("of which there are two: the packet's own is followed, and the other named where it is silent", () => {
    using bench = new TraceBench();
    const hops = ["192.0.2.253", "192.0.2.254"];
    const nexthops = hops.map((hop) => `nexthop via ${hop} dev uplink0`);
    bench.host.ipBatch(`route add 198.51.100.0/24 ${nexthops.join(" ")}`);
    const traced = bench.trace("host", WORLD);
    expect(traced).toMatchObject({ exitCode: 0 });
    const { seen = "" } = bench.fact(traced, `route to ${WORLD}`) ?? {};
    expect(seen).toMatch(/^via 192\.0\.2\.25[34] dev uplink0 \(198\.51\.100\.0\/24, one of 2 next hops\)$/);
    const [other = ""] = hops.filter((hop) => !seen.includes(hop));
    bench.host.ip("neigh", "replace", other, "dev", "uplink0", "nud", "failed");
    const again = bench.trace("host", WORLD);
    expect(again).toMatchObject({ exitCode: 0 });
    expect(bench.fact(again, `next hop ${other}`)).toMatchObject({
      verdict: "warning",
      seen: "FAILED: it does not answer",
      mend: `ping -c 1 ${other}`,
    });
  });
});

/** Another node's pods, 10.20.2.0/24, are behind a tunnel to 192.0.2.2. */
function vxlan({ host }: TraceBench): void {
  host.ipBatch(
    "link add vxlan0 mtu 1450 type vxlan id 4096 dstport 4789 local 192.0.2.1 nolearning",
    "link set vxlan0 up",
    "route add 10.20.2.0/24 via 10.20.2.0 dev vxlan0 onlink",
    `neigh add 10.20.2.0 lladdr ${NODE_MAC} dev vxlan0 nud permanent`,
  );
  host.exec("bridge", "fdb", "append", NODE_MAC, "dev", "vxlan0", "dst", "192.0.2.2");
}

function matching(wanted: string | RegExp) {
  return typeof wanted === "string" ? wanted : expect.stringMatching(wanted);
}

function nft(netns: TestNetns, ruleset: string): void {
  const { exitCode, stderr } = netns.exec("nft", ruleset);
  if (exitCode !== 0) throw new Error(stderr);
}

/** A chain at the forward hook with one rule of interest. */
function firewall(rule: string) {
  const chain = `chain forward { type filter hook forward priority 0; policy accept; ct state invalid drop; ${rule}; };`;
  return ({ host }: TraceBench) => nft(host, `table inet guard { ${chain} }`);
}
