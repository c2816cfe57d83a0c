import { expect, test } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../src/address.ts";
import {
  isLeasable,
  leasableCount,
  nextLeasable,
  type Range,
  type RangeConfig,
  rangeName,
  readRangeSets,
} from "../../src/ipam/range.ts";

const NODE = { 4: "10.244.3.0/24", 6: "fd00:244:3::/64" };

function range(config: RangeConfig): Range {
  const { sets, mistakes } = readRangeSets([[config]], NODE, "ipam.ranges");
  expect(mistakes).toEqual([]);
  return sets[0]?.[0] as Range;
}

function mistakes(...sets: readonly (readonly RangeConfig[])[]) {
  return readRangeSets(sets, NODE, "ipam.ranges").mistakes;
}

function leasable(config: RangeConfig): string[] {
  const own = range(config);
  const walked: string[] = [];
  for (let at = nextLeasable(own, own.first); at; at = nextLeasable(own, at.value + 1n))
    walked.push(formatAddress(at));
  return walked;
}

const address = (text: string) => parseAddress(text) as Address;

test.each([
  ["10.20.1.0/24", 253],
  ["10.20.1.0/25", 125],
  ["10.20.0.0/16", 65533],
  ["10.20.1.0/29", 5],
  ["10.20.1.0/30", 1],
  ["fd00:20:1::/120", 254],
  ["fd00:20:1::/126", 2],
])("%s leases %i addresses", (subnet, count) => {
  expect(leasable({ subnet })).toHaveLength(count);
  expect(leasableCount([range({ subnet })])).toBe(BigInt(count));
});

test("a /24 leases .2 to .254: neither network, nor broadcast, nor the first host address", () => {
  const all = leasable({ subnet: "10.20.1.0/24" });
  expect(all[0]).toBe("10.20.1.2");
  expect(all.at(-1)).toBe("10.20.1.254");
});

test("IPv6 has no broadcast address: the last of a /126 is leased", () => {
  expect(leasable({ subnet: "fd00:20:1::/126" })).toEqual(["fd00:20:1::2", "fd00:20:1::3"]);
});

test("a /64 and a /8 are counted and walked without being listed", () => {
  const huge = range({ subnet: "fd00:20:1::/64", exclude: ["fd00:20:1::/65"] });
  expect(leasableCount([huge])).toBe(1n << 63n);
  expect(nextLeasable(huge, huge.first)).toEqual(address("fd00:20:1::8000:0:0:0"));
  expect(nextLeasable(huge, huge.last + 1n)).toBeUndefined();
});

test("the gateway is not leased, nor is the first host address if the gateway is elsewhere", () => {
  const all = leasable({ subnet: "10.20.1.0/29", gateway: "10.20.1.6" });
  expect(all).toEqual(["10.20.1.2", "10.20.1.3", "10.20.1.4", "10.20.1.5"]);
});

test("rangeStart and rangeEnd are both leased", () => {
  const all = leasable({ subnet: "10.20.1.0/24", rangeStart: "10.20.1.10", rangeEnd: "10.20.1.12" });
  expect(all).toEqual(["10.20.1.10", "10.20.1.11", "10.20.1.12"]);
});

test("rangeStart at the network address and rangeEnd at the broadcast address are cut to what is usable", () => {
  const all = leasable({ subnet: "10.20.1.0/29", rangeStart: "10.20.1.0", rangeEnd: "10.20.1.7" });
  expect(all).toEqual(leasable({ subnet: "10.20.1.0/29" }));
});

test.each<[string, string[], string[]]>([
  ["an address", ["10.20.1.4"], ["10.20.1.2", "10.20.1.3", "10.20.1.5", "10.20.1.6"]],
  ["a CIDR", ["10.20.1.4/31"], ["10.20.1.2", "10.20.1.3", "10.20.1.6"]],
  ["a CIDR with host bits set", ["10.20.1.5/31"], ["10.20.1.2", "10.20.1.3", "10.20.1.6"]],
  ["two that overlap", ["10.20.1.4/31", "10.20.1.5", "10.20.1.2/31"], ["10.20.1.6"]],
  ["two that touch, in any order", ["10.20.1.4", "10.20.1.3"], ["10.20.1.2", "10.20.1.5", "10.20.1.6"]],
  ["one that begins before the subnet", ["10.20.0.0/23"], []],
  ["one that ends with the subnet", ["10.20.1.4/30"], ["10.20.1.2", "10.20.1.3"]],
  [
    "one outside",
    ["10.20.2.0/24", "10.20.1.8"],
    ["10.20.1.2", "10.20.1.3", "10.20.1.4", "10.20.1.5", "10.20.1.6"],
  ],
])("exclude of %s leaves the others", (_, exclude, left) => {
  expect(leasable({ subnet: "10.20.1.0/29", exclude })).toEqual(left);
});

test.each(["usePodCidr", "usepodcidr", "USEPODCIDR", "UsePodCIDR"])(
  "%s is the node's IPv4 pod CIDR",
  (subnet) => {
    expect(rangeName(range({ subnet }))).toBe("10.244.3.0/24");
  },
);

test.each(["usePodCidrIPv6", "usepodcidripv6", "USEPODCIDRIPV6"])(
  "%s is the node's IPv6 pod CIDR",
  (subnet) => {
    expect(rangeName(range({ subnet }))).toBe("fd00:244:3::/64");
  },
);

test("usePodCidr on a node that has none is a mistake, not a guess", () => {
  const { mistakes } = readRangeSets([[{ subnet: "usePodCidr" }]], { 6: NODE[6] }, "ipam.ranges");
  expect(mistakes).toEqual([
    { key: "ipam.ranges[0][0].subnet", value: "usePodCidr", expected: 'a subnet such as "10.20.1.0/24"' },
  ]);
});

test.each<[RangeConfig, string, unknown, string]>([
  [{ subnet: "10.20.1.0" }, "subnet", "10.20.1.0", 'a subnet such as "10.20.1.0/24"'],
  [{ subnet: "" }, "subnet", "", 'a subnet such as "10.20.1.0/24"'],
  [{ subnet: "10.20.1.0/33" }, "subnet", "10.20.1.0/33", 'a subnet such as "10.20.1.0/24"'],
  [{ subnet: "10.20.1.7/24" }, "subnet", "10.20.1.7/24", 'no host bits set: "10.20.1.0/24"'],
  [{ subnet: "fd00::1/64" }, "subnet", "fd00::1/64", 'no host bits set: "fd00::/64"'],
  [{ subnet: "10.20.1.0/31" }, "subnet", "10.20.1.0/31", "/30 or larger"],
  [{ subnet: "10.20.1.0/32" }, "subnet", "10.20.1.0/32", "/30 or larger"],
  [{ subnet: "fd00::/127" }, "subnet", "fd00::/127", "/126 or larger"],
  [
    { subnet: "10.20.1.0/24", rangeStart: "10.20.2.1" },
    "rangeStart",
    "10.20.2.1",
    "an address in 10.20.1.0/24",
  ],
  [{ subnet: "10.20.1.0/24", rangeStart: "fd00::1" }, "rangeStart", "fd00::1", "an address in 10.20.1.0/24"],
  [{ subnet: "10.20.1.0/24", rangeEnd: "nowhere" }, "rangeEnd", "nowhere", "an address in 10.20.1.0/24"],
  [
    { subnet: "10.20.1.0/24", gateway: "10.20.1.1/24" },
    "gateway",
    "10.20.1.1/24",
    "an address in 10.20.1.0/24",
  ],
  [
    { subnet: "10.20.1.0/24", rangeStart: "10.20.1.9", rangeEnd: "10.20.1.8" },
    "rangeEnd",
    "10.20.1.8",
    "an address not before rangeStart",
  ],
  [
    { subnet: "10.20.1.0/24", exclude: ["10.20.1.7", "10.20.1.300"] },
    "exclude[1]",
    "10.20.1.300",
    "an address or a CIDR of the family of 10.20.1.0/24",
  ],
  [
    { subnet: "10.20.1.0/24", exclude: ["fd00::/64"] },
    "exclude[0]",
    "fd00::/64",
    "an address or a CIDR of the family of 10.20.1.0/24",
  ],
])("%j is refused with key, value and expectation", (config, key, value, expected) => {
  expect(mistakes([config])).toEqual([{ key: `ipam.ranges[0][0].${key}`, value, expected }]);
});

test("all mistakes of all ranges are told at once, each under its own key", () => {
  const found = mistakes(
    [
      { subnet: "10.20.1.0/24", rangeStart: "x", rangeEnd: "y", gateway: "z", exclude: ["?"] },
      { subnet: "10.20.1.1/24" },
    ],
    [{ subnet: "fd00::/128" }],
  );
  expect(found.map(({ key }) => key)).toEqual([
    "ipam.ranges[0][0].rangeStart",
    "ipam.ranges[0][0].rangeEnd",
    "ipam.ranges[0][0].gateway",
    "ipam.ranges[0][0].exclude[0]",
    "ipam.ranges[0][1].subnet",
    "ipam.ranges[1][0].subnet",
  ]);
});

test("a set of both families is refused: it would give one address where two are meant", () => {
  const found = mistakes([{ subnet: "10.20.1.0/24" }, { subnet: "fd00::/64" }]);
  expect(found).toEqual([
    { key: "ipam.ranges[0][1].subnet", value: "fd00::/64", expected: expect.stringContaining("same family") },
  ]);
});

test("ranges that overlap are refused, in one set and across sets", () => {
  const part = { subnet: "10.20.0.0/16", rangeStart: "10.20.1.254", rangeEnd: "10.20.1.255" };
  expect(mistakes([{ subnet: "10.20.1.0/24" }, part])).toEqual([
    { key: "ipam.ranges[0][1]", value: "10.20.0.0/16", expected: "no overlap with ipam.ranges[0][0]" },
  ]);
  expect(mistakes([{ subnet: "10.20.1.0/24" }], [part])).toEqual([
    { key: "ipam.ranges[1][0]", value: "10.20.0.0/16", expected: "no overlap with ipam.ranges[0][0]" },
  ]);
});

test("ranges of one subnet that only touch are welcome", () => {
  const low = { subnet: "10.20.1.0/24", rangeEnd: "10.20.1.99" };
  const high = { subnet: "10.20.1.0/24", rangeStart: "10.20.1.100" };
  expect(mistakes([low, high])).toEqual([]);
});

test("usePodCidr overlaps the same CIDR written out", () => {
  expect(mistakes([{ subnet: "usePodCidr" }], [{ subnet: "10.244.3.0/24" }])).toHaveLength(1);
});

test("a range is named by its subnet, or by its bounds where they are its own", () => {
  expect(rangeName(range({ subnet: "10.20.1.0/24", exclude: ["10.20.1.9"] }))).toBe("10.20.1.0/24");
  expect(rangeName(range({ subnet: "10.20.1.0/24", rangeEnd: "10.20.1.99" }))).toBe("10.20.1.1-10.20.1.99");
  expect(rangeName(range({ subnet: "fd00::/64", rangeStart: "fd00::5", rangeEnd: "fd00::9" }))).toBe(
    "fd00::5-fd00::9",
  );
});

test("nextLeasable() never goes back: below the range it begins, above it there is nothing", () => {
  const own = range({ subnet: "10.20.1.0/24", rangeStart: "10.20.1.10", rangeEnd: "10.20.1.12" });
  expect(nextLeasable(own, 0n)).toEqual(address("10.20.1.10"));
  expect(nextLeasable(own, address("10.20.1.11").value)).toEqual(address("10.20.1.11"));
  expect(nextLeasable(own, address("10.20.1.13").value)).toBeUndefined();
});

test("isLeasable() is false for the same number in the other family", () => {
  const own = range({ subnet: "10.20.1.0/24" });
  expect(isLeasable(own, address("10.20.1.7"))).toBe(true);
  expect(isLeasable(own, { family: 6, value: address("10.20.1.7").value })).toBe(false);
});
