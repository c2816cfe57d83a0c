// The probe's packet, and its recognition on the wire. Pure: bytes in, words out.

import {
  type Address,
  addressBytes,
  addressFromBytes,
  formatAddress,
  sameAddress,
} from "../../../address.ts";
import { concat } from "../../../bytes.ts";
import { viewOf } from "../../../datapath/netlink/attribute.ts";
import type { Way } from "../fact.ts";
import type { Flow, Protocol } from "../flow.ts";

/** By what the probe is told from other packets: in ICMP its identifier, else its port; in TCP the number it begins with. */
export interface Mark {
  readonly id: number;
  readonly sequence: number;
}

export type Kind = "request" | "reply" | "error" | "arp";

export interface Recognised {
  readonly kind: Kind;
  /** On whose behalf it is sent: the first packet's, or its answer's. */
  readonly way: Way;
  /** "echo request", "SYN-ACK", "who has 169.254.1.1?". */
  readonly words: string;
}

/** What the probe and its answer are called. */
export const WORDS: Readonly<Record<Protocol, Readonly<Record<"request" | "reply", string>>>> = {
  icmp: { request: "echo request", reply: "echo reply" },
  tcp: { request: "SYN", reply: "SYN-ACK" },
  udp: { request: "UDP datagram", reply: "UDP answer" },
};

const NUMBERS: Readonly<Record<4 | 6, Readonly<Record<Protocol, number>>>> = {
  4: { icmp: 1, tcp: 6, udp: 17 },
  6: { icmp: 58, tcp: 6, udp: 17 },
};
const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
const SYN = 0x02;
const RST = 0x04;
const PAYLOAD = new TextEncoder().encode("slash32 trace --probe");
const IPV6_HEADER_BYTES = 40;
const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;

/** IPPROTO_*. */
export function protocolNumber({ protocol, from }: Flow): number {
  return NUMBERS[from.family][protocol];
}

/** What follows the IP header, which the kernel writes. */
export function probeBytes(flow: Flow, mark: Mark): Uint8Array {
  const bytes = { icmp: echo, tcp: syn, udp: datagram }[flow.protocol](flow, mark);
  const at = { icmp: 2, tcp: 16, udp: 6 }[flow.protocol];
  // ICMP of IPv4 alone has no part of the IP header in its sum.
  const pseudo =
    protocolNumber(flow) === NUMBERS[4].icmp ? new Uint8Array(0) : pseudoHeader(flow, bytes.length);
  viewOf(bytes).setUint16(at, checksum(concat([pseudo, bytes])));
  return bytes;
}

/** What a captured packet has to do with the probe; `undefined` for all others. `ethertype` is ETH_P_*. */
export function recognise(
  packet: Uint8Array,
  ethertype: number,
  flow: Flow,
  mark: Mark,
): Recognised | undefined {
  try {
    if (ethertype === ETH_P_ARP) return recogniseArp(packet, flow);
    const ip = ethertype === ETH_P_IP || ethertype === ETH_P_IPV6 ? readIp(packet) : undefined;
    if (ip === undefined || ip.from.family !== flow.from.family) return undefined;
    const { request, reply } = ECHO[ip.from.family];
    if (ip.protocol === NUMBERS[ip.from.family].icmp) {
      const type = ip.payload[0];
      if (type !== request && type !== reply) return recogniseError(ip, flow, mark);
      if (flow.protocol !== "icmp" || viewOf(ip.payload).getUint16(4) !== mark.id) return undefined;
      return type === request ? requestOf(flow) : replyTo(flow);
    }
    return ip.protocol === protocolNumber(flow) ? recognisePorts(ip.payload, flow, mark) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined; // cut short: none of ours
    throw error;
  }
}

interface Ip {
  readonly from: Address;
  readonly to: Address;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** RFC 791 and RFC 8200; extension headers are none of the probe's. */
function readIp(packet: Uint8Array): Ip {
  const view = viewOf(packet);
  if (view.getUint8(0) >> 4 === 4) {
    const length = (view.getUint8(0) & 0x0f) * 4;
    const [from, to] = [packet.subarray(12, 16), packet.subarray(16, 20)].map(addressFromBytes) as [
      Address,
      Address,
    ];
    return { from, to, protocol: view.getUint8(9), payload: packet.subarray(length) };
  }
  const [from, to] = [packet.subarray(8, 24), packet.subarray(24, 40)].map(addressFromBytes) as [
    Address,
    Address,
  ];
  return { from, to, protocol: view.getUint8(6), payload: packet.subarray(IPV6_HEADER_BYTES) };
}

function recognisePorts(payload: Uint8Array, flow: Flow, mark: Mark): Recognised | undefined {
  const view = viewOf(payload);
  const [source, target] = [view.getUint16(0), view.getUint16(2)];
  if (flow.protocol === "udp") {
    if (source === mark.id && target === flow.port) return requestOf(flow);
    return source === flow.port && target === mark.id ? replyTo(flow) : undefined;
  }
  const flags = view.getUint8(13);
  // Masquerading may change the probe's port, never its sequence number.
  if (target === flow.port && flags === SYN && view.getUint32(4) === mark.sequence) return requestOf(flow);
  if (source !== flow.port || view.getUint32(8) !== mark.sequence + 1) return undefined;
  return (flags & RST) === 0 ? replyTo(flow) : { ...replyTo(flow), words: "RST" };
}

function requestOf({ protocol }: Flow): Recognised {
  return { kind: "request", way: "there", words: WORDS[protocol].request };
}

function replyTo({ protocol }: Flow): Recognised {
  return { kind: "reply", way: "back", words: WORDS[protocol].reply };
}

const ERRORS: Readonly<Record<4 | 6, Readonly<Record<string, string>>>> = {
  4: {
    "3/0": "network unreachable",
    "3/1": "host unreachable",
    "3/2": "protocol unreachable",
    "3/3": "port unreachable",
    "3/4": "fragmentation needed",
    "3/9": "network prohibited",
    "3/10": "host prohibited",
    "3/13": "prohibited by a filter",
    "11/0": "time exceeded",
  },
  6: {
    "1/0": "no route",
    "1/1": "prohibited",
    "1/3": "address unreachable",
    "1/4": "port unreachable",
    "2/0": "packet too big",
    "3/0": "hop limit exceeded",
  },
};

/** RFC 792 and RFC 4443: an error carries the beginning of the packet it is about. */
function recogniseError({ from, payload }: Ip, flow: Flow, mark: Mark): Recognised | undefined {
  const [type, code] = payload;
  const words = ERRORS[from.family][`${type}/${code}`];
  if (words === undefined) return undefined;
  const inner = readIp(payload.subarray(8));
  if (!sameAddress(inner.to, flow.to) || inner.protocol !== protocolNumber(flow)) return undefined;
  const at = flow.protocol === "icmp" ? 4 : 0;
  if (viewOf(inner.payload).getUint16(at) !== mark.id) return undefined;
  return { kind: "error", way: "back", words: `"${words}" from ${formatAddress(from)}` };
}

/** RFC 826, for IPv4 over Ethernet: only questions by those who take part, or for them. */
function recogniseArp(packet: Uint8Array, { from, to }: Flow): Recognised | undefined {
  const [sender, target] = [packet.subarray(14, 18), packet.subarray(24, 28)].map(addressFromBytes) as [
    Address,
    Address,
  ];
  const isQuestion = viewOf(packet).getUint16(6) === 1;
  const [asker, asked] = isQuestion ? [sender, target] : [target, sender];
  const isThere = sameAddress(asker, from) || sameAddress(asked, to);
  if (!isThere && !sameAddress(asker, to) && !sameAddress(asked, from)) return undefined;
  const mac = Array.from(packet.subarray(8, 14), (byte) => byte.toString(16).padStart(2, "0")).join(":");
  const words = isQuestion ? `who has ${formatAddress(asked)}?` : `${formatAddress(asked)} is at ${mac}`;
  return { kind: "arp", way: isThere ? "there" : "back", words };
}

function echo({ from }: Flow, { id }: Mark): Uint8Array {
  const bytes = new Uint8Array(8 + PAYLOAD.length);
  const view = viewOf(bytes);
  view.setUint8(0, ECHO[from.family].request);
  view.setUint16(4, id);
  view.setUint16(6, 1);
  bytes.set(PAYLOAD, 8);
  return bytes;
}

/** RFC 9293: no options, so that the answer is as plain. */
function syn({ port = 0 }: Flow, { id, sequence }: Mark): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = viewOf(bytes);
  view.setUint16(0, id);
  view.setUint16(2, port);
  view.setUint32(4, sequence);
  view.setUint8(12, 5 << 4); // length in 32-bit words
  view.setUint8(13, SYN);
  view.setUint16(14, 64240);
  return bytes;
}

function datagram({ port = 0 }: Flow, { id }: Mark): Uint8Array {
  const bytes = new Uint8Array(8 + PAYLOAD.length);
  const view = viewOf(bytes);
  view.setUint16(0, id);
  view.setUint16(2, port);
  view.setUint16(4, bytes.length);
  bytes.set(PAYLOAD, 8);
  return bytes;
}

/** What the sum of TCP, UDP and ICMPv6 covers of the IP header: one form, as all that differs is zeroes. */
function pseudoHeader(flow: Flow, length: number): Uint8Array {
  return concat([
    addressBytes(flow.from),
    addressBytes(flow.to),
    Uint8Array.of(0, protocolNumber(flow), length >> 8, length & 0xff),
  ]);
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const [at, byte] of bytes.entries()) sum += at % 2 === 0 ? byte << 8 : byte;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
