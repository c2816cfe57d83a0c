// The gateway that nobody owns: who answers for it, and what ADD does where nobody would.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { apply, remove } from "../../src/datapath/apply.ts";
import { decodeAddress, listAddresses } from "../../src/datapath/rtnetlink/address.ts";
import { verify } from "../../src/datapath/verify.ts";
import { wiring } from "../../src/datapath/wiring.ts";
import { OpenSides, testEndpoint, wire } from "../helpers/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { links, neighbours, picture } from "../helpers/picture.ts";

const WORLD = "198.51.100.1";
const PINNED = "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT";
const LEARNED = "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee REACHABLE";
const DUAL = usable(["10.20.1.2", "fd00:20::2"]);

describe("proxy ARP", () => {
  test("answers one question for 169.254.1.1 with the host end's MAC", async () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const endpoint = testEndpoint();
    wire(host, pod, endpoint);

    const seen = await capture(host, endpoint.hostEnd, "arp", () => {
      expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
    });

    const { sandboxMac } = endpoint;
    expect(seen).toEqual([
      `${sandboxMac} > ff:ff:ff:ff:ff:ff, Request who-has 169.254.1.1 tell 10.20.1.2`,
      `ee:ee:ee:ee:ee:ee > ${sandboxMac}, Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee`,
    ]);
    expect(neighbours(pod)).toEqual([LEARNED]);
  });

  test("is not what the host needs: it asks no sandbox for a MAC", async () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const endpoint = testEndpoint();
    wire(host, pod, endpoint);
    const pingBothWays = () => {
      expect(host.ping("10.20.1.2").received).toBe(1);
      expect(pod.ping(WORLD).received).toBe(1);
    };
    const questions = await capture(
      host,
      endpoint.hostEnd,
      "arp and ether src ee:ee:ee:ee:ee:ee",
      pingBothWays,
    );
    expect(questions).toEqual([expect.stringContaining("Reply 169.254.1.1 is-at")]);
  });

  test("needs proxy_arp and forwarding on the host end: without either nobody answers", () => {
    using host = new TestHost();
    for (const key of ["proxy_arp", "forwarding"]) {
      using pod = new TestNetns("pod");
      const endpoint = testEndpoint({ containerId: key, addresses: ["10.20.1.9"] });
      wire(host, pod, endpoint);
      host.setSysctl(`net/ipv4/conf/${endpoint.hostEnd}/${key}`, 0);
      expect(isAnswered(pod)).toBe(false);
      host.ip("link", "delete", endpoint.hostEnd);
    }
  });
});

type State = {
  name: string;
  /** Commands of ip(8) on a host without default route. */
  commands: string[];
  isAnswered: boolean;
  /** What "proxy-arp" is refused with. */
  reason?: RegExp;
};

const UPLINK = "via 192.0.2.254";
const STATES: State[] = [
  { name: "a default route", commands: [`route add default ${UPLINK}`], isAnswered: true },
  {
    name: "no default route",
    commands: [],
    isAnswered: false,
    reason: /the host has no route to 169\.254\.1\.1 \(Network is unreachable\)/,
  },
  {
    name: "a blackhole as default route",
    commands: ["route add blackhole default"],
    isAnswered: false,
    reason: /169\.254\.1\.1/,
  },
  {
    name: "an unreachable as default route",
    commands: ["route add unreachable default"],
    isAnswered: false,
    reason: /169\.254\.1\.1/,
  },
  {
    name: "a blackhole for the gateway beside a default route",
    commands: [`route add default ${UPLINK}`, "route add blackhole 169.254.0.0/16"],
    isAnswered: false,
    reason: /169\.254\.1\.1/,
  },
  {
    name: "a route to the gateway alone",
    commands: [`route add 169.254.1.1 ${UPLINK}`],
    isAnswered: true,
  },
  {
    name: "link-local addresses on its uplink (zeroconf)",
    commands: ["route add 169.254.0.0/16 dev uplink0 scope link"],
    isAnswered: true,
  },
  {
    name: "the gateway's address as its own",
    commands: ["address add 169.254.1.1/32 dev lo"],
    isAnswered: true,
  },
  {
    name: "the gateway's address as a broadcast address",
    commands: [`route add default ${UPLINK}`, "route add broadcast 169.254.1.1 dev uplink0 table local"],
    isAnswered: false,
    reason: /169\.254\.1\.1/,
  },
  {
    name: "a rule that lets this pod nowhere",
    commands: [`route add default ${UPLINK}`, "rule add from 10.20.1.2 unreachable"],
    isAnswered: false,
    reason: /169\.254\.1\.1/,
  },
  {
    name: "a rule that gives only this pod a way out",
    commands: [`route add default ${UPLINK} table 100`, "rule add from 10.20.1.2 lookup 100"],
    isAnswered: true,
  },
];

describe.each(STATES)("a host with $name", ({ commands, isAnswered: expected, reason }) => {
  const prepared = () => {
    const host = new TestHost({ defaultRoute: false });
    host.ipBatch(...commands);
    return host;
  };

  test(`${expected ? "answers" : "does not answer"}, says the kernel, and "auto" pins where it does not`, () => {
    using host = prepared();
    using pod = new TestNetns("pod");
    const endpoint = testEndpoint();
    wire(host, pod, endpoint);
    expect(neighbours(pod)).toEqual(expected ? [] : [PINNED]);

    // Whether the verdict was right only a packet can tell.
    pod.exec("ip", "neigh", "flush", "all", "nud", "permanent");
    expect(isAnswered(pod)).toBe(expected);
  });

  test(`"proxy-arp" is ${expected ? "what it says" : "refused in words, and nothing is left"}`, () => {
    using host = prepared();
    using pod = new TestNetns("pod");
    const before = [picture(host), links(pod)];
    const endpoint = testEndpoint({ gatewayNeighbour: "proxy-arp" });
    const attempt = () => wire(host, pod, endpoint);
    if (reason === undefined) {
      attempt();
      expect(neighbours(pod)).toEqual([]);
      expect(isAnswered(pod)).toBe(true);
    } else {
      expect(attempt).toThrow(/^Cannot answer for the gateway 169\.254\.1\.1: /);
      expect(attempt).toThrow(reason);
      expect(links(host)).toEqual(expect.not.arrayContaining([expect.stringContaining(endpoint.hostEnd)]));
      expect(links(pod).length).toBe(before[1]?.length);
    }
  });

  test('"permanent" pins in any case', () => {
    using host = prepared();
    using pod = new TestNetns("pod");
    wire(host, pod, testEndpoint({ gatewayNeighbour: "permanent" }));
    expect(neighbours(pod)).toEqual([PINNED]);
  });
});

describe("without a default route", () => {
  test("pods of the host reach each other, and the host, over the pinned gateway", () => {
    using host = new TestHost({ defaultRoute: false });
    using a = new TestNetns("pod");
    using b = new TestNetns("pod");
    wire(host, a, testEndpoint({ addresses: DUAL }));
    const others = usable(["10.20.1.3", "fd00:20::3"]);
    wire(host, b, testEndpoint({ addresses: others, containerId: "container-2" }));
    for (const other of others) expect(a.ping(other)).toEqual({ received: 1, ttl: 63 });
    expect(a.ping("192.0.2.1")).toEqual({ received: 1, ttl: 64 });
    // The IPv6 gateway is the host end's own address: it answers, and nothing is pinned for it.
    expect(neighbours(a).filter((line) => line.startsWith("fe80::ecee:eeff:feee:eeee "))).toEqual(
      usable(["fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee REACHABLE"]),
    );
  });

  test("a default route that goes later makes a pod mute, and CHECK's reader says so", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const steps = wire(host, pod, testEndpoint());
    host.ip("route", "delete", "default");
    using sides = new OpenSides(host, pod);
    expect(verify(steps, sides).map(({ subject, is }) => `${subject} ${is}`)).toEqual([
      "gateway 169.254.1.1 mute: the host has no route to 169.254.1.1 (Network is unreachable)",
    ]);
    expect(isAnswered(pod)).toBe(false);
  });
});

describe.runIf(hasIpv6)("the IPv6 gateway", () => {
  const SIX = "fe80::ecee:eeff:feee:eeee";

  test("is usable when ADD is done, and so is the sandbox's address, however busy the kernel is", () => {
    using host = new TestHost();
    for (let at = 0; at < 20; at++) {
      using pod = new TestNetns("pod");
      using sides = new OpenSides(host, pod);
      const endpoint = testEndpoint({ addresses: ["fd00:20::2"], containerId: `container-${at}` });
      apply(wiring(endpoint), sides);
      // The first question after ADD, before any process could be started.
      expect(sides.host.netlink.dump(listAddresses(6)).map(decodeAddress)).not.toContainEqual(
        expect.objectContaining({ tentative: true }),
      );
      expect(neighbours(pod)).toEqual([]);
      remove(endpoint.hostEnd, sides.host);
    }
  });

  test("that stays in duplicate-address detection is not taken for usable", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    using sides = new OpenSides(host, pod);
    const endpoint = testEndpoint({ addresses: ["fd00:20::2"], gatewayNeighbour: "proxy-arp" });
    const steps = wiring(endpoint).map((step) =>
      step.kind === "sysctl" && step.key === `net/ipv6/conf/${endpoint.hostEnd}/accept_dad`
        ? { ...step, value: "1" }
        : step,
    );
    expect(() => apply(steps, sides)).toThrow(`${endpoint.hostEnd} may not use ${SIX} yet`);
    expect(links(pod).length).toBe(1);
  });

  test("that the host end cannot have is pinned, or refused in words", () => {
    using host = new TestHost();
    const endpoint = testEndpoint({ addresses: ["fd00:20::2"] });
    // Without addr_gen_mode 0 the kernel derives none.
    const steps = (neighbour: "auto" | "proxy-arp") =>
      wiring({ ...endpoint, gatewayNeighbour: neighbour }).map((step) =>
        step.kind === "sysctl" && step.key.endsWith("addr_gen_mode") ? { ...step, value: "1" } : step,
      );
    using mute = new TestNetns("pod");
    using first = new OpenSides(host, mute);
    expect(() => apply(steps("proxy-arp"), first)).toThrow(
      `Cannot answer for the gateway ${SIX}: ${endpoint.hostEnd} does not have ${SIX}`,
    );
    expect(links(mute).length).toBe(1);

    using pod = new TestNetns("pod");
    using sides = new OpenSides(host, pod);
    apply(steps("auto"), sides);
    expect(neighbours(pod)).toEqual([`${SIX} dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT`]);
    expect(pod.ping("2001:db8:ffff::1")).toEqual({ received: 1, ttl: 63 });
  });
});

test.runIf(hasIpv6)('"permanent" pins the gateways of both families', () => {
  using host = new TestHost();
  using pod = new TestNetns("pod");
  wire(host, pod, testEndpoint({ addresses: DUAL, gatewayNeighbour: "permanent" }));
  expect(neighbours(pod)).toEqual([
    PINNED,
    "fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT",
  ]);
  expect(pod.ping(WORLD).received).toBe(1);
  expect(pod.ping("2001:db8:ffff::1").received).toBe(1);
});

/** Whether a question for the gateway gets an answer: the pod sends a packet anywhere, which makes it ask. */
function isAnswered(pod: TestNetns): boolean {
  pod.ping("203.0.113.1", { timeoutS: 0.2 });
  return neighbours(pod).includes(LEARNED);
}

/** The ARP packets that pass an interface while `work` is done and a moment after. */
async function capture(netns: TestNetns, dev: string, filter: string, work: () => void) {
  const options = ["-i", dev, "-e", "-n", "-l", "-t", "--immediate-mode", filter];
  const tcpdump = spawn("nsenter", [`--net=${netns.path}`, "tcpdump", ...options], { timeout: 10_000 });
  const ended = once(tcpdump, "close");
  let printed = "";
  tcpdump.stdout.on("data", (text) => {
    printed += text;
  });
  await once(tcpdump.stderr, "data"); // "listening on …"
  work();
  await setTimeout(300); // what comes late, or too often, shall be seen too
  tcpdump.kill("SIGINT");
  await ended;
  const lines = printed.split("\n").filter(Boolean);
  return lines.map((line) => {
    return line.replace(/, ethertype ARP \(0x0806\), length \d+: /, ", ").replace(/, length \d+$/, "");
  });
}
