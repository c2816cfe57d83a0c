// ip netns list-id: the numbers by which one namespace knows another. Source: include/uapi/linux/net_namespace.h.
import { readAttributes, viewOf, withAttributes } from "../netlink/attribute.ts";
import type { Message, Request } from "../netlink/message.ts";

const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const NETNSA_NSID_NOT_ASSIGNED = -1;
/** `struct rtgenmsg` is one byte, the family; NLMSG_ALIGN makes it four. */
const RTGENMSG_BYTES = 4;

/** By which number the socket's namespace knows the one behind `netns`, if by any: for `decodeNamespaceId`. */
export function getNamespaceId(netns: { fd: number; path: string }): Request {
  return {
    command: `ip netns list-id # ${netns.path}`,
    type: RTM_GETNSID,
    flags: 0,
    body: withAttributes(new Uint8Array(RTGENMSG_BYTES), (attributes) => attributes.u32(NETNSA_FD, netns.fd)),
  };
}

/** `undefined` where the socket's namespace has no link that leads into the other. */
export function decodeNamespaceId({ body }: Message): number | undefined {
  const payload = readAttributes(body.subarray(RTGENMSG_BYTES)).get(NETNSA_NSID);
  const id = payload ? viewOf(payload).getInt32(0, true) : NETNSA_NSID_NOT_ASSIGNED;
  return id === NETNSA_NSID_NOT_ASSIGNED ? undefined : id;
}
