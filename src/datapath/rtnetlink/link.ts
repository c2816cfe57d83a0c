// ip link: the interfaces, and the veth pair above all. Source: include/uapi/linux/if_link.h, rtnetlink.h, veth.h.
import { word } from "../../shell.ts";
import { readAttributes, readString, readU32, viewOf, withAttributes } from "../netlink/attribute.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_LINK_NETNSID = 37;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const RTEXT_FILTER_SKIP_STATS = 1 << 3;
const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;

/** An interface as others refer to it: the kernel by number, people by name. */
export interface Device {
  readonly name: string;
  readonly index: number;
}

export interface Link extends Device {
  readonly up: boolean;
  /** Whether a frame would leave: false as long as the cable's other end is down, or unplugged. */
  readonly carrier: boolean;
  /** Lower case, colons. */
  readonly mac: string;
  readonly mtu: number;
  /** "veth", …; absent for hardware and loopback. */
  readonly kind: string | undefined;
  /** For a veth the index of its peer, in the peer's namespace. */
  readonly peerIndex: number | undefined;
  /** By which number this namespace knows the peer's (find-namespace.ts); absent when the peer is in the same. */
  readonly peerNamespace: number | undefined;
  readonly alias: string | undefined;
}

export interface VethEnd {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
}

/**
 * Makes both ends of a cable in one message, the peer in the namespace behind `netns`. A MAC given here is
 * NET_ADDR_SET to the kernel, which udev's MACAddressPolicy leaves alone. EEXIST when either name is taken.
 */
export function addVeth(link: VethEnd, peer: VethEnd & { netns: { fd: number; path: string } }): Request {
  const words = ({ name, mac, mtu }: VethEnd) => `${name} address ${mac} mtu ${mtu}`;
  return {
    command: `ip link add ${words(link)} type veth peer name ${words(peer)} netns ${peer.netns.path}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: withAttributes(ifinfomsg({}), (attributes) => {
      attributes.string(IFLA_IFNAME, link.name);
      attributes.bytes(IFLA_ADDRESS, macBytes(link.mac));
      attributes.u32(IFLA_MTU, link.mtu);
      attributes.nested(IFLA_LINKINFO, (info) => {
        info.bytes(IFLA_INFO_KIND, new TextEncoder().encode("veth"));
        info.nested(IFLA_INFO_DATA, (veth) => {
          const fill = (end: typeof veth) => {
            end.string(IFLA_IFNAME, peer.name);
            end.bytes(IFLA_ADDRESS, macBytes(peer.mac));
            end.u32(IFLA_MTU, peer.mtu);
            end.u32(IFLA_NET_NS_FD, peer.netns.fd);
          };
          veth.nested(VETH_INFO_PEER, fill, ifinfomsg({}));
        });
      });
    }),
  };
}

/** Brings an interface up and, if given, names its purpose (`ip link show` prints the alias). */
export function setLinkUp(dev: Device, { alias }: { alias?: string } = {}): Request {
  return {
    command: `ip link set ${dev.name} up${alias === undefined ? "" : ` alias ${word(alias)}`}`,
    type: RTM_NEWLINK,
    flags: 0,
    body: withAttributes(ifinfomsg({ index: dev.index, up: true }), (attributes) => {
      // Without its NUL, which the kernel would count towards the 255 bytes there is room for.
      if (alias !== undefined) attributes.bytes(IFLA_IFALIAS, new TextEncoder().encode(alias));
    }),
  };
}

/** Gives an interface that is there another MAC, or another MTU. A change of MAC costs it its neighbours. */
export function setLink(dev: Device, { mac, mtu }: { mac?: string; mtu?: number }): Request {
  const words = [
    ...(mac === undefined ? [] : [`address ${mac}`]),
    ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
  ];
  return {
    command: `ip link set ${dev.name} ${words.join(" ")}`,
    type: RTM_NEWLINK,
    flags: 0,
    body: withAttributes(ifinfomsg({ index: dev.index }), (attributes) => {
      if (mac !== undefined) attributes.bytes(IFLA_ADDRESS, macBytes(mac));
      if (mtu !== undefined) attributes.u32(IFLA_MTU, mtu);
    }),
  };
}

/** Of a veth both ends go, and with them their addresses, routes and neighbours. ENODEV when there is none. */
export function deleteLink(name: string): Request {
  return {
    command: `ip link delete ${name}`,
    type: RTM_DELLINK,
    flags: 0,
    body: withAttributes(ifinfomsg({}), (attributes) => attributes.string(IFLA_IFNAME, name)),
  };
}

/** Like `deleteLink`, whatever it is called by now. */
export function deleteLinkByIndex(index: number): Request {
  return {
    command: `ip link delete # index ${index}`,
    type: RTM_DELLINK,
    flags: 0,
    body: ifinfomsg({ index }),
  };
}

/** ENODEV when there is none. The answer is for `decodeLink`. */
export function getLink(name: string): Request {
  return {
    command: `ip link show dev ${name}`,
    type: RTM_GETLINK,
    flags: 0,
    body: withoutCounters(ifinfomsg({}), (attributes) => attributes.string(IFLA_IFNAME, name)),
  };
}

/** Like `getLink`, for one whose number is known. */
export function getLinkByIndex(index: number): Request {
  return {
    command: `ip link show # index ${index}`,
    type: RTM_GETLINK,
    flags: 0,
    body: withoutCounters(ifinfomsg({ index })),
  };
}

/** For `NetlinkSocket.dump`. */
export function listLinks(): Request {
  return { command: "ip link show", type: RTM_GETLINK, flags: 0, body: withoutCounters(ifinfomsg({})) };
}

/** A question about links whose answer is half as long: nobody here counts packets. */
function withoutCounters(
  header: Uint8Array,
  fill: Parameters<typeof withAttributes>[1] = () => {},
): Uint8Array {
  return withAttributes(header, (attributes) => {
    fill(attributes);
    attributes.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  });
}

export function decodeLink({ body }: Message): Link {
  const view = viewOf(body);
  const attributes = readAttributes(body.subarray(IFINFOMSG_BYTES));
  const linkInfo = attributes.get(IFLA_LINKINFO);
  const kind = linkInfo && readAttributes(linkInfo).get(IFLA_INFO_KIND);
  return {
    index: view.getInt32(4, true),
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    carrier: (view.getUint32(8, true) & IFF_LOWER_UP) !== 0,
    name: readString(attributes.get(IFLA_IFNAME)) ?? "",
    mac: formatMac(attributes.get(IFLA_ADDRESS) ?? new Uint8Array(0)),
    mtu: readU32(attributes.get(IFLA_MTU)) ?? 0,
    kind: readString(kind),
    peerIndex: readU32(attributes.get(IFLA_LINK)),
    peerNamespace: readU32(attributes.get(IFLA_LINK_NETNSID)),
    alias: readString(attributes.get(IFLA_IFALIAS)),
  };
}

/** Six bytes from "ee:ee:ee:ee:ee:ee"; the caller has checked the form. */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.fromHex(mac.replaceAll(":", ""));
}

export function formatMac(bytes: Uint8Array): string {
  const digits = bytes.toHex();
  let mac = digits.slice(0, 2);
  for (let at = 2; at < digits.length; at += 2) mac += `:${digits.slice(at, at + 2)}`;
  return mac;
}

const IFINFOMSG_BYTES = 16;

/** `struct ifinfomsg`: family, pad, type (u16), index (s32), flags, change. */
function ifinfomsg({ index = 0, up = false }: { index?: number; up?: boolean }): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_BYTES);
  const view = viewOf(bytes);
  view.setInt32(4, index, true);
  view.setUint32(8, up ? IFF_UP : 0, true);
  view.setUint32(12, up ? IFF_UP : 0, true);
  return bytes;
}
