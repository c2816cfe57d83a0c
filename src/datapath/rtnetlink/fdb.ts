// bridge fdb: where a tunnel sends what is addressed to a MAC. Source: include/uapi/linux/neighbour.h.
import { type Address, addressFromBytes } from "../../address.ts";
import { readAttributes, viewOf } from "../netlink/attribute.ts";
import type { Message, Request } from "../netlink/message.ts";
import { formatMac } from "./link.ts";

const RTM_GETNEIGH = 30;
const AF_BRIDGE = 7;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDMSG_BYTES = 12;

export interface ForwardingEntry {
  /** Of the interface it belongs to. */
  readonly index: number;
  readonly mac: string;
  /** The tunnel's other end; absent for what is on the link itself. */
  readonly dst: Address | undefined;
}

/** For `NetlinkSocket.dump`: all entries of the namespace. */
export function listForwarding(): Request {
  const body = new Uint8Array(NDMSG_BYTES);
  viewOf(body).setUint8(0, AF_BRIDGE);
  return { command: "bridge fdb show", type: RTM_GETNEIGH, flags: 0, body };
}

export function decodeForwarding({ body }: Message): ForwardingEntry {
  const attributes = readAttributes(body.subarray(NDMSG_BYTES));
  const dst = attributes.get(NDA_DST);
  return {
    index: viewOf(body).getInt32(4, true),
    mac: formatMac(attributes.get(NDA_LLADDR) ?? new Uint8Array(0)),
    dst: dst && addressFromBytes(dst),
  };
}
