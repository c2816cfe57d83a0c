// Netlink attributes: type-length-value records, padded to four bytes, nested at will.
// Source: include/uapi/linux/netlink.h (struct nlattr). Integers are in host order: little-endian on all we run on.
import { concat } from "../../bytes.ts";

const NLA_HDRLEN = 4;
const NLA_TYPE_MASK = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `NLA_ALIGN(len)`: `(((len) + NLA_ALIGNTO - 1) & ~(NLA_ALIGNTO - 1))`, with NLA_ALIGNTO 4. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** Writes attributes in the order of the calls; nesting in code is nesting on the wire. */
export class AttributeWriter {
  readonly #chunks: Uint8Array[] = [];

  u8(type: number, value: number): void {
    this.bytes(type, Uint8Array.of(value));
  }

  u32(type: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.bytes(type, bytes);
  }

  /** NUL-terminated, as the kernel's NLA_NUL_STRING policy and iproute2 have it. */
  string(type: number, text: string): void {
    this.bytes(type, encoder.encode(`${text}\0`));
  }

  bytes(type: number, payload: Uint8Array): void {
    const record = new Uint8Array(align(NLA_HDRLEN + payload.length));
    const view = new DataView(record.buffer);
    view.setUint16(0, NLA_HDRLEN + payload.length, true);
    view.setUint16(2, type, true);
    record.set(payload, NLA_HDRLEN);
    this.#chunks.push(record);
  }

  /** A record of records; `header` is the fixed part some of them begin with (VETH_INFO_PEER: ifinfomsg). */
  nested(type: number, fill: (inner: AttributeWriter) => void, header?: Uint8Array): void {
    this.bytes(type, withAttributes(header ?? new Uint8Array(0), fill));
  }

  concat(): Uint8Array {
    return concat(this.#chunks);
  }
}

/** A message's body: its fixed header (already a multiple of four long), then attributes. */
export function withAttributes(header: Uint8Array, fill: (attributes: AttributeWriter) => void): Uint8Array {
  const writer = new AttributeWriter();
  fill(writer);
  return concat([header, writer.concat()]);
}

/** Payloads by type, made when they are asked for: a link has some forty, of which a handful is looked at. */
export class Attributes {
  readonly #bytes: Uint8Array;
  readonly #ends: ReadonlyMap<number, readonly [start: number, end: number]>;

  constructor(bytes: Uint8Array, ends: ReadonlyMap<number, readonly [start: number, end: number]>) {
    this.#bytes = bytes;
    this.#ends = ends;
  }

  get(type: number): Uint8Array | undefined {
    const ends = this.#ends.get(type);
    return ends && this.#bytes.subarray(...ends);
  }

  *[Symbol.iterator](): Generator<[type: number, payload: Uint8Array]> {
    for (const [type, ends] of this.#ends) yield [type, this.#bytes.subarray(...ends)];
  }
}

/**
 * Reads a run of attributes; of a repeated type the last one counts, as in the kernel.
 * The payloads are views, not copies. Throws a RangeError when a length lies.
 */
export function readAttributes(bytes: Uint8Array): Attributes {
  const ends = new Map<number, readonly [start: number, end: number]>();
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at;
    const length = left >= NLA_HDRLEN ? view.getUint16(at, true) : 0;
    if (length < NLA_HDRLEN || length > left) {
      throw new RangeError(`Cannot read attribute at byte ${at}: length ${length}, ${left} bytes left`);
    }
    ends.set(view.getUint16(at + 2, true) & NLA_TYPE_MASK, [at + NLA_HDRLEN, at + length]);
    at += align(length);
  }
  return new Attributes(bytes, ends);
}

/** A u32 payload; `undefined` for an absent attribute, a RangeError for a short one. */
export function readU32(payload: Uint8Array | undefined): number | undefined {
  return payload && viewOf(payload).getUint32(0, true);
}

/** A string payload without its NUL. */
export function readString(payload: Uint8Array | undefined): string | undefined {
  return payload && decoder.decode(payload[payload.length - 1] === 0 ? payload.subarray(0, -1) : payload);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
