// Whose address: the ranges of the configuration, and what runtimes ask for.

import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasIpv6 } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, netconf, type PluginCall } from "../helpers/plugin.ts";

type Keys = Readonly<Record<string, unknown>>;

/** A host, and ADD by container ID with a sandbox for each. */
class Node implements Disposable {
  readonly host = new TestHost();
  readonly #sandboxes: TestNetns[] = [];

  call(containerId: string, ipam: unknown, keys: Keys = {}): PluginCall {
    const netns = new TestNetns();
    this.#sandboxes.push(netns);
    return { host: this.host, netns, containerId, netconf: netconf(this.host, { ipam, ...keys }) };
  }

  /** The addresses an ADD gives. */
  given(containerId: string, ipam: unknown, keys: Keys = {}, args = ""): (string | undefined)[] {
    return (succeeded(add({ ...this.call(containerId, ipam, keys), args })).ips ?? []).map(
      ({ address }) => address,
    );
  }

  refused(containerId: string, code: number, ipam: unknown, keys: Keys = {}, args = ""): string {
    return refused(add({ ...this.call(containerId, ipam, keys), args }), code).msg;
  }

  free(containerId: string): void {
    silent(del(this.call(containerId, {})));
  }

  describe(text: string): void {
    writeFileSync(join(this.host.stateDir, "node.json"), text);
  }

  [Symbol.dispose](): void {
    for (const netns of this.#sandboxes) netns[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

const WIDE = { ranges: [[{ subnet: "10.20.1.0/24" }]] };

describe("ranges", () => {
  test("the first address is the gateway's by custom, and the last the broadcast's: neither is given", () => {
    using node = new Node();
    const subnet = { subnet: "10.20.1.0/29" };
    const given = ["a", "b", "c", "d", "e"].flatMap((pod) => node.given(pod, subnet));
    expect(given).toEqual([2, 3, 4, 5, 6].map((last) => `10.20.1.${last}/32`));
    expect(node.refused("f", 100, subnet)).toContain("10.20.1.0/29");
  });

  test("`subnet` is short for a range of its own, with its bounds and gateway", () => {
    using node = new Node();
    const ipam = {
      subnet: "10.20.1.0/24",
      rangeStart: "10.20.1.10",
      rangeEnd: "10.20.1.12",
      gateway: "10.20.1.11",
    };
    expect([...node.given("a", ipam), ...node.given("b", ipam)]).toEqual(["10.20.1.10/32", "10.20.1.12/32"]);
    node.refused("c", 100, ipam);
  });

  test("the ranges of a set are alternatives, tried in order", () => {
    using node = new Node();
    const ipam = {
      ranges: [[{ subnet: "10.20.1.0/30" }, { subnet: "10.20.2.0/24", rangeStart: "10.20.2.50" }]],
    };
    expect(node.given("a", ipam)).toEqual(["10.20.1.2/32"]);
    expect(node.given("b", ipam)).toEqual(["10.20.2.50/32"]);
  });

  test.runIf(hasIpv6)(
    "each set gives one address: two families make dual stack, in the order of the sets",
    () => {
      using node = new Node();
      const ranges = [[{ subnet: "fd00:20::/64" }], [{ subnet: "10.20.1.0/24" }]];
      expect(node.given("a", { ranges })).toEqual(["fd00:20::2/128", "10.20.1.2/32"]);
    },
  );

  test.runIf(hasIpv6)(
    "a set without an address left refuses the whole ADD: nothing is held of the other set",
    () => {
      using node = new Node();
      const ranges = [[{ subnet: "fd00:20::/64" }], [{ subnet: "10.20.1.0/30" }]];
      node.given("a", { ranges });
      node.refused("b", 100, { ranges });
      expect(remains(node.host)).toMatchObject({ attachments: ["a/eth0"], leases: 2 });
    },
  );

  test("excluded addresses and CIDRs are not given", () => {
    using node = new Node();
    const ipam = {
      ranges: [[{ subnet: "10.20.1.0/24", exclude: ["10.20.1.0/28", "10.20.1.17", "10.20.1.18/31"] }]],
    };
    expect([...node.given("a", ipam), ...node.given("b", ipam)]).toEqual(["10.20.1.16/32", "10.20.1.20/32"]);
    expect(node.refused("c", 101, ipam, {}, "IP=10.20.1.17")).toContain("10.20.1.17");
  });

  test("further routes come with the addresses", () => {
    using node = new Node();
    const call = node.call("a", {
      ...WIDE,
      routes: [{ dst: "10.96.0.0/12", gw: "10.20.1.1" }, { dst: "0.0.0.0/0" }],
    });
    expect(succeeded(add(call)).routes).toEqual([
      { dst: "0.0.0.0/0", gw: "169.254.1.1" },
      { dst: "10.96.0.0/12", gw: "169.254.1.1" },
    ]);
    expect(node.refused("b", 7, { ...WIDE, routes: [{ dst: "10.96.0.0" }] })).toContain("ipam.routes[0].dst");
  });

  test.each([
    ["10.97.0.1/12", "10.96.0.0/12"],
    ["fd55::1/16", "fd55::/16"],
  ])("a route to %s is refused: the kernel would make %s of it, or nothing", (dst, right) => {
    using node = new Node();
    expect(node.refused("a", 7, { ...WIDE, routes: [{ dst }] })).toContain(`no host bits set: "${right}"`);
    expect(node.refused("a", 7, WIDE, { routes: [{ dst }] })).toContain(`no host bits set: "${right}"`);
  });

  test("of routes there may be hundreds", () => {
    using node = new Node();
    const routes = Array.from({ length: 600 }, (_, at) => ({
      dst: `172.${16 + (at >> 8)}.${at & 255}.0/24`,
    }));
    const call = node.call("a", { ...WIDE, routes });
    const result = succeeded(add(call));
    expect(result.routes).toHaveLength(601);
    silent(check({ ...call, netconf: { ...call.netconf, prevResult: result } }));
  });

  test("an address that is excluded no longer is given, when its turn comes", () => {
    using node = new Node();
    const [before, after] = [
      { subnet: "10.20.1.0/29", exclude: ["10.20.1.2/31"] },
      { subnet: "10.20.1.0/29" },
    ];
    expect(node.given("a", before)).toEqual(["10.20.1.4/32"]);
    const rest = ["b", "c", "d", "e"].flatMap((name) => node.given(name, after));
    expect(rest.toSorted()).toEqual([2, 3, 5, 6].map((last) => `10.20.1.${last}/32`));
  });
});

describe("usePodCidr", () => {
  const DUAL = { ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]] };

  test.runIf(hasIpv6)("is the pod CIDR of node.json, whatever the case of its letters", () => {
    using node = new Node();
    node.describe('{"podCIDRs":["10.20.7.0/24","fd00:7::/64"]}');
    expect(node.given("a", DUAL)).toEqual(["10.20.7.2/32", "fd00:7::2/128"]);
    expect(node.given("b", { subnet: "usePodCIDR" })).toEqual(["10.20.7.3/32"]);
  });

  test("takes the rest of a range's keys", () => {
    using node = new Node();
    node.describe('{"podCIDRs":["10.20.7.0/24"]}');
    expect(node.given("a", { subnet: "usePodCidr", rangeStart: "10.20.7.100" })).toEqual(["10.20.7.100/32"]);
    node.refused("b", 7, { subnet: "usePodCidr", rangeStart: "10.20.8.100" });
  });

  test("that nobody has told yet is code 11: the pod is tried again", () => {
    using node = new Node();
    expect(node.refused("a", 11, { subnet: "usePodCidr" })).toContain("node.json");
    node.describe('{"podCIDRs":["10.20.7.0/24"]}');
    expect(node.refused("b", 11, DUAL)).toContain("IPv6");
    node.describe("{}");
    node.refused("c", 11, { subnet: "usePodCidr" });
  });

  test.each([
    ["no JSON", "{"],
    ["a list", "[]"],
    ["null", "null"],
    ["pod CIDRs that are none", '{"podCIDRs":["10.20.7.0"]}'],
    ["two of one family", '{"podCIDRs":["10.20.7.0/24","10.20.8.0/24"]}'],
    ["pod CIDRs that are no list", '{"podCIDRs":"10.20.7.0/24"}'],
    ["an MTU that is none", '{"podCIDRs":["10.20.7.0/24"],"mtu":"1400"}'],
  ])("with %s in node.json is code 7, by the file's name", (_, text) => {
    using node = new Node();
    node.describe(text);
    expect(node.refused("a", 7, { subnet: "usePodCidr" })).toContain("node.json");
    expect(remains(node.host).leases).toBe(0);
  });
});

describe("an address that is asked for", () => {
  const ARGS = "IgnoreUnknown=1;IP=10.20.1.60";
  const CNI = { args: { cni: { ips: ["10.20.1.61"] } } };
  const CAPABILITY = { runtimeConfig: { ips: ["10.20.1.62/24"] } };

  test.each<[string, string, Keys, string]>([
    ["CNI_ARGS", "10.20.1.60/32", {}, ARGS],
    ["args.cni.ips", "10.20.1.61/32", CNI, ""],
    ["args.cni.ips before CNI_ARGS", "10.20.1.61/32", CNI, ARGS],
    ["the capability ips", "10.20.1.62/32", CAPABILITY, ""],
    ["the capability before all others", "10.20.1.62/32", { ...CNI, ...CAPABILITY }, ARGS],
    ["the capability with a capital letter", "10.20.1.62/32", { runtimeConfig: { IPs: ["10.20.1.62"] } }, ""],
    [
      "CNI_ARGS where the others are empty",
      "10.20.1.60/32",
      { args: { cni: { ips: [] } }, runtimeConfig: { ips: null } },
      ARGS,
    ],
  ])("by %s is given", (_, address, keys, args) => {
    using node = new Node();
    expect(node.given("a", WIDE, keys, args)).toEqual([address]);
  });

  test.runIf(hasIpv6)("for each family is given", () => {
    using node = new Node();
    const ranges = [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]];
    const both = ["10.20.1.7/32", "fd00:20::7/128"];
    expect(node.given("a", { ranges }, { runtimeConfig: { ips: ["fd00:20::7", "10.20.1.7/16"] } })).toEqual(
      both,
    );
    expect(node.given("b", { ranges }, {}, "IP=fd00:20::8")).toEqual(["10.20.1.2/32", "fd00:20::8/128"]);
  });

  test.each([
    ["held by another", "10.20.1.2"],
    ["outside the range", "10.20.2.7"],
    ["the network's", "10.20.1.0"],
    ["the gateway's", "10.20.1.1"],
    ["the broadcast's", "10.20.1.255"],
    ["of a family that has no range", "fd00:20::7"],
    ["used by the host", "10.20.1.200"],
  ])("but is %s is refused with code 101, and never replaced", (_, address) => {
    using node = new Node();
    node.given("other", WIDE);
    node.host.ipBatch("address add 10.20.1.200/32 dev lo");
    expect(node.refused("a", 101, WIDE, {}, `IP=${address}`)).toContain(address);
    expect(remains(node.host)).toMatchObject({ attachments: ["other/eth0"], leases: 1 });
  });

  test("but is none is refused with code 4 in CNI_ARGS, and with code 7 in the configuration", () => {
    using node = new Node();
    for (const text of ["nonsense", "10.20.1.300", "10.20.1.07"])
      node.refused("a", 4, WIDE, {}, `IP=${text}`);
    node.refused("a", 7, WIDE, { args: { cni: { ips: ["nonsense"] } } });
    node.refused("a", 7, WIDE, { runtimeConfig: { ips: ["nonsense"] } });
  });

  test("twice of one family is refused: a set gives one", () => {
    using node = new Node();
    node.refused("a", 101, WIDE, {}, "IP=10.20.1.60,10.20.1.61");
  });

  test("is not given to others later, and not skipped when it is free again", () => {
    using node = new Node();
    const ipam = { subnet: "10.20.1.0/29" };
    node.given("asked", ipam, {}, "IP=10.20.1.3");
    expect(["a", "b", "c", "d"].flatMap((pod) => node.given(pod, ipam))).toEqual(
      [2, 4, 5, 6].map((last) => `10.20.1.${last}/32`),
    );
    node.free("asked");
    expect(node.given("e", ipam)).toEqual(["10.20.1.3/32"]);
  });
});

describe("the capability ipRanges", () => {
  test.each([
    ["as the convention spells it", [[{ subnet: "10.30.0.0/24", rangeStart: "10.30.0.9" }]]],
    [
      "as containerd spells it",
      [[{ Subnet: "10.30.0.0/24", RangeStart: "10.30.0.9", RangeEnd: "", Gateway: "" }]],
    ],
  ])("%s takes the place of the configured ranges", (_, ipRanges) => {
    using node = new Node();
    expect(node.given("a", WIDE, { runtimeConfig: { ipRanges } })).toEqual(["10.30.0.9/32"]);
    expect(node.given("b", {}, { runtimeConfig: { IPRanges: ipRanges } })).toEqual(["10.30.0.10/32"]);
  });

  test("that is empty leaves the configured ones", () => {
    using node = new Node();
    expect(node.given("a", WIDE, { runtimeConfig: { ipRanges: [] } })).toEqual(["10.20.1.2/32"]);
    expect(node.given("b", WIDE, { runtimeConfig: { ipRanges: null } })).toEqual(["10.20.1.3/32"]);
  });

  test("with a mistake is code 7, by its name", () => {
    using node = new Node();
    const ipRanges = [[{ subnet: "10.30.0.1/24" }]];
    expect(node.refused("a", 7, WIDE, { runtimeConfig: { ipRanges } })).toContain(
      "runtimeConfig.ipRanges[0][0].subnet",
    );
  });
});

describe("an address is given once", () => {
  test("an exhausted range refuses with code 100, and goes on after a DEL", () => {
    using node = new Node();
    const ipam = { subnet: "10.20.1.0/30" };
    node.given("a", ipam);
    node.refused("b", 100, ipam);
    expect(remains(node.host)).toMatchObject({ links: { length: 1 }, attachments: ["a/eth0"] });
    node.free("a");
    expect(node.given("b", ipam)).toEqual(["10.20.1.2/32"]);
  });

  test("what was freed comes last, in the order it was freed", () => {
    using node = new Node();
    const ipam = { subnet: "10.20.1.0/29" };
    for (const pod of ["2", "3", "4"]) expect(node.given(pod, ipam)).toEqual([`10.20.1.${pod}/32`]);
    node.free("3");
    node.free("2");
    expect(["5", "6", "7", "8"].flatMap((pod) => node.given(pod, ipam))).toEqual(
      [5, 6, 3, 2].map((last) => `10.20.1.${last}/32`),
    );
  });

  test("an address that the host has a route to, or owns, is skipped after the database was lost", () => {
    using node = new Node();
    expect([...node.given("a", WIDE), ...node.given("b", WIDE)]).toEqual(["10.20.1.2/32", "10.20.1.3/32"]);
    node.host.ipBatch("address add 10.20.1.4/32 dev lo");
    const directory = join(node.host.stateDir, "podnet");
    for (const file of readdirSync(directory)) rmSync(join(directory, file));
    expect(node.given("c", WIDE)).toEqual(["10.20.1.5/32"]);
  });

  test("a repeated ADD has the same addresses, and holds them once", () => {
    using node = new Node();
    const call = node.call("a", WIDE);
    const first = succeeded(add(call));
    expect(succeeded(add(call))).toEqual(first);
    expect(succeeded(add(call))).toEqual(first);
    expect(remains(node.host)).toMatchObject({ links: { length: 1 }, leases: 1 });
  });

  test("a repeated ADD that fails does not give up what the first one has", () => {
    using node = new Node();
    const call = node.call("a", WIDE);
    const { ips } = succeeded(add(call));
    refused(add({ ...call, args: "IP=10.20.1.99" }), 101);
    refused(add({ ...call, netconf: { ...call.netconf, mtu: "x" } }), 7);
    refused(add({ ...call, netns: "/nowhere" }), 8);
    expect(remains(node.host)).toMatchObject({ links: { length: 1 }, routes: ["10.20.1.2"], leases: 1 });
    expect(node.host.ping(ips?.[0]?.address?.replace("/32", "") as string)).toMatchObject({ received: 1 });
  });

  test("a repeated ADD that fails does not give it up either where somebody has renamed the host end", () => {
    using node = new Node();
    const call = node.call("a", WIDE);
    const hostEnd = succeeded(add(call)).interfaces?.[0]?.name;
    node.host.ipBatch(`link set ${hostEnd} down`, `link set ${hostEnd} name other0`, "link set other0 up");
    refused(add(call), 102);
    expect(remains(node.host)).toMatchObject({ links: { length: 1 }, leases: 1 });
    silent(del(call));
    expect(remains(node.host)).toEqual(NOTHING);
  });

  test("a repeated ADD with another MTU makes it so, and CHECK goes by it", () => {
    using node = new Node();
    const call = node.call("a", WIDE);
    succeeded(add(call));
    const smaller = { ...call, netconf: { ...call.netconf, mtu: 1400 } };
    const prevResult = succeeded(add(smaller));
    expect(prevResult.interfaces).toMatchObject([{ mtu: 1400 }, { mtu: 1400 }]);
    silent(check({ ...smaller, netconf: { ...smaller.netconf, prevResult } }));
  });

  test("an ADD for a container whose sandbox was made anew attaches the new one", () => {
    using node = new Node();
    const first = node.call("a", WIDE);
    const second = node.call("a", WIDE);
    const { ips } = succeeded(add(first));
    expect(succeeded(add(second)).ips).toEqual(ips);
    expect((second.netns as TestNetns).ping("198.51.100.1")).toMatchObject({ received: 1 });
    expect(remains(node.host)).toMatchObject({ links: { length: 1 }, leases: 1 });
  });

  test("two networks with the same range on one host do not give the same address", () => {
    using node = new Node();
    expect(node.given("a", WIDE)).toEqual(["10.20.1.2/32"]);
    expect(node.given("b", WIDE, { name: "second" })).toEqual(["10.20.1.3/32"]);
  });
});

test("the store is root's alone: directories 0700, files 0600, whatever the umask", () => {
  using node = new Node();
  const call = node.call("a", WIDE, { stateDir: join(node.host.stateDir, "deep", "er") });
  succeeded(add({ ...call, through: ["sh", "-c", 'umask 0; exec "$0"'] }));
  const directory = join(node.host.stateDir, "deep", "er", "podnet");
  const modes = [directory, ...readdirSync(directory).map((file) => join(directory, file))].map((path) => {
    const { mode } = statSync(path);
    return (mode & 0o777).toString(8);
  });
  expect(modes[0]).toBe("700");
  expect(new Set(modes.slice(1))).toEqual(new Set(["600"]));
});
