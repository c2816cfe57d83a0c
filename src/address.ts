// IP addresses and prefixes: text, numbers and bytes, for both families. No networks are touched here.

export type Family = 4 | 6;

/** One address. `value` is the address as an unsigned number: 32 bits for IPv4, 128 for IPv6. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** An address with a length; host bits may be set ("10.20.1.7/24" is an address in a subnet). */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Bits in an address of the family: 32 or 128. */
export function width(family: Family): number {
  return family === 4 ? 32 : 128;
}

/**
 * Reads dotted-quad IPv4 (no leading zeros) or any RFC 4291 form of IPv6 (no zone).
 * Anything else is `undefined`: the caller knows which key it stood in.
 */
export function parseAddress(text: string): Address | undefined {
  const value = text.includes(":") ? parseSix(text) : parseFour(text);
  if (value === undefined) return undefined;
  return { family: text.includes(":") ? 6 : 4, value };
}

/** Dotted quad, or RFC 5952: lower case, the first longest run of two or more zero groups as "::". */
export function formatAddress({ family, value }: Address): string {
  return family === 4 ? formatFour(value) : formatSix(value);
}

/** Reads "address/length"; `undefined` when either part is not what it should be. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length <= width(address.family) ? { address, length } : undefined;
}

export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** The prefix that holds this address alone: /32 or /128. */
export function hostPrefix(address: Address): Prefix {
  return { address, length: width(address.family) };
}

/** The prefix that holds every address of the family: 0.0.0.0/0 or ::/0. */
export function everywhere(family: Family): Prefix {
  return { address: { family, value: 0n }, length: 0 };
}

/** First and last address of a prefix, as numbers: network and (in IPv4) broadcast address. */
export function bounds({ address, length }: Prefix): { first: bigint; last: bigint } {
  const size = 1n << BigInt(width(address.family) - length);
  const first = address.value - (address.value % size);
  return { first, last: first + size - 1n };
}

/** Without host bits: 10.20.1.5/24 is 10.20.1.0/24. */
export function networkOf(prefix: Prefix): Prefix {
  return { ...prefix, address: { ...prefix.address, value: bounds(prefix).first } };
}

export function contains(prefix: Prefix, address: Address): boolean {
  const { first, last } = bounds(prefix);
  return prefix.address.family === address.family && address.value >= first && address.value <= last;
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && sameAddress(a.address, b.address);
}

/** Network byte order: 4 or 16 bytes. */
export function addressBytes({ family, value }: Address): Uint8Array {
  const view = new DataView(new ArrayBuffer(width(family) / 8));
  if (family === 4) view.setUint32(0, Number(value));
  else {
    view.setBigUint64(0, value >> 64n);
    view.setBigUint64(8, value); // its lower half
  }
  return new Uint8Array(view.buffer);
}

/** The reverse of `addressBytes`; throws a RangeError unless there are 4 or 16 bytes. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new RangeError(`Cannot read an address: got ${bytes.length} bytes, expected 4 or 16`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 4) return { family: 4, value: BigInt(view.getUint32(0)) };
  return { family: 6, value: (view.getBigUint64(0) << 64n) | view.getBigUint64(8) };
}

function parseFour(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseSix(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  // "::" stands for at least one group; without it all eight must be there.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** Groups of one side of "::"; only at the very end may the last 32 bits be a dotted quad. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = atEnd && at === parts.length - 1 ? parseFour(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(Number(quad >> 16n), Number(quad & 0xffffn));
  }
  return groups;
}

function formatFour(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
}

function formatSix(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16),
  );
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let at = 0; at <= groups.length; at++) {
    if (groups[at] === "0") continue;
    if (at - start > best.length) best = { start, length: at - start };
    start = at + 1;
  }
  return best;
}
