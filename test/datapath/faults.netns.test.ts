// What is left when a step is refused: nothing, wherever it happens.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../src/address.ts";
import { apply } from "../../src/datapath/apply.ts";
import { NetlinkError } from "../../src/datapath/netlink/error.ts";
import { commandOf, type Step } from "../../src/datapath/step.ts";
import { SysctlError } from "../../src/datapath/sysctl.ts";
import { wiring } from "../../src/datapath/wiring.ts";
import { OpenSides, testEndpoint, wire } from "../helpers/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { links, neighbours, picture, routes } from "../helpers/picture.ts";

const DUAL = usable(["10.20.1.2", "fd00:20::2"]);
const endpoint = testEndpoint({ addresses: DUAL });
const { hostEnd } = endpoint;

const resources = new DisposableStack();
let host: TestHost;
let bystander: TestNetns;

beforeAll(() => {
  host = resources.use(new TestHost());
  bystander = resources.use(new TestNetns("pod"));
  const addresses = usable(["10.20.1.3", "fd00:20::3"]);
  wire(host, bystander, testEndpoint({ addresses, containerId: "bystander" }));
});
afterAll(() => resources.dispose());

describe("a refused step is told with the kernel's own words, and nothing is left", () => {
  const steps = wiring(endpoint);
  const cases = steps.map((step, at) => ({ at, step, command: commandOf(step, "SANDBOX") }));
  // A setting that is made only where the kernel has it is not refused where it has not.
  const possible = cases.filter(({ command }) => usable([command]).length > 0);

  test.each(possible)("$at: $command", ({ at, step }) => {
    const before = [untouched(host), untouched(bystander)];
    using pod = new TestNetns("pod");
    using sides = new OpenSides(host, pod);
    const { steps: instead, words } = refused(step);

    const error = failure(() => apply(steps.toSpliced(at, 1, ...instead), sides));

    expect(error.message).toMatch(/^Cannot /);
    expect(error.message).toContain(nameOf(instead.at(-1) as Step));
    expect(error.message).toMatch(words);
    expect(left(pod)).toEqual({ links: ["lo"], routes: [], neighbours: [] });
    expect([untouched(host), untouched(bystander)]).toEqual(before);
  });

  test("and without a refusal there is something to be left", () => {
    using pod = new TestNetns("pod");
    const before = untouched(host);
    wire(host, pod, endpoint);
    expect(left(pod)).toMatchObject({ links: ["lo", "eth0"] });
    expect(left(pod).routes.length).toBe(hasIpv6 ? 5 : 2);
    expect(untouched(host)).not.toEqual(before);
    host.ip("link", "delete", hostEnd);
    expect(untouched(host)).toEqual(before);
  });
});

describe("what is in the way", () => {
  test("an interface of the sandbox with the wanted name is refused and left as it is", () => {
    using pod = new TestNetns("pod");
    pod.ipBatch(
      "link add eth0 type veth peer name other",
      "address add 10.9.9.9/24 dev eth0",
      "link set eth0 up",
    );
    const before = [untouched(host), picture(pod)];
    const error = failure(() => wire(host, pod, endpoint));
    expect(error).toMatchObject({ code: "EEXIST" });
    expect(error.message).toContain(`ip link add ${hostEnd}`);
    expect([untouched(host), picture(pod)]).toEqual(before);
  });

  test("an interface of the host with the wanted name is refused and left as it is", () => {
    using pod = new TestNetns("pod");
    host.ip("link", "add", hostEnd, "type", "veth", "peer", "name", "elsewhere");
    const before = [untouched(host), picture(pod)];
    expect(failure(() => wire(host, pod, endpoint))).toMatchObject({ code: "EEXIST" });
    expect([untouched(host), picture(pod)]).toEqual(before);
    host.ip("link", "delete", hostEnd);
  });

  test.each(DUAL)("a route to %s through another interface is named, and left as it is", (address) => {
    using pod = new TestNetns("pod");
    host.ip("route", "add", address, "dev", "uplink0");
    const before = untouched(host);
    const error = failure(() => wire(host, pod, endpoint));
    expect(error).toMatchObject({ code: "EEXIST" });
    expect(error.message).toContain(`route add ${address}`);
    expect(error.message).toMatch(/: it is routed through uplink0 already$/);
    expect(untouched(host)).toEqual(before);
    expect(left(pod)).toEqual({ links: ["lo"], routes: [], neighbours: [] });
    host.ip("route", "delete", address);
  });

  test.each([100_000, 67])("MTU %d is refused", (mtu) => {
    using pod = new TestNetns("pod");
    const before = untouched(host);
    expect(failure(() => wire(host, pod, { ...endpoint, mtu }))).toMatchObject({ code: "EINVAL" });
    expect(untouched(host)).toEqual(before);
  });

  test("the host end changed by other software meanwhile is found out, and nothing is left", () => {
    using pod = new TestNetns("pod");
    using sides = new OpenSides(host, pod);
    const before = untouched(host);
    // A last step of the wiring's own kind, that does what udev's MACAddressPolicy would do.
    const meddling = { kind: "sysctl", on: "host", key: "net/ipv4/ip_forward", value: "1" } as const;
    const steps = [...wiring(endpoint), meddling];
    const meddle = Object.defineProperty({ ...meddling }, "value", {
      get: () => {
        host.ip("link", "set", hostEnd, "address", "02:00:00:00:00:01");
        return "1";
      },
    });
    const error = failure(() => apply(steps.with(-1, meddle as Step), sides));
    expect(error.message).toBe(
      `Cannot keep ${hostEnd} up with MAC ee:ee:ee:ee:ee:ee: ` +
        "it has 02:00:00:00:00:01 and is up: other software changed it",
    );
    expect(untouched(host)).toEqual(before);
    expect(links(pod).length).toBe(1);
  });
});

test("the bystander has been reachable all along", () => {
  expect(host.ping("10.20.1.3").received).toBe(1);
  for (const world of usable(["198.51.100.1", "2001:db8:ffff::1"]))
    expect(bystander.ping(world).received).toBe(1);
});

/** A step in the place of another that the kernel refuses, and what it says. */
function refused(step: Step): { steps: Step[]; words: RegExp } {
  switch (step.kind) {
    case "veth":
      return {
        steps: [{ ...step, sandboxEnd: { ...step.sandboxEnd, mtu: 70_000 } }],
        words: /: Invalid argument$/, // it has no words for it (6.18)
      };
    case "sysctl":
      // 6.1 takes any value for some settings of IPv6, and makes nothing of it.
      return { steps: [{ ...step, key: `${step.key}/below`, value: "broken" }], words: /: Not a directory/ };
    case "up":
      return { steps: [{ ...step, alias: "x".repeat(300) }], words: /: Attribute failed policy validation$/ };
    case "address":
      // 6.1 has no words for it.
      return { steps: [step, step], words: /: (ipv[46]: address already assigned|File exists)$/i };
    case "route":
      return {
        steps: [{ ...step, via: address(step.dst.address.family === 4 ? "8.8.8.8" : "2001:db8:7::7") }],
        words: /: (Nexthop has invalid gateway|Invalid gateway address|No route to host)$/,
      };
    case "neighbour":
      return { steps: [{ ...step, mac: "ee:ee" }], words: /: Invalid link address$/ };
    case "gateway":
      return {
        // A source that no packet may have; an address that the host end does not have.
        steps: [
          step.gateway.family === 4
            ? { ...step, from: address("127.0.0.1"), pin: false }
            : { ...step, gateway: address("fe80::1"), pin: false },
        ],
        words: /: (the host has no route to 169\.254\.1\.1 \(.+\)|cali\S+ does not have fe80::1)$/,
      };
  }
}

function address(text: string): Address {
  return parseAddress(text) as Address;
}

/** What an operator would look for in the message. */
function nameOf(step: Step): string {
  if (step.kind === "gateway") return `answer for the gateway ${formatAddress(step.gateway)}`;
  if (step.kind === "sysctl") return `echo broken > /proc/sys/${step.key}`;
  return commandOf({ ...step, on: "host" } as Step, "SANDBOX").split(" netns ")[0] as string;
}

/** All that ip(8) tells. Settings stay: forwarding is the host's affair for good. */
function untouched(netns: TestNetns): string[] {
  return picture(netns).filter((line) => !line.startsWith("net/"));
}

function left(pod: TestNetns) {
  const notOfLo = (line: string) => !line.includes("dev lo");
  return {
    links: links(pod).map((line) => line.split(" ")[0]),
    routes: [...routes(pod, 4), ...routes(pod, 6)].filter(notOfLo),
    neighbours: neighbours(pod),
  };
}

function failure(attempt: () => unknown): Error {
  try {
    attempt();
  } catch (error) {
    expect([NetlinkError, SysctlError]).toContain((error as Error).constructor);
    return error as Error;
  }
  throw new Error("Cannot see the refusal: there was none");
}
