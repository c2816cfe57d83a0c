// What /proc does not tell of a listening socket. Source: include/uapi/linux/inet_diag.h, sock_diag(7).
import { readAttributes, viewOf } from "../../datapath/netlink/attribute.ts";
import { NetlinkError } from "../../datapath/netlink/error.ts";
import type { Request } from "../../datapath/netlink/message.ts";
import { NetlinkSocket } from "../../datapath/netlink/socket.ts";
import { familyNumber } from "../../datapath/rtnetlink/family.ts";

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const INET_DIAG_SKV6ONLY = 11;
const REQUEST_BYTES = 56;
const MESSAGE_BYTES = 72;
/** IPPROTO_*, and the state (include/net/tcp_states.h) of sockets that wait for somebody. */
const WAITING = { tcp: [6, 10], udp: [17, 7] } as const;

/**
 * Whether a socket at [::] and this port is for IPv4 as well, in the calling thread's namespace; undefined where the
 * kernel does not say so.
 */
export function takesIpv4(protocol: keyof typeof WAITING, port: number): boolean | undefined {
  try {
    using socket = NetlinkSocket.open(NETLINK_SOCK_DIAG);
    const answers = socket.dump(listWaiting(protocol)).flatMap(({ body }) => isV6Only(body, port));
    if (answers.includes(false)) return true;
    return answers.includes(undefined) ? undefined : false;
  } catch (error) {
    if (error instanceof NetlinkError) return undefined; // a kernel without sock_diag
    throw error;
  }
}

/** `struct inet_diag_req_v2`: family, protocol, ext, padding (all u8), states (u32), whom (48 bytes, none: all). */
function listWaiting(protocol: keyof typeof WAITING): Request {
  const [number, state] = WAITING[protocol];
  const body = new Uint8Array(REQUEST_BYTES);
  body.set([familyNumber(6), number]);
  viewOf(body).setUint32(4, 1 << state, true);
  return { command: `ss -6 --listening --${protocol}`, type: SOCK_DIAG_BY_FAMILY, flags: 0, body };
}

/** `struct inet_diag_msg`: four bytes, ports (big-endian), source, …; nothing of sockets that are bound elsewhere. */
function isV6Only(body: Uint8Array, port: number): [boolean | undefined] | [] {
  const isAsked = viewOf(body).getUint16(4) === port && body.subarray(8, 24).every((byte) => byte === 0);
  if (!isAsked) return [];
  const [only] = readAttributes(body.subarray(MESSAGE_BYTES)).get(INET_DIAG_SKV6ONLY) ?? [];
  return [only === undefined ? undefined : only !== 0];
}
