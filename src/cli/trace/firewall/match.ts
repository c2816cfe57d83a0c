// Whether a packet matches an expression of nft: yes, no, or (undefined) not to be decided from here.
import { type Address, bounds, parseAddress } from "../../../address.ts";
import type { Flow } from "../flow.ts";
import type { Expression } from "./rule.ts";

/** A packet as a chain sees it. */
export interface Packet extends Flow {
  /** Name of the interface it came in by; absent for what is sent from here. */
  readonly iif?: string | undefined;
  readonly oif?: string | undefined;
  /** Whether TO is an address of the namespace's own; absent where nobody has asked. */
  readonly isLocal?: boolean;
}

export type Maybe = boolean | undefined;

/** What a packet has in the place that an expression looks at: a value, nothing at all, or something we cannot know. */
type Found = { readonly value: Value } | "nothing" | "unknown";

/** Some number of these. */
interface Span {
  readonly low: number;
  readonly high: number;
}

type Value = string | number | Address | Span;

/** From which a client's port is: ip_local_port_range, as the kernel has it unless it is told otherwise. */
const EPHEMERAL: Span = { low: 32768, high: 60999 };

/** `elements` are those of a named set. */
export function matches(
  { op, left, right }: { op?: string; left?: unknown; right?: unknown },
  packet: Packet,
  elements: (name: string) => readonly unknown[],
): Maybe {
  const found = lookUp((left ?? {}) as Expression, packet);
  if (found === "unknown") return undefined;
  if (found === "nothing") return false;
  const isEqual = equals(found.value, right, elements);
  if (op === "==" || op === "in") return isEqual;
  if (op === "!=") return isEqual === undefined ? undefined : !isEqual;
  return undefined;
}

function lookUp(left: Expression, packet: Packet): Found {
  if (left.meta) return meta((left.meta as { key: string }).key, packet);
  if (left.payload) return payload(left.payload as { protocol?: string; field?: string }, packet);
  if (left.fib) return addressType(left.fib as { result?: string; flags?: unknown }, packet);
  const { key } = (left.ct ?? {}) as { key?: string };
  return key === "state" ? { value: packet.isReply ? "established" : "new" } : "unknown";
}

/** `fib daddr type`; whom a trace goes to is no broadcast. */
function addressType({ result, flags }: { result?: string; flags?: unknown }, { isLocal }: Packet): Found {
  const isOfTarget = result === "type" && [flags].flat().join() === "daddr";
  if (!isOfTarget || isLocal === undefined) return "unknown";
  return { value: isLocal ? "local" : "unicast" };
}

function meta(key: string, packet: Packet): Found {
  switch (key) {
    case "iifname":
    case "iif":
      return { value: packet.iif ?? "" };
    case "oifname":
    case "oif":
      return { value: packet.oif ?? "" };
    case "l4proto":
      return { value: protocolName(packet) };
    case "nfproto":
      return { value: packet.from.family === 4 ? "ipv4" : "ipv6" };
    default:
      return "unknown";
  }
}

function payload({ protocol, field }: { protocol?: string; field?: string }, packet: Packet): Found {
  if (protocol === "ip" || protocol === "ip6") {
    if (packet.from.family !== (protocol === "ip" ? 4 : 6)) return "nothing";
    if (field === "saddr") return { value: packet.from };
    if (field === "daddr") return { value: packet.to };
    return field === "protocol" || field === "nexthdr" ? { value: protocolName(packet) } : "unknown";
  }
  if (protocol === "icmp" || protocol === "icmpv6") {
    if (protocolName(packet) !== (protocol === "icmp" ? "icmp" : "ipv6-icmp")) return "nothing";
    return field === "type" ? { value: packet.isReply ? "echo-reply" : "echo-request" } : "unknown";
  }
  return protocol === "tcp" || protocol === "udp" || protocol === "th"
    ? port(protocol, field, packet)
    : "unknown";
}

/** The port that was asked for is at one end; the other end's is a client's. */
function port(protocol: string, field: string | undefined, packet: Packet): Found {
  if (packet.protocol === "icmp" || (protocol !== "th" && packet.protocol !== protocol)) return "nothing";
  const [asked, clients] = packet.isReply ? ["sport", "dport"] : ["dport", "sport"];
  if (field === asked && packet.port !== undefined) return { value: packet.port };
  return field === clients ? { value: EPHEMERAL } : "unknown";
}

function protocolName({ protocol, from }: Packet): string {
  return protocol === "icmp" && from.family === 6 ? "ipv6-icmp" : protocol;
}

function equals(value: Value, right: unknown, elements: (name: string) => readonly unknown[]): Maybe {
  if (typeof right === "string" && right.startsWith("@")) {
    return any(elements(right.slice(1)).map((element) => equals(value, element, elements)));
  }
  if (Array.isArray(right)) return any(right.map((element) => equals(value, element, elements)));
  if (typeof right === "object" && right !== null) return equalsObject(value, right as Expression, elements);
  if (isSpan(value)) return inSpan(value, Number(right), Number(right));
  if (typeof value === "object") {
    const address = typeof right === "string" ? parseAddress(right) : undefined;
    return address && address.family === value.family && address.value === value.value;
  }
  if (typeof right === "string" && right.endsWith("*")) return String(value).startsWith(right.slice(0, -1));
  return protocolAlias(value) === protocolAlias(right as string | number);
}

function equalsObject(
  value: Value,
  right: Expression,
  elements: (name: string) => readonly unknown[],
): Maybe {
  if (Array.isArray(right.set)) return equals(value, right.set, elements);
  if (right.elem) return equals(value, (right.elem as { val?: unknown }).val, elements);
  if (Array.isArray(right.range)) return inRange(value, right.range);
  if (right.prefix && typeof value === "object" && !isSpan(value)) {
    const { addr, len } = right.prefix as { addr: string; len: number };
    const address = parseAddress(addr);
    if (address === undefined) return undefined;
    const { first, last } = bounds({ address, length: len });
    return address.family === value.family && value.value >= first && value.value <= last;
  }
  return undefined;
}

function inRange(value: Value, [low, high]: readonly unknown[]): Maybe {
  if (isSpan(value)) return inSpan(value, Number(low), Number(high));
  if (typeof value === "number") return value >= Number(low) && value <= Number(high);
  if (typeof value === "string") return undefined;
  const [first, last] = [low, high].map((bound) => parseAddress(String(bound)));
  if (first === undefined || last === undefined) return undefined;
  return first.family === value.family && value.value >= first.value && value.value <= last.value;
}

function isSpan(value: Value): value is Span {
  return typeof value === "object" && "low" in value;
}

/** Surely, if all of the span is inside; surely not, if nothing is. */
function inSpan(span: Span, low: number, high: number): Maybe {
  if (span.high < low || span.low > high) return false;
  return span.low >= low && span.high <= high ? true : undefined;
}

/** nft prints a protocol by name or number, as /etc/protocols has it. */
function protocolAlias(value: string | number): string {
  return { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", icmpv6: "ipv6-icmp" }[value] ?? String(value);
}

function any(answers: readonly Maybe[]): Maybe {
  if (answers.includes(true)) return true;
  return answers.includes(undefined) ? undefined : false;
}
