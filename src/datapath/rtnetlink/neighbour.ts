// ip neighbour: which MAC an address has. Source: include/uapi/linux/neighbour.h.
import { type Address, addressBytes, type Family, formatAddress } from "../../address.ts";
import { readAttributes, viewOf, withAttributes } from "../netlink/attribute.ts";
import { type Message, NLM_F_CREATE, NLM_F_REPLACE, type Request } from "../netlink/message.ts";
import { familyNumber } from "./family.ts";
import { type Device, formatMac, macBytes } from "./link.ts";

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;
const NDMSG_BYTES = 12;

export interface Neighbour {
  /** Lower case; empty while unresolved. */
  readonly mac: string;
  readonly permanent: boolean;
  /** The kernel's own word, as ip(8) prints it: "REACHABLE", "STALE", "INCOMPLETE", "FAILED", … */
  readonly state: string;
}

/** NUD_*, which are bits of which one is set. */
const STATES: ReadonlyMap<number, string> = new Map([
  [0x01, "INCOMPLETE"],
  [0x02, "REACHABLE"],
  [0x04, "STALE"],
  [0x08, "DELAY"],
  [0x10, "PROBE"],
  [0x20, "FAILED"],
  [0x40, "NOARP"],
  [NUD_PERMANENT, "PERMANENT"],
]);

/** Pins an address to a MAC: nobody need ask, and nobody is believed. Replaces what was there. */
export function replaceNeighbour(address: Address, mac: string, dev: Device): Request {
  return {
    command: `ip neigh replace ${formatAddress(address)} lladdr ${mac} dev ${dev.name} nud permanent`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: withAttributes(ndmsg(address.family, dev.index, NUD_PERMANENT), (attributes) => {
      attributes.bytes(NDA_DST, addressBytes(address));
      attributes.bytes(NDA_LLADDR, macBytes(mac));
    }),
  };
}

/** ENOENT when there is none (kernel 5.0). */
export function getNeighbour(address: Address, dev: Device): Request {
  return {
    command: `ip neigh get ${formatAddress(address)} dev ${dev.name}`,
    type: RTM_GETNEIGH,
    flags: 0,
    body: withAttributes(ndmsg(address.family, dev.index, 0), (attributes) => {
      attributes.bytes(NDA_DST, addressBytes(address));
    }),
  };
}

export function decodeNeighbour({ body }: Message): Neighbour {
  const attributes = readAttributes(body.subarray(NDMSG_BYTES));
  const state = viewOf(body).getUint16(8, true);
  return {
    mac: formatMac(attributes.get(NDA_LLADDR) ?? new Uint8Array(0)),
    permanent: (state & NUD_PERMANENT) !== 0,
    state: STATES.get(state) ?? "NONE",
  };
}

/** `struct ndmsg`: family (u8), pad, pad (u16), index (s32), state (u16), flags (u8), type (u8). */
function ndmsg(family: Family, index: number, state: number): Uint8Array {
  const bytes = new Uint8Array(NDMSG_BYTES);
  const view = viewOf(bytes);
  view.setUint8(0, familyNumber(family));
  view.setInt32(4, index, true);
  view.setUint16(8, state, true);
  return bytes;
}
