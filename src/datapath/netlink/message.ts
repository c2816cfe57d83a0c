// Netlink messages: the header every one begins with, and several in one datagram.
// Source: include/uapi/linux/netlink.h (struct nlmsghdr, struct nlmsgerr, enum nlmsgerr_attrs).
import { align, readAttributes, readString, viewOf } from "./attribute.ts";

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
// Modifiers of a NEW request.
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const NLMSG_HDRLEN = 16;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** What is asked of the kernel. It is a value: nothing has happened yet. */
export interface Request {
  /** As a person would type it: errors and `plan` show this. */
  readonly command: string;
  readonly type: number;
  /** Beside NLM_F_REQUEST and NLM_F_ACK, which sending adds. */
  readonly flags: number;
  /** The family's fixed header and the attributes. */
  readonly body: Uint8Array;
}

/** What the kernel answered. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** A view into the buffer it was received in. */
  readonly body: Uint8Array;
}

/** Outcome of one request, from its NLMSG_ERROR (code 0 is success) or the NLMSG_DONE of a dump. */
export interface Acknowledgement {
  /** Positive; 0 is success. */
  readonly errno: number;
  /** The kernel's own words (extended ACK), where it had any. */
  readonly text: string | undefined;
}

export function encodeMessage(request: Request, sequence: number): Uint8Array {
  const length = NLMSG_HDRLEN + request.body.length;
  const bytes = new Uint8Array(align(length));
  const view = viewOf(bytes);
  view.setUint32(0, length, true);
  view.setUint16(4, request.type, true);
  view.setUint16(6, request.flags | NLM_F_REQUEST | NLM_F_ACK, true);
  view.setUint32(8, sequence, true);
  // Port 0: the kernel fills in the socket's own.
  bytes.set(request.body, NLMSG_HDRLEN);
  return bytes;
}

/** Splits a datagram. Throws a RangeError when a length lies. */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at;
    const length = left >= NLMSG_HDRLEN ? view.getUint32(at, true) : 0;
    if (length < NLMSG_HDRLEN || length > left) {
      throw new RangeError(`Cannot read message at byte ${at}: length ${length}, ${left} bytes left`);
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: bytes.subarray(at + NLMSG_HDRLEN, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Reads NLMSG_ERROR (`int error; struct nlmsghdr msg; …`) and NLMSG_DONE (`int error; …`). */
export function readAcknowledgement({ type, flags, body }: Message): Acknowledgement {
  const errno = Math.abs(viewOf(body).getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, text: undefined };
  const attributes = readAttributes(body.subarray(type === NLMSG_DONE ? 4 : 4 + echoedLength(flags, body)));
  return { errno, text: readString(attributes.get(NLMSGERR_ATTR_MSG)) };
}

/** An error echoes the request: all of it, or (NLM_F_CAPPED) its header alone. */
function echoedLength(flags: number, body: Uint8Array): number {
  return (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : align(viewOf(body).getUint32(4, true));
}
