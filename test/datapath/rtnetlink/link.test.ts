import { expect, test } from "vitest";
import {
  addVeth,
  type Device,
  decodeLink,
  deleteLink,
  formatMac,
  getLink,
  getLinkByIndex,
  listLinks,
  macBytes,
  setLink,
  setLinkUp,
} from "../../../src/datapath/rtnetlink/link.ts";
import {
  anatomy,
  bytesOf,
  capturedReply,
  capturedRequest,
  repliedMessages,
  type Shape,
  sent,
} from "../../helpers/iproute2.ts";

const IFINFOMSG = 16;
const IFLA_IFALIAS = 20;
const IFLA_EXT_MASK = 29;
/** IFLA_LINKINFO holds IFLA_INFO_DATA, which holds VETH_INFO_PEER: an ifinfomsg and attributes. */
const VETH: Shape = { 18: { shape: { 2: { shape: { 1: { header: IFINFOMSG } } } } } };

const HOST_END = { name: "cali0123456789a", mac: "ee:ee:ee:ee:ee:ee", mtu: 1450 };
const CALI: Device = { name: "cali0123456789a", index: 3 };

function request(name: string) {
  const { command, message, netnsFd = -1 } = capturedRequest(name);
  return { command, message, netnsFd };
}

// iproute2 writes IFLA_ADDRESS, IFLA_MTU, IFLA_IFNAME; ours begins with the name, as the kernel's own dumps do.
test("addVeth() has exactly iproute2's attributes, the peer's inside; only their order is ours", () => {
  const { command, message, netnsFd } = request("link add veth, one MTU for both ends");
  const netns = { fd: netnsFd, path: "pod" };
  const peer = { name: "eth1", mac: "02:11:22:33:44:66", mtu: 1450, netns };
  const ours = addVeth({ ...HOST_END, name: "cali1" }, peer);
  expect(anatomy(sent(ours), IFINFOMSG, VETH)).toEqual(anatomy(message, IFINFOMSG, VETH));
  expect(sent(ours)).toHaveLength(message.length);
  // Typed was one MTU for the peer too, so the commands agree word for word.
  expect(ours.command).toBe(command);
});

test("addVeth() gives the peer an MTU of its own, which iproute2 leaves at 1500 unless told", () => {
  const { message, netnsFd } = request("link add veth");
  const peer = { name: "eth0", mac: "02:11:22:33:44:55", mtu: 1400, netns: { fd: netnsFd, path: "pod" } };
  const ours = anatomy(sent(addVeth(HOST_END, peer)), IFINFOMSG, VETH);
  const theirs = anatomy(message, IFINFOMSG, VETH);
  expect(ours).not.toEqual(theirs);
  const told = JSON.stringify(theirs).replace('"28":', '"4":"78050000","28":');
  expect(ours).toEqual(JSON.parse(told));
});

test("setLinkUp() is iproute2's `ip link set … up`, byte for byte", () => {
  const { command, message } = request("link set up");
  expect(sent(setLinkUp(CALI))).toBe(message);
  expect(setLinkUp(CALI).command).toBe(command);
});

test.each([
  ["link set address", { mac: "ee:ee:ee:ee:ee:ee" }],
  ["link set mtu", { mtu: 1450 }],
])("setLink() is iproute2's `ip %s`, byte for byte", (name, change) => {
  const { command, message } = request(name);
  expect(sent(setLink(CALI, change))).toBe(message);
  expect(setLink(CALI, change).command).toBe(command);
});

test("setLinkUp() with an alias is iproute2's two messages in one", () => {
  const up = anatomy(request("link set up").message, IFINFOMSG);
  const alias = anatomy(request("link set alias").message, IFINFOMSG);
  const ours = setLinkUp(CALI, { alias: "slash32:default/web-1:0123" });
  expect(anatomy(sent(ours), IFINFOMSG)).toEqual({ ...up, attributes: alias.attributes });
});

test("an alias goes without NUL, as iproute2 sends it, so that the kernel's 255 bytes are all to be had", () => {
  const alias = "x".repeat(255);
  const { attributes } = anatomy(sent(setLinkUp(CALI, { alias })), IFINFOMSG);
  expect(attributes[IFLA_IFALIAS]).toBe("78".repeat(255));
});

test("deleteLink() names the interface where iproute2 looks up its number first", () => {
  const { command, message } = request("link delete");
  const theirs = anatomy(message, IFINFOMSG);
  expect(theirs).toMatchObject({ header: "00000000030000000000000000000000", attributes: {} });
  expect(anatomy(sent(deleteLink(CALI.name)), IFINFOMSG)).toEqual({
    ...theirs,
    header: "00".repeat(IFINFOMSG),
    attributes: { 3: Buffer.from("cali0123456789a\0").toString("hex") },
  });
  expect(deleteLink(CALI.name).command).toBe(command);
});

test("getLink() asks like iproute2, but for an acknowledgement, for no counters and without AF_PACKET", () => {
  const { command, message } = request("link show by name");
  const theirs = anatomy(message, IFINFOMSG);
  expect(theirs.attributes[IFLA_EXT_MASK]).toBe("01000000"); // RTEXT_FILTER_VF
  expect(theirs.header).toBe(`11${"00".repeat(15)}`);
  expect(anatomy(sent(getLink(CALI.name)), IFINFOMSG)).toEqual({
    ...theirs,
    flags: theirs.flags | 4,
    header: "00".repeat(IFINFOMSG),
    attributes: { ...theirs.attributes, [IFLA_EXT_MASK]: "08000000" }, // RTEXT_FILTER_SKIP_STATS
  });
  expect(getLink(CALI.name).command).toBe(command);
});

test("getLinkByIndex() has the number in its header; listLinks() has not even that", () => {
  const mask = `${"0800" + "1d00"}08000000`;
  expect(sent(getLinkByIndex(3))).toBe(
    `${"28000000" + "1200" + "0500"}${"00".repeat(8)}${"00000000" + "03000000"}${"00".repeat(8)}${mask}`,
  );
  expect(sent(listLinks())).toBe(`${"28000000" + "1200" + "0500"}${"00".repeat(8 + IFINFOMSG)}${mask}`);
});

type IpLink = {
  ifindex: number;
  link_index: number;
  ifname: string;
  flags: string[];
  mtu: number;
  address: string;
  ifalias?: string;
  linkinfo: { info_kind: string };
};

test.each(["link show by name", "link show in the sandbox"])(
  "decodeLink() reads in %j what `ip -json` reads",
  (name) => {
    const [link] = repliedMessages(name).map(decodeLink);
    const [seen] = capturedReply(name).json as unknown as IpLink[];
    expect(link).toMatchObject({
      index: seen?.ifindex,
      name: seen?.ifname,
      up: seen?.flags.includes("UP"),
      mac: seen?.address,
      mtu: seen?.mtu,
      kind: seen?.linkinfo.info_kind,
      peerIndex: seen?.link_index,
      alias: seen?.ifalias,
    });
  },
);

test("the host end's alias is in the fixture, and the sandbox end has none", () => {
  const aliases = ["link show by name", "link show in the sandbox"].map(
    (name) => repliedMessages(name).map(decodeLink)[0]?.alias,
  );
  expect(aliases).toEqual(["slash32:default/web-1:0123", undefined]);
});

const message = (hex: string) => ({ type: 16, flags: 0, sequence: 0, body: bytesOf(hex) });

test("decodeLink() bears a link with nothing but its header: down, nameless, without MAC", () => {
  expect(decodeLink(message(`${"00".repeat(4)}07000000${"00".repeat(8)}`))).toMatchObject({
    index: 7,
    up: false,
    name: "",
    mac: "",
    mtu: 0,
    kind: undefined,
    alias: undefined,
  });
});

test.each([
  ["a header cut off", "00".repeat(8)],
  ["an attribute that lies about its length", `${"00".repeat(16)}ff000300`],
  ["a short number", `${"00".repeat(16)}0600040000000000`],
  ["a nest that lies", `${"00".repeat(16)}08001200ff000100`],
])("decodeLink() throws a RangeError for %s", (_, hex) => {
  expect(() => decodeLink(message(hex))).toThrow(RangeError);
});

test("a MAC survives bytes and text", () => {
  expect(macBytes("02:11:22:33:44:ff")).toEqual(Uint8Array.of(2, 0x11, 0x22, 0x33, 0x44, 0xff));
  expect(formatMac(Uint8Array.of(0, 1, 0xab, 0xcd, 0xef, 0xff))).toBe("00:01:ab:cd:ef:ff");
});
