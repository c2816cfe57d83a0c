// Oracles: node:net and WHATWG URL for text, ip-num for numbers. None of them shares a line with src/address.ts.
import { isIP } from "node:net";
import fc from "fast-check";
import { IPv4, IPv4CidrRange, IPv6, IPv6CidrRange } from "ip-num";
import { expect, test } from "vitest";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  bounds,
  contains,
  everywhere,
  type Family,
  formatAddress,
  formatPrefix,
  hostPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
  sameAddress,
  samePrefix,
  width,
} from "../src/address.ts";

const RUNS = { seed: 32, numRuns: 500 };

const family = fc.constantFrom<Family>(4, 6);
/** Zero groups are frequent, as the compression of IPv6 is about them. */
const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const six = fc.array(group, { minLength: 8, maxLength: 8 }).map((groups): Address => {
  return { family: 6, value: groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n) };
});
const four = fc.bigInt({ min: 0n, max: 0xffff_ffffn }).map((value): Address => ({ family: 4, value }));
const address = fc.oneof(four, six);
const prefix = address.chain((address) =>
  fc.integer({ min: 0, max: width(address.family) }).map((length): Prefix => ({ address, length })),
);

/** Every text of the RFC 4291 grammar: groups of one to four digits in any case, at most one "::", a dotted tail. */
const sixText = fc
  .record({
    groups: fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }),
    from: fc.integer({ min: 0, max: 8 }),
    length: fc.integer({ min: 0, max: 8 }),
    dotted: fc.boolean(),
    upper: fc.boolean(),
    digits: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ groups, from, length, dotted, upper, digits }) => {
    const to = Math.min(from + length, 8);
    const words = groups.map((group) => {
      const hex = group.toString(16).padStart(digits, "0");
      return upper ? hex.toUpperCase() : hex;
    });
    const isDotted = dotted && to <= 6;
    if (isDotted) {
      const [high, low] = groups.slice(6) as [number, number];
      words.splice(6, 2, `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`);
    }
    if (to === from) return words.join(":");
    return `${words.slice(0, from).join(":")}::${words.slice(to).join(":")}`;
  });

/** What a person might mistype: characters of addresses, in any order. */
const nearly = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF.:/%xg -+"), maxLength: 24 });
const octets = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }).map(String), nearly), { maxLength: 5 });
const notQuite = fc.oneof(
  nearly,
  fc.string(),
  octets.map((parts) => parts.join(".")),
  fc.array(fc.constantFrom("", "0", "1", "ffff", "12345", "g", "1.2.3.4"), { maxLength: 10 }).map((parts) => {
    return parts.join(":");
  }),
);

test("parseAddress() reads the number that ip-num reads, from IPv4 text", () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      expect(parseAddress(text)).toEqual({ family: 4, value: IPv4.fromString(text).getValue() });
    }),
    RUNS,
  );
});

test("parseAddress() reads the number that ip-num reads, from every RFC 4291 form of IPv6 text", () => {
  fc.assert(
    fc.property(sixText, (text) => {
      expect(isIP(text), text).toBe(6);
      expect(parseAddress(text)).toEqual({ family: 6, value: IPv6.fromString(text).getValue() });
    }),
    RUNS,
  );
});

test("parseAddress() accepts exactly what node:net accepts, less the zones", () => {
  fc.assert(
    fc.property(fc.oneof(notQuite, sixText, fc.ipV4()), (text) => {
      const known = text.includes("%") ? 0 : isIP(text);
      expect(parseAddress(text)?.family ?? 0, text).toBe(known);
    }),
    { ...RUNS, numRuns: 3000 },
  );
});

test.each([
  "",
  " ",
  "10.20.1",
  "10.20.1.2.3",
  "10.20.1.256",
  "10.20.1.02",
  "010.20.1.2",
  "0x0a.20.1.2",
  "10.20.1.2 ",
  " 10.20.1.2",
  "10.20.1.2\n",
  "10.20.1.-2",
  "10.20.1.",
  "10.20.1.2/32",
  "169090600",
  "١.٢.٣.٤",
  ":",
  ":::",
  "::1::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "::1:2:3:4:5:6:7:8",
  "1::2:3:4:5:6:7:8",
  ":1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:",
  "12345::",
  "fe80::1%eth0",
  "[::1]",
  "::1.2.3",
  "::1.2.3.256",
  "1.2.3.4::",
  "::1.2.3.4:5",
  "1:2:3:4:5:6:7:1.2.3.4",
  "localhost",
  "usePodCidr",
])("parseAddress(%j) is undefined", (text) => {
  expect(parseAddress(text)).toBeUndefined();
});

// RFC 5952, sections 4 and 5; the dotted form of section 5 is read, and never written.
test.each([
  ["2001:0db8::0001", "2001:db8::1"],
  ["2001:db8::0:1", "2001:db8::1"],
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:AAAA", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa"],
  ["2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["0:0:1:2:3:4:0:0", "::1:2:3:4:0:0"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["fe80:0:0:0:ecee:eeff:feee:eeee", "fe80::ecee:eeff:feee:eeee"],
])("%s is written %s, as RFC 5952 wants it", (text, canonical) => {
  expect(formatAddress(parseAddress(text) as Address)).toBe(canonical);
});

test("formatAddress() writes IPv6 as the WHATWG URL serialiser does", () => {
  fc.assert(
    fc.property(six, (address) => {
      const groups = address.value.toString(16).padStart(32, "0").match(/.{4}/g) as string[];
      const { hostname } = new URL(`http://[${groups.join(":")}]/`);
      expect(`[${formatAddress(address)}]`).toBe(hostname);
    }),
    RUNS,
  );
});

test("formatAddress() writes IPv4 as ip-num does", () => {
  fc.assert(
    fc.property(four, (address) => {
      expect(formatAddress(address)).toBe(IPv4.fromNumber(address.value).toString());
    }),
    RUNS,
  );
});

test("an address survives text and bytes, and the bytes are in network order", () => {
  fc.assert(
    fc.property(address, (address) => {
      expect(parseAddress(formatAddress(address))).toEqual(address);
      const bytes = addressBytes(address);
      expect(BigInt(`0x${Buffer.from(bytes).toString("hex")}`)).toBe(address.value);
      expect(bytes.length).toBe(address.family === 4 ? 4 : 16);
      expect(addressFromBytes(bytes)).toEqual(address);
    }),
    RUNS,
  );
});

test.each([0, 3, 5, 15, 17])("addressFromBytes() throws a RangeError for %i bytes", (length) => {
  expect(() => addressFromBytes(new Uint8Array(length))).toThrow(RangeError);
});

test("a prefix survives text, host bits included", () => {
  fc.assert(
    fc.property(prefix, (prefix) => {
      expect(formatPrefix(prefix)).toBe(`${formatAddress(prefix.address)}/${prefix.length}`);
      expect(parsePrefix(formatPrefix(prefix))).toEqual(prefix);
    }),
    RUNS,
  );
});

test.each([
  "",
  "/",
  "/24",
  "10.20.1.0",
  "10.20.1.0/",
  "10.20.1.0/33",
  "10.20.1.0/024",
  "10.20.1.0/00",
  "10.20.1.0/-1",
  "10.20.1.0/+8",
  "10.20.1.0/ 8",
  "10.20.1.0/8 ",
  "10.20.1.0/8\n",
  "10.20.1.0/8/8",
  "10.20.1.0/255.255.255.0",
  "10.20.1.0/1e1",
  "10.20.1/24",
  "fd00::/129",
  "fd00::/1000",
  "fd00::%lo/64",
  "default",
])("parsePrefix(%j) is undefined", (text) => {
  expect(parsePrefix(text)).toBeUndefined();
});

test("parsePrefix() accepts exactly an address that node:net accepts and a length of its family in plain digits", () => {
  const lengths = fc.oneof(fc.integer({ min: -5, max: 200 }).map(String), nearly);
  const texts = fc.tuple(fc.oneof(notQuite, sixText, fc.ipV4()), lengths).map((parts) => parts.join("/"));
  fc.assert(
    fc.property(fc.oneof(notQuite, texts), (text) => {
      const [address = "", length = "", ...rest] = text.split("/");
      const known = address.includes("%") ? 0 : isIP(address);
      const isLength = String(Number.parseInt(length, 10)) === length && Number(length) >= 0;
      const isPrefix =
        known > 0 && isLength && Number(length) <= (known === 4 ? 32 : 128) && rest.length === 0;
      expect(parsePrefix(text) !== undefined, text).toBe(isPrefix);
    }),
    { ...RUNS, numRuns: 3000 },
  );
});

test("bounds() are the first and last address that ip-num finds in the prefix", () => {
  fc.assert(
    fc.property(prefix, (prefix) => {
      const text = formatPrefix(prefix);
      const range = prefix.address.family === 4 ? IPv4CidrRange.fromCidr(text) : IPv6CidrRange.fromCidr(text);
      expect(bounds(prefix)).toEqual({
        first: range.getFirst().getValue(),
        last: range.getLast().getValue(),
      });
    }),
    RUNS,
  );
});

test("contains() agrees with the bits: the first `length` of both are the same", () => {
  const bits = ({ family, value }: Address) => value.toString(2).padStart(width(family), "0");
  const near = prefix.chain((prefix) => {
    const flip = fc.integer({ min: 0, max: width(prefix.address.family) - 1 });
    const neighbour = flip.map((bit): Address => {
      return { ...prefix.address, value: prefix.address.value ^ (1n << BigInt(bit)) };
    });
    return fc.tuple(fc.constant(prefix), fc.oneof(neighbour, address));
  });
  fc.assert(
    fc.property(near, ([prefix, address]) => {
      const sameFamily = prefix.address.family === address.family;
      const sameStart = bits(address).startsWith(bits(prefix.address).slice(0, prefix.length));
      expect(contains(prefix, address)).toBe(sameFamily && sameStart);
    }),
    RUNS,
  );
});

test("an IPv4 address never lies in an IPv6 prefix, nor the other way round", () => {
  expect(contains(everywhere(6), { family: 4, value: 1n })).toBe(false);
  expect(contains(everywhere(4), { family: 6, value: 1n })).toBe(false);
  expect(sameAddress({ family: 4, value: 1n }, { family: 6, value: 1n })).toBe(false);
});

test("hostPrefix() holds its address and neither neighbour; everywhere() holds all of the family", () => {
  fc.assert(
    fc.property(family, fc.bigInt({ min: 1n, max: 0xffff_fffen }), (family, value) => {
      const own = hostPrefix({ family, value });
      expect(contains(own, { family, value })).toBe(true);
      expect(contains(own, { family, value: value + 1n })).toBe(false);
      expect(contains(own, { family, value: value - 1n })).toBe(false);
      expect(contains(everywhere(family), { family, value })).toBe(true);
      expect(formatPrefix(own)).toBe(`${formatAddress({ family, value })}/${family === 4 ? 32 : 128}`);
    }),
    RUNS,
  );
});

test("samePrefix() tells apart what differs in length or in host bits", () => {
  const of = (text: string) => parsePrefix(text) as Prefix;
  expect(samePrefix(of("10.20.1.0/24"), of("10.20.1.0/24"))).toBe(true);
  expect(samePrefix(of("10.20.1.0/24"), of("10.20.1.0/25"))).toBe(false);
  expect(samePrefix(of("10.20.1.0/24"), of("10.20.1.1/24"))).toBe(false);
});
