// ip address. Source: include/uapi/linux/if_addr.h.
import { addressBytes, addressFromBytes, type Family, formatPrefix, type Prefix } from "../../address.ts";
import { readAttributes, readU32, viewOf, withAttributes } from "../netlink/attribute.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";
import { familyNumber, ipCommand } from "./family.ts";
import type { Device } from "./link.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_TENTATIVE = 0x40;
const IFADDRMSG_BYTES = 8;

export interface InterfaceAddress {
  readonly prefix: Prefix;
  /** Of the interface that holds it. */
  readonly index: number;
  /** Still in duplicate-address detection: the kernel will not use it yet. */
  readonly tentative: boolean;
  /** 0 global, 253 link, 254 host (include/uapi/linux/rtnetlink.h, enum rt_scope_t). */
  readonly scope: number;
}

/** Gives an interface an address; IPv6 without duplicate-address detection, so it is usable at once. */
export function addAddress(prefix: Prefix, dev: Device): Request {
  const { family } = prefix.address;
  const nodad = family === 6 ? IFA_F_NODAD : 0;
  const bytes = addressBytes(prefix.address);
  return {
    command: `ip address add ${formatPrefix(prefix)} dev ${dev.name}${nodad ? " nodad" : ""}`,
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: withAttributes(ifaddrmsg(family, prefix.length, nodad, dev.index), (attributes) => {
      attributes.bytes(IFA_LOCAL, bytes);
      attributes.bytes(IFA_ADDRESS, bytes);
    }),
  };
}

/** EADDRNOTAVAIL when there is none such. With an interface's last IPv4 address all its IPv4 routes go. */
export function deleteAddress(prefix: Prefix, dev: Device): Request {
  const { family } = prefix.address;
  return {
    command: `ip address delete ${formatPrefix(prefix)} dev ${dev.name}`,
    type: RTM_DELADDR,
    flags: 0,
    body: withAttributes(ifaddrmsg(family, prefix.length, 0, dev.index), (attributes) => {
      const bytes = addressBytes(prefix.address);
      attributes.bytes(IFA_LOCAL, bytes);
      attributes.bytes(IFA_ADDRESS, bytes);
    }),
  };
}

/** For `NetlinkSocket.dump`: the family's addresses on all interfaces of the namespace, or on one (kernel 5.0). */
export function listAddresses(family: Family, index = 0): Request {
  return {
    command: `${ipCommand(family)} address show${index === 0 ? "" : ` # index ${index}`}`,
    type: RTM_GETADDR,
    flags: 0,
    body: ifaddrmsg(family, 0, 0, index),
  };
}

export function decodeAddress({ body }: Message): InterfaceAddress {
  const view = viewOf(body);
  const attributes = readAttributes(body.subarray(IFADDRMSG_BYTES));
  // On a point-to-point link IFA_ADDRESS is the other side; IFA_LOCAL, where present, is always ours.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? new Uint8Array(0);
  const flags = readU32(attributes.get(IFA_FLAGS)) ?? view.getUint8(2);
  return {
    prefix: { address: addressFromBytes(bytes), length: view.getUint8(1) },
    index: view.getUint32(4, true),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    scope: view.getUint8(3),
  };
}

/** `struct ifaddrmsg`: family, prefix length, flags, scope (all u8), index (u32). */
function ifaddrmsg(family: Family, length: number, flags: number, index: number): Uint8Array {
  const bytes = Uint8Array.of(familyNumber(family), length, flags, 0, 0, 0, 0, 0);
  viewOf(bytes).setUint32(4, index, true);
  return bytes;
}
