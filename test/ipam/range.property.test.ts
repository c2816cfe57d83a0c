// Oracle: ip-num enumerates the subnet; each rule of a range strikes addresses from that list.
import fc from "fast-check";
import { IPv4, IPv4CidrRange, IPv6, IPv6CidrRange } from "ip-num";
import { expect, test } from "vitest";
import { type Address, formatAddress } from "../../src/address.ts";
import {
  isLeasable,
  leasableCount,
  nextLeasable,
  podCidrFamily,
  type Range,
  type RangeConfig,
  readRangeSets,
} from "../../src/ipam/range.ts";

const RUNS = { seed: 32, numRuns: 500 };
// ip-num takes some milliseconds to enumerate a subnet.
const FEWER_RUNS = { ...RUNS, numRuns: 150 };

/** A subnet of at most 256 addresses, and where in it things stand. */
const configs = fc
  .record({
    isSix: fc.boolean(),
    network: fc.nat({ max: 0xffffff }),
    bits: fc.integer({ min: 2, max: 8 }),
    ends: fc.option(fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 }))),
    isOpen: fc.constantFrom("neither", "start", "end"),
    gateway: fc.option(fc.nat({ max: 255 })),
    // Offsets reach beyond both sides of the subnet: what is excluded may overlap it in any way.
    exclude: fc.array(
      fc.tuple(fc.integer({ min: -40, max: 300 }), fc.option(fc.integer({ min: 0, max: 9 }))),
      {
        maxLength: 5,
      },
    ),
  })
  .map(({ isSix, network, bits, ends, isOpen, gateway, exclude }) => {
    const size = 1n << BigInt(bits);
    const base = isSix
      ? (0xfd002000n << 96n) + BigInt(network) * size
      : (10n << 24n) + BigInt(network % 0xffff) * size;
    const width = isSix ? 128 : 32;
    const text = (value: bigint) => (isSix ? IPv6.fromBigInt(value) : IPv4.fromNumber(value)).toString();
    const inside = (offset: number) => text(base + (BigInt(offset) % size));
    const [start, end] = (ends ?? []).map((offset) => BigInt(offset) % size).sort((a, b) => (a < b ? -1 : 1));
    const config: RangeConfig = {
      subnet: `${text(base)}/${width - bits}`,
      ...(start !== undefined && isOpen !== "start" ? { rangeStart: text(base + start) } : {}),
      ...(end !== undefined && isOpen !== "end" ? { rangeEnd: text(base + end) } : {}),
      ...(gateway === null ? {} : { gateway: inside(gateway) }),
      exclude: exclude.map(([offset, bits]) => {
        const address = text(base + BigInt(offset));
        return bits === null ? address : `${address}/${width - bits}`;
      }),
    };
    return config;
  })
  .filter((config) => !isEmptyRange(config));

/** Bounds that leave nothing between them once network and broadcast address are cut off are a mistake of their own. */
function isEmptyRange({ subnet, rangeStart, rangeEnd }: RangeConfig): boolean {
  const cidr = cidrRange(subnet);
  const first = cidr.getFirst().getValue();
  const last = cidr.getLast().getValue();
  const isBroadcast = !subnet.includes(":") && rangeStart !== undefined && numberOf(rangeStart) === last;
  return isBroadcast || (rangeEnd !== undefined && numberOf(rangeEnd) === first);
}

function cidrRange(text: string): IPv4CidrRange | IPv6CidrRange {
  return text.includes(":") ? IPv6CidrRange.fromCidr(text) : IPv4CidrRange.fromCidr(text);
}

function numberOf(text: string): bigint {
  return (text.includes(":") ? IPv6.fromString(text) : IPv4.fromString(text)).getValue();
}

/** What may be leased, rule by rule. */
function expectedAddresses({ subnet, rangeStart, rangeEnd, gateway, exclude = [] }: RangeConfig): string[] {
  const isSix = subnet.includes(":");
  const cidr = cidrRange(subnet);
  const all = Array.from(cidr as Iterable<IPv4 | IPv6>, (address) => address.getValue());
  const network = cidr.getFirst().getValue();
  const spans = exclude.map((text) => cidrRange(text.includes("/") ? text : `${text}/${isSix ? 128 : 32}`));
  return all
    .filter((value) => value !== network)
    .filter((value) => isSix || value !== cidr.getLast().getValue())
    .filter((value) => value !== network + 1n)
    .filter((value) => gateway === undefined || value !== numberOf(gateway))
    .filter((value) => rangeStart === undefined || value >= numberOf(rangeStart))
    .filter((value) => rangeEnd === undefined || value <= numberOf(rangeEnd))
    .filter(
      (value) => !spans.some((s) => value >= s.getFirst().getValue() && value <= s.getLast().getValue()),
    )
    .map((value) => formatAddress({ family: isSix ? 6 : 4, value }));
}

function rangeOf(config: RangeConfig): Range {
  const { sets, mistakes } = readRangeSets([[config]], {}, "ranges");
  expect(mistakes).toEqual([]);
  return sets[0]?.[0] as Range;
}

test("nextLeasable() walks exactly the addresses that no rule strikes out, in order, and leasableCount() is their number", () => {
  fc.assert(
    fc.property(configs, (config) => {
      const range = rangeOf(config);
      const walked: string[] = [];
      for (let at = nextLeasable(range, 0n); at; at = nextLeasable(range, at.value + 1n)) {
        walked.push(formatAddress(at));
      }
      expect(walked).toEqual(expectedAddresses(config));
      expect(leasableCount([range])).toBe(BigInt(walked.length));
    }),
    FEWER_RUNS,
  );
});

test("isLeasable() says yes to exactly those addresses, among all in and around the subnet", () => {
  fc.assert(
    fc.property(configs, (config) => {
      const range = rangeOf(config);
      const first = cidrRange(config.subnet).getFirst().getValue();
      const around = Array.from({ length: 320 }, (_, at): Address => {
        return { family: range.family, value: first - 30n + BigInt(at) };
      });
      const leasable = around.filter((address) => isLeasable(range, address)).map(formatAddress);
      expect(leasable).toEqual(expectedAddresses(config));
    }),
    FEWER_RUNS,
  );
});

test("the same number in the other family is never leasable", () => {
  fc.assert(
    fc.property(configs, (config) => {
      const range = rangeOf(config);
      const { value } = nextLeasable(range, 0n) ?? { value: range.first };
      expect(isLeasable(range, { family: range.family === 4 ? 6 : 4, value })).toBe(false);
    }),
    RUNS,
  );
});

test("two ranges are refused exactly when ip-num finds an address in both", () => {
  const bounded = fc.record({
    network: fc.nat({ max: 3 }),
    from: fc.integer({ min: 1, max: 14 }),
    size: fc.nat({ max: 14 }),
  });
  const ranges = fc.tuple(bounded, bounded).map((pair) =>
    pair.map(({ network, from, size }): RangeConfig => {
      const base = network * 16;
      return {
        subnet: `10.20.1.${base}/28`,
        rangeStart: `10.20.1.${base + from}`,
        rangeEnd: `10.20.1.${base + Math.min(from + size, 14)}`,
      };
    }),
  );
  fc.assert(
    fc.property(ranges, fc.boolean(), (pair, sameSet) => {
      const [a, b] = pair.map(({ rangeStart = "", rangeEnd = "" }) => [
        numberOf(rangeStart),
        numberOf(rangeEnd),
      ]);
      const shared = (a?.[0] ?? 0n) <= (b?.[1] ?? 0n) && (b?.[0] ?? 0n) <= (a?.[1] ?? 0n);
      const { mistakes } = readRangeSets(sameSet ? [pair] : pair.map((range) => [range]), {}, "ranges");
      expect(mistakes.length > 0).toBe(shared);
    }),
    RUNS,
  );
});

test("no text makes readRangeSets() throw: it reads a range or names a mistake", () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "10.20.1.0/24",
      "fd00::/120",
      "10.20.1.5",
      "fd00::5",
      "::",
      "usePodCidr",
      "__proto__",
      "constructor",
    ),
  );
  const config = fc.record(
    {
      subnet: text,
      rangeStart: text,
      rangeEnd: text,
      gateway: text,
      exclude: fc.array(text, { maxLength: 3 }),
    },
    { requiredKeys: ["subnet"] },
  );
  fc.assert(
    fc.property(fc.array(fc.array(config, { maxLength: 3 }), { maxLength: 3 }), (sets) => {
      const { sets: read, mistakes } = readRangeSets(sets, {}, "ranges");
      const isComplete = read.flat().length === sets.flat().length;
      expect(isComplete || mistakes.length > 0).toBe(true);
      for (const { key, expected } of mistakes) {
        expect(key).toMatch(/^ranges\[\d\]\[\d\]/);
        expect(expected).not.toBe("");
      }
    }),
    RUNS,
  );
});

test("podCidrFamily() knows its two words in any case, and no other text", () => {
  const cased = (word: string) =>
    fc.mixedCase(fc.constant(word), { toggleCase: (letter) => letter.toUpperCase() });
  fc.assert(
    fc.property(cased("usepodcidr"), (word) => {
      expect(podCidrFamily(word)).toBe(4);
    }),
    RUNS,
  );
  fc.assert(
    fc.property(cased("usepodcidripv6"), (word) => {
      expect(podCidrFamily(word)).toBe(6);
    }),
    RUNS,
  );
  const others = fc.oneof(
    fc.string(),
    fc.constantFrom("constructor", "__proto__", "usePodCidr ", "usePodCidrIPv4"),
  );
  fc.assert(
    fc.property(others, (word) => {
      fc.pre(!/^usepodcidr(ipv6)?$/i.test(word));
      expect(podCidrFamily(word)).toBeUndefined();
    }),
    RUNS,
  );
});
