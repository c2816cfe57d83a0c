import { expect, test } from "vitest";
import { type Address, parseAddress } from "../../../src/address.ts";
import {
  decodeNeighbour,
  getNeighbour,
  replaceNeighbour,
} from "../../../src/datapath/rtnetlink/neighbour.ts";
import {
  anatomy,
  bytesOf,
  capturedReply,
  capturedRequest,
  repliedMessages,
  sent,
} from "../../helpers/iproute2.ts";

const NDMSG = 12;
const CALI = { name: "cali0123456789a", index: 3 };
const MAC = "02:11:22:33:44:55";
const address = (text: string) => parseAddress(text) as Address;

test.each([
  ["neighbour replace", "10.20.1.2"],
  ["neighbour replace v6", "fd00:20:1::2"],
])("replaceNeighbour() is %j byte for byte", (name, text) => {
  const { command, message } = capturedRequest(name);
  const ours = replaceNeighbour(address(text), MAC, CALI);
  expect(sent(ours)).toBe(message);
  // ip(8) knows the family by the address; "-6" need not be typed.
  expect(ours.command).toBe(command.replace("ip -6", "ip"));
});

test("getNeighbour() asks as iproute2 does, and for an acknowledgement", () => {
  const { command, message } = capturedRequest("neighbour get");
  const theirs = anatomy(message, NDMSG);
  const ours = getNeighbour(address("10.20.1.2"), CALI);
  expect(anatomy(sent(ours), NDMSG)).toEqual({ ...theirs, flags: theirs.flags | 4 });
  expect(ours.command).toBe(command);
});

test("decodeNeighbour() reads what `ip -json` reads", () => {
  const pinned = repliedMessages("neighbour dump")
    .map(decodeNeighbour)
    .filter(({ permanent }) => permanent);
  const seen = capturedReply("neighbour dump").json ?? [];
  expect(pinned).toMatchObject(seen.map(({ lladdr }) => ({ mac: lladdr, permanent: true })));
  expect(pinned).toHaveLength(2);
});

test("decodeNeighbour() reads what ip prints of one", () => {
  const [one] = repliedMessages("neighbour get").map(decodeNeighbour);
  expect(`10.20.1.2 dev cali0123456789a lladdr ${one?.mac} ${one?.permanent ? "PERMANENT" : ""}`).toBe(
    capturedReply("neighbour get").text,
  );
});

const message = (hex: string) => ({ type: 28, flags: 0, sequence: 0, body: bytesOf(hex) });

test("decodeNeighbour() bears an unresolved one: no MAC, not permanent", () => {
  expect(decodeNeighbour(message("020000000300000001000001" + "080001000a140102"))).toMatchObject({
    mac: "",
    permanent: false,
  });
});

test.each([
  ["a header cut off", "0200000003000000"],
  ["an attribute that lies about its length", "020000000300000080000001" + "ff000200021122334455"],
])("decodeNeighbour() throws a RangeError for %s", (_, hex) => {
  expect(() => decodeNeighbour(message(hex))).toThrow(RangeError);
});
