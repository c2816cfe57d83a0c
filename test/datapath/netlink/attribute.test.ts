import { expect, test } from "vitest";
import { concat } from "../../../src/bytes.ts";
import {
  AttributeWriter,
  align,
  readAttributes,
  readString,
  readU32,
  withAttributes,
} from "../../../src/datapath/netlink/attribute.ts";
import { bytesOf, hexOf } from "../../helpers/iproute2.ts";

function written(fill: (attributes: AttributeWriter) => void): string {
  const writer = new AttributeWriter();
  fill(writer);
  return hexOf(writer.concat());
}

const entries = (hex: string) =>
  [...readAttributes(bytesOf(hex))].map(([type, payload]) => [type, hexOf(payload)]);

test.each([
  [0, 0],
  [1, 4],
  [4, 4],
  [5, 8],
  [17, 20],
])("align(%i) is %i, as NLA_ALIGN has it", (length, aligned) => {
  expect(align(length)).toBe(aligned);
});

// Length (u16) and type (u16) in host order, the payload, zeroes up to a multiple of four that the length leaves out.
test.each<[string, (attributes: AttributeWriter) => void, string]>([
  ["a u8", (a) => a.u8(7, 0xab), "05000700ab000000"],
  ["a u32", (a) => a.u32(4, 0x12345678), "0800040078563412"],
  ["the largest u32", (a) => a.u32(4, 0xffffffff), "08000400ffffffff"],
  ["a string, with its NUL", (a) => a.string(3, "eth0"), "090003006574683000000000"],
  ["a string that fills its padding", (a) => a.string(3, "lo1"), "080003006c6f3100"],
  ["a string in UTF-8", (a) => a.string(3, "é"), "07000300c3a90000"],
  ["an empty string", (a) => a.string(3, ""), "0500030000000000"],
  ["bytes", (a) => a.bytes(1, Uint8Array.of(1, 2, 3, 4, 5, 6)), "0a0001000102030405060000"],
  ["no bytes", (a) => a.bytes(1, new Uint8Array(0)), "04000100"],
  [
    "several, in the order of the calls",
    (a) => [2, 1].forEach((type) => void a.u8(type, 3 - type)),
    "05000200010000000500010002000000",
  ],
  ["nothing", () => {}, ""],
  ["a nest", (a) => a.nested(18, (b) => b.u8(1, 9)), "0c0012000500010009000000"],
  ["an empty nest", (a) => a.nested(18, () => {}), "04001200"],
  [
    "a nest with a fixed part",
    (a) => a.nested(1, (b) => b.u8(2, 9), Uint8Array.of(1, 2, 3, 4)),
    "10000100010203040500020009000000",
  ],
  [
    "a nest in a nest",
    (a) => a.nested(1, (b) => b.nested(2, (c) => c.u32(3, 1))),
    "10000100" + "0c000200" + "0800030001000000",
  ],
])("%s is written byte for byte", (_, fill, hex) => {
  expect(written(fill)).toBe(hex);
});

test("withAttributes() puts them after the fixed header", () => {
  expect(hexOf(withAttributes(Uint8Array.of(9, 9, 9, 9), (a) => a.u8(1, 2)))).toBe(
    "090909090500010002000000",
  );
});

test("concat() joins in order", () => {
  expect(hexOf(concat([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]))).toBe("010203");
});

test.each<[string, string, [number, string][]]>([
  ["nothing", "", []],
  ["one", "0800040078563412", [[4, "78563412"]]],
  [
    "two with padding between",
    "05000100ff0000000600020001020000",
    [
      [1, "ff"],
      [2, "0102"],
    ],
  ],
  ["a last one without its padding", "05000100ff", [[1, "ff"]]],
  ["an empty one", "04000100", [[1, ""]]],
  [
    "types without the flags for nests and byte order",
    "0400018004000240",
    [
      [1, ""],
      [2, ""],
    ],
  ],
  ["the last of a repeated type", "05000100aa00000005000100bb000000", [[1, "bb"]]],
])("readAttributes() reads %s", (_, hex, expected) => {
  expect(entries(hex)).toEqual(expected);
});

test.each([
  ["is longer than what is left", "0900010001020304"],
  ["is longer than what is left, after a good one", "0500010001000000ffff0200"],
  ["is shorter than its own header", "0300010000000000"],
  ["is zero, which would be read for ever", "0000010000000000"],
  ["is cut off", "08000100040008"],
  ["is a lone byte", "08"],
])("readAttributes() throws a RangeError when a length %s", (_, hex) => {
  expect(() => readAttributes(bytesOf(hex))).toThrow(RangeError);
  expect(() => readAttributes(bytesOf(hex))).toThrow(
    /^Cannot read attribute at byte \d+: length \d+, \d+ bytes left$/,
  );
});

test("readAttributes() reads a view in the middle of a buffer, and nothing around it", () => {
  const whole = bytesOf("ffffffff0800040078563412ffffffff");
  expect([...readAttributes(whole.subarray(4, 12))].map(([type]) => type)).toEqual([4]);
});

test("what is written is read again", () => {
  const hex = written((a) => {
    a.string(3, "cali0123456789a");
    a.u32(4, 1450);
    a.nested(18, (b) => b.bytes(1, new TextEncoder().encode("veth")));
  });
  const attributes = readAttributes(bytesOf(hex));
  expect(readString(attributes.get(3))).toBe("cali0123456789a");
  expect(readU32(attributes.get(4))).toBe(1450);
  expect(readString(readAttributes(attributes.get(18) as Uint8Array).get(1))).toBe("veth");
});

test("readU32() and readString() pass absence on, and refuse or bear what is short", () => {
  expect(readU32(undefined)).toBeUndefined();
  expect(readString(undefined)).toBeUndefined();
  expect(() => readU32(Uint8Array.of(1, 2, 3))).toThrow(RangeError);
  expect(readString(bytesOf("6c6f"))).toBe("lo");
  expect(readString(bytesOf("6c6f00"))).toBe("lo");
  expect(readString(new Uint8Array(0))).toBe("");
});
