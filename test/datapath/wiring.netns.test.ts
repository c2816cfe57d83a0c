// A wiring as the kernel holds it, and as packets meet it. What is expected is written out here, not taken from src.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wiring } from "../../src/datapath/wiring.ts";
import { testEndpoint, wire } from "../helpers/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { addresses, difference, links, neighbours, picture, routes } from "../helpers/picture.ts";

const WORLD = { 4: "198.51.100.1", 6: "2001:db8:ffff::1" } as const;
const MTU = 1440;

type Case = { name: string; own: string[]; other: string[] };

const CASES: Case[] = [
  { name: "IPv4", own: ["10.20.1.2"], other: ["10.20.1.3"] },
  { name: "IPv6", own: ["fd00:20::2"], other: ["fd00:20::3"] },
  { name: "dual stack", own: ["10.20.1.2", "fd00:20::2"], other: ["10.20.1.3", "fd00:20::3"] },
];

describe.each(CASES.filter(({ own }) => usable(own).length === own.length))("$name", ({ own, other }) => {
  const four = own.filter((address) => !address.includes(":"));
  const six = own.filter((address) => address.includes(":"));
  const endpoint = testEndpoint({ addresses: own, mtu: MTU });
  const { hostEnd, sandboxMac } = endpoint;
  const resources = new DisposableStack();
  let host: TestHost;
  let pod: TestNetns;
  let neighbour: TestNetns;

  beforeAll(() => {
    host = resources.use(new TestHost());
    pod = resources.use(new TestNetns("pod"));
    neighbour = resources.use(new TestNetns("pod"));
    // Whatever a namespace may come with, the wiring has to overrule.
    adverse(host);
    adverse(pod);
    wire(host, pod, endpoint);
    wire(host, neighbour, testEndpoint({ addresses: other, mtu: MTU, containerId: "container-2" }));
  });
  afterAll(() => resources.dispose());

  test("the links are a veth pair of the wanted MTU, both ends and lo up", () => {
    expect(links(pod)).toEqual([
      "lo up mtu 65536 mac 00:00:00:00:00:00",
      `eth0 up mtu ${MTU} mac ${sandboxMac}`,
    ]);
    expect(links(host)).toContain(
      `${hostEnd} up mtu ${MTU} mac ee:ee:ee:ee:ee:ee "slash32 podnet/container-1/eth0 pod default/web-0"`,
    );
    const [end] = host.ip("link", "show", hostEnd) as Veth[];
    const [eth0] = pod.ip("link", "show", "eth0") as Veth[];
    expect(end).toMatchObject({
      operstate: "UP",
      linkinfo: { info_kind: "veth" },
      link_index: eth0?.ifindex,
    });
    expect(eth0).toMatchObject({
      operstate: "UP",
      linkinfo: { info_kind: "veth" },
      link_index: end?.ifindex,
    });
  });

  test("both MACs were given at creation, so udev leaves them alone", () => {
    expect(assignType(host, hostEnd)).toBe("3");
    expect(assignType(pod, "eth0")).toBe("3");
    // uplink0 has a MAC of the kernel's own making.
    expect(assignType(host, "uplink0")).toBe("1");
  });

  test("the sandbox holds its addresses alone, none of them tentative", () => {
    const linkLocal = six.length > 0 ? [`eth0 ${eui64(sandboxMac)}/64 link`] : [];
    expect(addresses(pod, "eth0")).toEqual([
      ...four.map((address) => `eth0 ${address}/32 global`),
      ...six.map((address) => `eth0 ${address}/128 global`),
      ...linkLocal,
    ]);
  });

  test("the host end has no address but the gateway that the kernel derives from its MAC", () => {
    expect(addresses(host, hostEnd)).toEqual(
      six.length > 0 ? [`${hostEnd} fe80::ecee:eeff:feee:eeee/64 link`] : [],
    );
  });

  test("the sandbox's routes are the way to the gateway and the way out by it, and nothing else", () => {
    expect(routes(pod, 4)).toEqual(
      four.length > 0
        ? [
            "default via 169.254.1.1 dev eth0 proto boot scope global",
            "169.254.1.1 dev eth0 proto boot scope link",
          ]
        : [],
    );
    // For every address the kernel adds a route of its own.
    expect(routes(pod, 6).filter((line) => !line.includes("proto kernel"))).toEqual(
      six.length > 0
        ? ["default via fe80::ecee:eeff:feee:eeee dev eth0 proto boot scope global metric 1024"]
        : [],
    );
  });

  test("the host has one route an address, to it alone, marked as ours", () => {
    const isOwn = (line: string) => own.some((address) => line.startsWith(`${address} `));
    expect(routes(host, 4).filter(isOwn)).toEqual(
      four.map((address) => `${address} dev ${hostEnd} proto 32 scope link`),
    );
    expect(routes(host, 6).filter(isOwn)).toEqual(
      six.map((address) => `${address} dev ${hostEnd} proto 32 scope global metric 1024`),
    );
  });

  test("the host knows the sandbox's MAC for good; the sandbox asks for the gateway's", () => {
    const pinned = neighbours(host).filter((line) => line.endsWith("PERMANENT"));
    expect(pinned.filter((line) => line.includes(hostEnd))).toEqual(
      own.map((address) => `${address} dev ${hostEnd} lladdr ${sandboxMac} PERMANENT`),
    );
    expect(neighbours(pod).filter((line) => line.endsWith("PERMANENT"))).toEqual([]);
  });

  test("every setting of the host end is made", () => {
    const expected: Record<string, string> = {
      ...(hasIpv6 && { [`net/ipv6/conf/${hostEnd}/accept_ra`]: "0" }),
      ...(four.length > 0 && {
        [`net/ipv4/conf/${hostEnd}/proxy_arp`]: "1",
        [`net/ipv4/neigh/${hostEnd}/proxy_delay`]: "0",
        [`net/ipv4/conf/${hostEnd}/forwarding`]: "1",
        [`net/ipv4/conf/${hostEnd}/route_localnet`]: "1",
        "net/ipv4/ip_forward": "1",
      }),
      ...(six.length > 0 && {
        [`net/ipv6/conf/${hostEnd}/addr_gen_mode`]: "0",
        [`net/ipv6/conf/${hostEnd}/accept_dad`]: "0",
        [`net/ipv6/conf/${hostEnd}/disable_ipv6`]: "0",
        [`net/ipv6/conf/${hostEnd}/proxy_ndp`]: "1",
        [`net/ipv6/conf/${hostEnd}/forwarding`]: "1",
        "net/ipv6/conf/all/forwarding": "1",
      }),
    };
    expect(read(host, Object.keys(expected))).toEqual(expected);
  });

  test("every setting of the sandbox is made: it forwards nothing", () => {
    const expected: Record<string, string> = {
      ...(four.length > 0 && { "net/ipv4/ip_forward": "0", "net/ipv4/conf/eth0/forwarding": "0" }),
      ...(six.length > 0 && {
        "net/ipv6/conf/all/forwarding": "0",
        "net/ipv6/conf/eth0/forwarding": "0",
        "net/ipv6/conf/all/disable_ipv6": "0",
        "net/ipv6/conf/lo/disable_ipv6": "0",
        "net/ipv6/conf/eth0/disable_ipv6": "0",
        "net/ipv6/conf/eth0/accept_dad": "0",
      }),
    };
    expect(read(pod, Object.keys(expected))).toEqual(expected);
  });

  test.each(own)("%s reaches the world, and the first packet waits for nothing", (address) => {
    const family = address.includes(":") ? 6 : 4;
    // A gateway that answers late would take 400 ms on average, an address in detection a second.
    expect(firstPacket(pod, WORLD[family])).toEqual({ ttl: 63, isPrompt: true });
    expect(neighbours(pod)).toContain(
      family === 4
        ? "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee REACHABLE"
        : "fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee REACHABLE",
    );
  });

  test.each(own)("the host reaches %s, and the first packet waits for nothing", (address) => {
    expect(firstPacket(host, address)).toEqual({ ttl: 64, isPrompt: true });
  });

  test.each(other)("%s, a pod of the same host, is reached through the host", (address) => {
    expect(pod.ping(address)).toEqual({ received: 1, ttl: 63 });
    const [source] = address.includes(":") ? six : four;
    expect(neighbour.ping(source as string)).toEqual({ received: 1, ttl: 63 });
  });

  test.each(other)("packets to %s of exactly the MTU pass, longer ones do not", (address) => {
    const headers = address.includes(":") ? 48 : 28;
    expect(pod.ping(address, { size: MTU - headers }).received).toBe(1);
    expect(pod.ping(address, { size: MTU - headers + 1 }).received).toBe(0);
  });

  test("packets end at the sandbox: it forwards none to where they do not belong", () => {
    const [address] = own;
    // The router sends a stray packet to the host, and the host, wrongly, to the pod.
    const stray = address?.includes(":") ? "fd00:99::9" : "10.99.0.9";
    host.ip(
      "route",
      "add",
      stray,
      "via",
      address as string,
      "dev",
      hostEnd,
      ...(four.length ? ["onlink"] : []),
    );
    const before = counters(pod);
    host.router.ping(stray, { timeoutS: 0.2 });
    const after = counters(pod);
    host.ip("route", "del", stray);
    expect(after.received).toBeGreaterThan(before.received);
    expect(after.forwarded).toBe(before.forwarded);
  });

  test("alone on the host, the pod's wiring was all that changed", () => {
    using bystander = new TestNetns("pod");
    const before = picture(host);
    const third = testEndpoint({
      addresses: own.map((address) => address.replace(/2$/, "4")),
      containerId: "container-3",
    });
    wire(host, bystander, third);
    const { gone, came } = difference(before, picture(host));
    expect(gone).toEqual([]);
    expect(came.length).toBeGreaterThan(10);
    expect(came.filter((line) => !line.includes(third.hostEnd))).toEqual([]);
  });
});

describe("forwarding in the sandbox", () => {
  test.runIf(hasIpv6)("is on where allowIpForwarding asks for it", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    wire(host, pod, testEndpoint({ addresses: ["10.20.1.2", "fd00:20::2"], allowIpForwarding: true }));
    expect(read(pod, ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"])).toEqual({
      "net/ipv4/ip_forward": "1",
      "net/ipv6/conf/all/forwarding": "1",
    });
  });
});

describe("each interface", () => {
  test.runIf(hasIpv6)("has what it needs where the namespace as a whole has it already", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    // A setting for all is passed on only when it changes.
    for (const family of ["ipv4", "ipv6"]) {
      host.setSysctl(`net/${family}/conf/all/forwarding`, 1);
      host.setSysctl(`net/${family}/conf/default/forwarding`, 0);
    }
    pod.setSysctl("net/ipv6/conf/all/disable_ipv6", 0);
    pod.setSysctl("net/ipv6/conf/lo/disable_ipv6", 1);
    pod.setSysctl("net/ipv6/conf/default/disable_ipv6", 1);
    wire(host, pod, testEndpoint({ addresses: ["10.20.1.2", "fd00:20::2"] }));
    for (const address of Object.values(WORLD)) expect(pod.ping(address)).toEqual({ received: 1, ttl: 63 });
    expect(pod.ping("::1").received).toBe(1);
  });
});

describe("order", () => {
  test("all settings of the host end come before it goes up", () => {
    const endpoint = testEndpoint({ addresses: ["10.20.1.2", "fd00:20::2"] });
    const steps = wiring(endpoint);
    const up = steps.findIndex((step) => step.kind === "up" && step.dev === endpoint.hostEnd);
    const late = steps.slice(up).filter(({ kind }) => kind === "sysctl");
    expect(up).toBeGreaterThan(10);
    expect(late).toEqual([]);
  });
});

describe("the host's other interfaces", () => {
  test.runIf(hasIpv6)("keep their own mind about forwarding IPv6 where the host forwards already", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    host.setSysctl("net.ipv6.conf.all.forwarding", 1);
    host.setSysctl("net.ipv6.conf.uplink0.forwarding", 0);
    wire(host, pod, testEndpoint({ addresses: ["fd00:20::2"] }));
    expect(host.sysctl("net.ipv6.conf.uplink0.forwarding")).toBe("0");
    expect(host.sysctl(`net.ipv6.conf.${testEndpoint().hostEnd}.forwarding`)).toBe("1");
  });
});

describe("the sandbox's routes", () => {
  test("carry the MTU and metric they were given", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const address = { family: 4, value: 0x0a600000n } as const;
    const routesOut = [{ dst: { address, length: 12 }, mtu: 1300, metric: 7 }];
    wire(host, pod, testEndpoint({ routes: routesOut }));
    expect(routes(pod, 4)).toEqual([
      "10.96.0.0/12 via 169.254.1.1 dev eth0 proto boot scope global metric 7 mtu 1300",
      "169.254.1.1 dev eth0 proto boot scope link",
    ]);
  });

  test("are none but the gateway's where none were asked for", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    wire(host, pod, testEndpoint({ routes: [] }));
    expect(routes(pod, 4)).toEqual(["169.254.1.1 dev eth0 proto boot scope link"]);
    expect(pod.ping(WORLD[4]).received).toBe(0);
  });
});

type Veth = { ifindex: number; link_index: number; operstate: string; linkinfo: { info_kind: string } };

/** Sets the opposite of everything that a new interface, or the namespace, can be given beforehand. */
function adverse(netns: TestNetns): void {
  const settings: Record<string, number> = {
    "net/ipv4/conf/default/proxy_arp": 0,
    "net/ipv4/conf/default/forwarding": 0,
    "net/ipv4/conf/default/route_localnet": 0,
    "net/ipv6/conf/default/accept_ra": 2,
    "net/ipv6/conf/default/accept_dad": 1,
    "net/ipv6/conf/default/proxy_ndp": 0,
    "net/ipv6/conf/default/forwarding": 0,
    "net/ipv6/conf/default/disable_ipv6": 1,
    ...(netns instanceof TestHost
      ? { "net/ipv6/conf/default/addr_gen_mode": 1 }
      : {
          "net/ipv4/ip_forward": 1,
          "net/ipv6/conf/all/forwarding": 1,
          "net/ipv6/conf/all/disable_ipv6": 1,
          "net/ipv6/conf/lo/disable_ipv6": 1,
        }),
  };
  for (const key of usable(Object.keys(settings))) netns.setSysctl(key, settings[key] as number);
}

function read(netns: TestNetns, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, netns.sysctl(key)]));
}

/** How the kernel came to a MAC: 1 is its own random one, 3 was set (include/uapi/linux/netdevice.h). */
function assignType(netns: TestNetns, dev: string): string {
  // Only `ip netns exec` mounts the namespace's own sysfs.
  const file = `/sys/class/net/${dev}/addr_assign_type`;
  return netns.exec("ip", "netns", "exec", netns.name, "cat", file).stdout;
}

function firstPacket(netns: TestNetns, address: string): { ttl: number; isPrompt: boolean } {
  const { stdout } = netns.exec("ping", "-n", "-c", "1", "-W", "2", address);
  const [, ttl, time] = /ttl=(\d+) time=([\d.]+) ms/.exec(stdout) ?? [];
  return { ttl: Number(ttl), isPrompt: Number(time) < 250 };
}

/** Packets of both families that came in, and that were sent on. */
function counters(netns: TestNetns): { received: number; forwarded: number } {
  const { stdout } = netns.exec("nstat", "-asz");
  const sum = (...names: string[]) =>
    names
      .map((name) => Number(new RegExp(`^${name} +(\\d+)`, "m").exec(stdout)?.[1] ?? 0))
      .reduce((a, b) => a + b);
  return {
    received: sum("IpInReceives", "Ip6InReceives"),
    forwarded: sum("IpForwDatagrams", "Ip6OutForwDatagrams"),
  };
}

/** RFC 4291, appendix A. */
function eui64(mac: string): string {
  const bytes = mac.split(":").map((byte) => Number.parseInt(byte, 16));
  bytes.splice(3, 0, 0xff, 0xfe);
  const groups = [0, 2, 4, 6].map(
    (at) => ((bytes[at] ?? 0) ^ (at === 0 ? 2 : 0)) * 256 + (bytes[at + 1] ?? 0),
  );
  return `fe80::${groups.map((group) => group.toString(16)).join(":")}`;
}
