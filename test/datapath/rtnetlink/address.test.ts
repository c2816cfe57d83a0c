import { expect, test } from "vitest";
import { formatAddress, type Prefix, parsePrefix } from "../../../src/address.ts";
import {
  addAddress,
  decodeAddress,
  deleteAddress,
  listAddresses,
} from "../../../src/datapath/rtnetlink/address.ts";
import { bytesOf, capturedReply, capturedRequest, repliedMessages, sent } from "../../helpers/iproute2.ts";

const ETH0 = { name: "eth0", index: 2 };
const prefix = (text: string) => parsePrefix(text) as Prefix;

test.each([
  ["address add v4", "10.20.1.2/32"],
  ["address add v6", "fd00:20:1::2/128"],
])("addAddress() is %j byte for byte and word for word", (name, text) => {
  const { command, message } = capturedRequest(name);
  expect(sent(addAddress(prefix(text), ETH0))).toBe(message);
  expect(addAddress(prefix(text), ETH0).command).toBe(command);
});

test.each([
  ["address delete v4", "10.20.1.2/32"],
  ["address delete v6", "fd00:20:1::2/128"],
])("deleteAddress() is %j byte for byte and word for word", (name, text) => {
  const { command, message } = capturedRequest(name);
  expect(sent(deleteAddress(prefix(text), ETH0))).toBe(message);
  expect(deleteAddress(prefix(text), ETH0).command).toBe(command);
});

test("listAddresses() is iproute2's dump of one family; NetlinkSocket.dump adds its flag", () => {
  const theirs = capturedRequest("address dump").message;
  const dump = (family: 4 | 6) => sent({ ...listAddresses(family), flags: 0x300 });
  // Asked for are all families there (0), with NLM_F_ACK here.
  expect(dump(4)).toBe(theirs.replace("16000103", "16000503").replace(/^(.{32})00/, "$102"));
  expect(dump(6)).toBe(theirs.replace("16000103", "16000503").replace(/^(.{32})00/, "$10a"));
  expect(listAddresses(4).command).toBe("ip address show");
  expect(listAddresses(6).command).toBe("ip -6 address show");
});

type IpAddresses = {
  ifindex: number;
  addr_info: { local: string; prefixlen: number; scope: string; tentative?: boolean }[];
};
const SCOPES: Record<string, number> = { global: 0, link: 253, host: 254 };

test("decodeAddress() reads what `ip -json` reads", () => {
  const seen = (capturedReply("address dump").json as unknown as IpAddresses[]).flatMap(
    ({ ifindex, addr_info }) =>
      addr_info.map(({ local, prefixlen, scope, tentative = false }) => ({
        local: `${local}/${prefixlen}`,
        index: ifindex,
        tentative,
        scope: SCOPES[scope],
      })),
  );
  // ip sorts by interface; the kernel tells family by family. NEWADDR alone are addresses: ip asks for links first.
  const ours = repliedMessages("address dump")
    .filter(({ type }) => type === 20)
    .map(decodeAddress)
    .map(({ prefix: { address, length }, ...rest }) => ({
      local: `${formatAddress(address)}/${length}`,
      ...rest,
    }));
  const byPlace = (a: { index: number; local: string }, b: { index: number; local: string }) =>
    a.index - b.index || a.local.localeCompare(b.local);
  expect(ours.sort(byPlace)).toEqual(seen.sort(byPlace));
  expect(ours).toHaveLength(5);
});

const message = (hex: string) => ({ type: 20, flags: 0, sequence: 0, body: bytesOf(hex) });

test("on a point-to-point link the local address counts, not the other side's", () => {
  const told = decodeAddress(message("0220000002000000" + "080001000a630001" + "080002000a140102"));
  expect(formatAddress(told.prefix.address)).toBe("10.20.1.2");
});

test("IPv6 has IFA_ADDRESS alone; 32-bit flags win over the header's eight", () => {
  const six = "14000100fd000020000100000000000000000002";
  expect(decodeAddress(message(`0a80400002000000${six}`)).tentative).toBe(true);
  expect(decodeAddress(message(`0a80000002000000${six}0800080040000000`)).tentative).toBe(true);
  expect(decodeAddress(message(`0a80400002000000${six}0800080002000000`)).tentative).toBe(false);
});

test.each([
  ["no address", "0220000002000000"],
  ["a header cut off", "02200000"],
  ["five bytes of address", "0220000002000000" + "090002000a14010203000000"],
  ["an attribute that lies about its length", "0220000002000000" + "ff0002000a140102"],
])("decodeAddress() throws a RangeError for %s", (_, hex) => {
  expect(() => decodeAddress(message(hex))).toThrow(RangeError);
});
