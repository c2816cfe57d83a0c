/** What iproute2 sent and what the kernel answered, as test/fixtures/iproute2 keeps it, and a reading of the bytes. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  decodeMessages,
  encodeMessage,
  type Message,
  type Request,
} from "../../src/datapath/netlink/message.ts";

export type CapturedRequest = {
  readonly name: string;
  readonly command: string;
  readonly ifindex: Readonly<Record<string, number>>;
  readonly netnsFd?: number;
  readonly message: string;
};

export type CapturedReply = {
  readonly name: string;
  readonly command: string;
  readonly ifindex: Readonly<Record<string, number>>;
  readonly messages: string;
  /** What `ip -json` made of it. */
  readonly json?: readonly Readonly<Record<string, unknown>>[];
  /** What ip printed that does not know -json here. */
  readonly text?: string;
  readonly stderr?: string;
};

const requests: readonly CapturedRequest[] = read("requests.json");
const replies: readonly CapturedReply[] = read("replies.json");

/** A captured request by its name; a name that is not there is an error. */
export function capturedRequest(name: string): CapturedRequest {
  return named(requests, name);
}

export function capturedReply(name: string): CapturedReply {
  return named(replies, name);
}

/** The messages of a captured reply, without the NLMSG_DONE of a dump. */
export function repliedMessages(name: string): Message[] {
  return decodeMessages(bytesOf(capturedReply(name).messages)).filter(({ type }) => type !== 3);
}

/** A request as it would be sent, with the sequence number of the captures: 0. */
export function sent(request: Request): string {
  return hexOf(encodeMessage(request, 0));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** Which attributes hold attributes, after a fixed part of so many bytes. */
export type Shape = { readonly [type: number]: { readonly header?: number; readonly shape?: Shape } };
type Tree = { [type: string]: string | Tree };

/** A message taken apart for comparison whatever the order of its attributes. Not by the code under test. */
export function anatomy(message: string, headerBytes: number, shape: Shape = {}) {
  const bytes = Buffer.from(message, "hex");
  return {
    type: bytes.readUInt16LE(4),
    flags: bytes.readUInt16LE(6),
    header: bytes.subarray(16, 16 + headerBytes).toString("hex"),
    attributes: tree(bytes.subarray(16 + headerBytes), shape),
  };
}

function tree(bytes: Buffer, shape: Shape): Tree {
  const result: Tree = {};
  for (let at = 0; at < bytes.length; at += Math.ceil(bytes.readUInt16LE(at) / 4) * 4) {
    const type = bytes.readUInt16LE(at + 2) & 0x3fff;
    const payload = bytes.subarray(at + 4, at + bytes.readUInt16LE(at));
    const nested = shape[type];
    const { header = 0, shape: inner = {} } = nested ?? {};
    const children = () => ({
      ...(header > 0 ? { header: payload.subarray(0, header).toString("hex") } : {}),
      ...tree(payload.subarray(header), inner),
    });
    result[type] = nested ? children() : payload.toString("hex");
  }
  return result;
}

function named<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  const found = list.find((item) => item.name === name);
  if (found === undefined) throw new Error(`Cannot find "${name}" among the captures of iproute2`);
  return found;
}

function read(file: string) {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/iproute2", file), "utf8"));
}
