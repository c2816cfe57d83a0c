// ip route: adding routes, and asking the FIB what it would do. Source: include/uapi/linux/rtnetlink.h.
import {
  type Address,
  addressBytes,
  addressFromBytes,
  everywhere,
  type Family,
  formatAddress,
  formatPrefix,
  hostPrefix,
  type Prefix,
} from "../../address.ts";
import {
  type Attributes,
  align,
  readAttributes,
  readU32,
  viewOf,
  withAttributes,
} from "../netlink/attribute.ts";
import {
  type Message,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import { familyNumber, familyOf, ipCommand } from "./family.ts";
import type { Device } from "./link.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTM_F_FIB_MATCH = 0x2000;
const RTMSG_BYTES = 12;
const RTNEXTHOP_BYTES = 8;
const RTVIA_BYTES = 2;

export const RT_TABLE_MAIN = 254;
export const RTPROT_BOOT = 3;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;

/** RTN_* of those that lead nowhere, in the words of ip(8). */
const DISCARDING: ReadonlyMap<number, string> = new Map([
  [6, "blackhole"],
  [7, "unreachable"],
  [8, "prohibit"],
  [9, "throw"],
]);

/** A route as we make them: unicast, in the main table. */
export interface NewRoute {
  readonly dst: Prefix;
  readonly via?: Address;
  readonly dev: Device;
  readonly mtu?: number;
  readonly metric?: number;
  /** Who made it, as `ip route show proto N` filters; RTPROT_BOOT, ip(8)'s own, if absent. */
  readonly protocol?: number;
  /** Beside another route to the same place through another interface, instead of EEXIST (IPv4). */
  readonly append?: boolean;
  /** In the place of whatever has the same destination and metric, instead of EEXIST. Wins over `append`. */
  readonly replace?: boolean;
}

/** One of those among which a route's packets are divided. */
export interface NextHop {
  readonly via: Address | undefined;
  readonly oif: number;
}

/** A route as the kernel tells it. */
export interface Route {
  readonly dst: Prefix;
  /** That of an IPv4 route may be of IPv6 (`via inet6`). */
  readonly via: Address | undefined;
  /** Index of the interface it leaves by; absent for blackhole and its kind, and where there are several `hops`. */
  readonly oif: number | undefined;
  /** Where there are several: all. */
  readonly hops: readonly NextHop[];
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  /** RTN_*: unicast 1, local 2, …, blackhole 6, unreachable 7, prohibit 8. */
  readonly type: number;
  readonly metric: number | undefined;
  /** With which address of its own the host sends by it; absent where it forwards. */
  readonly source: Address | undefined;
  /** Of this route, where it is less than the interface's. */
  readonly mtu: number | undefined;
}

const HOW = { add: NLM_F_EXCL, append: NLM_F_APPEND, replace: NLM_F_REPLACE } as const;

/** EEXIST when the same destination and metric are routed already (with `append`: by the same interface). */
export function addRoute(route: NewRoute): Request {
  const { dst, via, dev, metric, mtu, protocol = RTPROT_BOOT } = route;
  const verb = route.replace ? "replace" : route.append ? "append" : "add";
  const { family } = dst.address;
  const header = {
    family,
    length: dst.length,
    protocol,
    // As ip(8): what needs no gateway is on the link. IPv6 has no such scope.
    scope: via === undefined && family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
  };
  return {
    command: [
      `${ipCommand(family)} route ${verb} ${dst.length === 0 ? "default" : formatPrefix(dst)}`,
      ...(via ? [`via ${formatAddress(via)}`] : []),
      `dev ${dev.name}`,
      ...(header.scope === RT_SCOPE_LINK ? ["scope link"] : []),
      ...(protocol === RTPROT_BOOT ? [] : [`proto ${protocol}`]),
      ...(metric === undefined ? [] : [`metric ${metric}`]),
      ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
    ].join(" "),
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | HOW[verb],
    body: withAttributes(rtmsg(header), (attributes) => {
      if (dst.length > 0) attributes.bytes(RTA_DST, addressBytes(dst.address));
      if (via) attributes.bytes(RTA_GATEWAY, addressBytes(via));
      attributes.u32(RTA_OIF, dev.index);
      if (metric !== undefined) attributes.u32(RTA_PRIORITY, metric);
      if (mtu !== undefined) attributes.nested(RTA_METRICS, (metrics) => metrics.u32(RTAX_MTU, mtu));
    }),
  };
}

/** ESRCH when there is none such: the destination, the interface and the protocol have to be as they are told. */
export function deleteRoute({ dst, dev, protocol }: { dst: Prefix; dev: Device; protocol: number }): Request {
  const { family } = dst.address;
  return {
    command: `${ipCommand(family)} route delete ${formatPrefix(dst)} dev ${dev.name} proto ${protocol}`,
    type: RTM_DELROUTE,
    flags: 0,
    // Any scope.
    body: withAttributes(
      rtmsg({ family, length: dst.length, protocol, scope: RT_SCOPE_NOWHERE }),
      (attributes) => {
        attributes.bytes(RTA_DST, addressBytes(dst.address));
        attributes.u32(RTA_OIF, dev.index);
      },
    ),
  };
}

/** Which entry of the FIB decides for this address (kernel 4.13). EHOSTUNREACH or ENETUNREACH when none does. */
export function matchRoute(address: Address): Request {
  return lookup(`route get fibmatch ${formatAddress(address)}`, { dst: address, flags: RTM_F_FIB_MATCH });
}

/** By what the namespace itself would send to this address; with `from`, a packet that has this source. */
export function lookupRoute(address: Address, from?: Address): Request {
  const command = `route get ${formatAddress(address)}`;
  if (from === undefined) return lookup(command, { dst: address });
  return lookup(`${command} from ${formatAddress(from)}`, { dst: address, src: from });
}

/**
 * What the host would do with a packet from `from` that comes in by `iif`: the kernel's own question before
 * proxy ARP answers (net/ipv4/arp.c, arp_process). EHOSTUNREACH: forwarding is off on `iif`.
 */
export function lookupForward(address: Address, from: Address, iif: Device): Request {
  const command = `route get ${formatAddress(address)} from ${formatAddress(from)} iif ${iif.name}`;
  return lookup(command, { dst: address, src: from, iif: iif.index });
}

/** The same question as a lookup's, answered with the entry of the FIB that decides it (kernel 4.13). */
export function matching({ command, body, ...request }: Request): Request {
  const asked = body.slice();
  const view = viewOf(asked);
  view.setUint32(8, view.getUint32(8, true) | RTM_F_FIB_MATCH, true);
  return { ...request, command: command.replace("route get", "route get fibmatch"), body: asked };
}

/** For `NetlinkSocket.dump`: all tables of the family. */
export function listRoutes(family: Family): Request {
  return {
    command: `${ipCommand(family)} route show table all`,
    type: RTM_GETROUTE,
    flags: 0,
    body: rtmsg({ family }),
  };
}

/** Likewise: the main table's unicast routes that `protocol` made. Kernels before 5.0 tell all: filter once more. */
export function listRoutesOf(family: Family, protocol: number): Request {
  return {
    command: `${ipCommand(family)} route show proto ${protocol}`,
    type: RTM_GETROUTE,
    flags: 0,
    body: rtmsg({ family, protocol }),
  };
}

export function decodeRoute({ body }: Message): Route {
  const view = viewOf(body);
  const attributes = readAttributes(body.subarray(RTMSG_BYTES));
  const family = familyOf(view.getUint8(0)) ?? 4;
  const dst = attributes.get(RTA_DST);
  const source = attributes.get(RTA_PREFSRC);
  const metrics = attributes.get(RTA_METRICS);
  return {
    dst: { address: dst ? addressFromBytes(dst) : everywhere(family).address, length: view.getUint8(1) },
    via: gateway(attributes),
    oif: readU32(attributes.get(RTA_OIF)),
    hops: [...nextHops(attributes.get(RTA_MULTIPATH) ?? new Uint8Array(0))],
    table: readU32(attributes.get(RTA_TABLE)) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    metric: readU32(attributes.get(RTA_PRIORITY)),
    source: source && addressFromBytes(source),
    mtu: metrics && readU32(readAttributes(metrics).get(RTAX_MTU)),
  };
}

/** `struct rtvia` is an address family (u16), then the address. */
function gateway(attributes: Attributes): Address | undefined {
  const bytes = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(RTVIA_BYTES);
  return bytes && addressFromBytes(bytes);
}

/** `struct rtnexthop`: length (u16), flags, weight (u8), interface (s32), then attributes; one after the other. */
function* nextHops(bytes: Uint8Array): Generator<NextHop> {
  const view = viewOf(bytes);
  for (let at = 0, length = 0; at < bytes.length; at += align(length)) {
    length = view.getUint16(at, true);
    if (length < RTNEXTHOP_BYTES) throw new RangeError(`Cannot read a next hop of ${length} bytes`);
    const attributes = readAttributes(bytes.subarray(at + RTNEXTHOP_BYTES, at + length));
    yield { via: gateway(attributes), oif: view.getInt32(at + 4, true) };
  }
}

/** A route's type in the words of ip(8). */
export function routeType(type: number): string {
  if (type === RTN_UNICAST) return "unicast";
  return DISCARDING.get(type) ?? (type === RTN_LOCAL ? "local" : `type ${type}`);
}

function lookup(
  words: string,
  { dst, src, iif, flags = 0 }: { dst: Address; src?: Address; iif?: number; flags?: number },
): Request {
  const length = hostPrefix(dst).length;
  return {
    command: `${ipCommand(dst.family)} ${words}`,
    type: RTM_GETROUTE,
    flags: 0,
    body: withAttributes(
      rtmsg({
        family: dst.family,
        length,
        sourceLength: src ? length : 0,
        table: 0,
        type: 0,
        // Without it IPv4 calls every table main (net/ipv4/route.c, inet_rtm_getroute).
        flags: dst.family === 4 ? flags | RTM_F_LOOKUP_TABLE : flags,
      }),
      (attributes) => {
        attributes.bytes(RTA_DST, addressBytes(dst));
        if (src) attributes.bytes(RTA_SRC, addressBytes(src));
        if (iif !== undefined) attributes.u32(RTA_IIF, iif);
      },
    ),
  };
}

interface Header {
  family: Family;
  length?: number;
  sourceLength?: number;
  table?: number;
  protocol?: number;
  scope?: number;
  type?: number;
  flags?: number;
}

/** `struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type (all u8), flags (u32). */
function rtmsg(header: Header): Uint8Array {
  const { family, length = 0, sourceLength = 0, protocol = 0, scope = 0 } = header;
  const { table = protocol === 0 ? 0 : RT_TABLE_MAIN, type = protocol === 0 ? 0 : RTN_UNICAST } = header;
  const eight = [familyNumber(family), length, sourceLength, 0, table, protocol, scope, type];
  const bytes = Uint8Array.of(...eight, 0, 0, 0, 0);
  viewOf(bytes).setUint32(8, header.flags ?? 0, true);
  return bytes;
}
