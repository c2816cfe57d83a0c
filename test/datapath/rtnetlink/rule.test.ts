import { expect, test } from "vitest";
import { formatPrefix } from "../../../src/address.ts";
import { decodeRule } from "../../../src/datapath/rtnetlink/rule.ts";
import { bytesOf } from "../../helpers/iproute2.ts";

const ANY = {
  iif: undefined,
  oif: undefined,
  mark: { value: 0, mask: 0 },
  tos: 0,
  isInverted: false,
  isVague: false,
  goto: undefined,
  suppressed: -1,
};

/** `struct fib_rule_hdr` and attributes as kernel 6.18 told them of what `ip rule add` was given. */
test.each([
  [
    "from all lookup local",
    "02000000ff00000100000000" + "08000f00ff00000008000e00ffffffff0500150002000000",
    { ...ANY, priority: 0, action: 1, table: 255 },
  ],
  [
    "from all fwmark 0x80000/0xff0000 unreachable",
    "020000000000000700000000" +
      "08000f000000000008000e00ffffffff0500150000000000080006008214000008000a0000000800080010000000ff00",
    { ...ANY, priority: 5250, action: 7, table: 0, mark: { value: 0x80000, mask: 0xff0000 } },
  ],
  [
    "not from all fwmark 51820 lookup 51820",
    "02000000fc00000102000000" +
      "08000f006cca000008000e00ffffffff0500150000000000080006006400000008000a006cca000008001000ffffffff",
    {
      ...ANY,
      priority: 100,
      action: 1,
      table: 51820,
      isInverted: true,
      mark: { value: 51820, mask: 0xffffffff },
    },
  ],
  [
    "from all lookup main suppress_prefixlength 0",
    "02000000fe00000100000000" + "08000f00fe00000008000e000000000005001500000000000800060063000000",
    { ...ANY, priority: 99, action: 1, table: 254, suppressed: 0 },
  ],
  [
    "from all iif lo oif eth0 blackhole",
    "020000000000000610000000" +
      "08000f000000000008000e00ffffffff0500150000000000070003006c6f00000900110065746830000000000800060061000000",
    { ...ANY, priority: 97, action: 6, table: 0, iif: "lo", oif: "eth0" },
  ],
  [
    "from all goto 32766",
    "020000000000000200000000" +
      "08000f000000000008000e00ffffffff0500150000000000080006006000000008000400fe7f0000",
    { ...ANY, priority: 96, action: 2, table: 0, goto: 32766 },
  ],
  [
    "from all ipproto tcp dport 80 prohibit",
    "020000000000000800000000" +
      "08000f000000000008000e00ffffffff05001500000000000800060062000000080018005000500006001d00ffff00000500160006000000",
    { ...ANY, priority: 98, action: 8, table: 0, isVague: true },
  ],
  [
    "from all uidrange 5-6 lookup 7",
    "020000000700000100000000" +
      "08000f000700000008000e00ffffffff0500150000000000080006005f0000000c0014000500000006000000",
    { ...ANY, priority: 95, action: 1, table: 7, isVague: true },
  ],
  [
    "from all lookup [l3mdev-table]",
    "020000000000000100000000" +
      "08000f000000000008000e00ffffffff0500150000000000080006005e0000000500130001000000",
    { ...ANY, priority: 94, action: 1, table: 0, isVague: true },
  ],
])("decodeRule() reads %j", (_, hex, told) => {
  const { from, to, ...rule } = decodeRule({ type: 32, flags: 0, sequence: 0, body: bytesOf(hex) });
  expect([from, to].map(formatPrefix)).toEqual(["0.0.0.0/0", "0.0.0.0/0"]);
  expect(rule).toEqual(told);
});
