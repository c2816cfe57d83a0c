// What a namespace's routing would do with a packet: the kernel's own answer, put into words.
import { type Address, contains, formatAddress, formatPrefix, type Prefix } from "../../address.ts";
import { linkName } from "../../datapath/host.ts";
import type { Request } from "../../datapath/netlink/message.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { ipCommand } from "../../datapath/rtnetlink/family.ts";
import type { Device } from "../../datapath/rtnetlink/link.ts";
import {
  decodeRoute,
  listRoutes,
  matching,
  type Route,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTN_UNICAST,
} from "../../datapath/rtnetlink/route.ts";

import { decodeRule, listRules } from "../../datapath/rtnetlink/rule.ts";

export type Decision =
  | {
      readonly kind: "forward";
      readonly dev: Device;
      readonly via: Address | undefined;
      /** With which of its own addresses the namespace sends. */
      readonly source: Address | undefined;
      readonly mtu: number | undefined;
      readonly table: number;
      /** "via 192.0.2.254 dev uplink0 (default)". */
      readonly words: string;
    }
  | { readonly kind: "local"; readonly words: string }
  | {
      readonly kind: "refused";
      /** errno by name: EXDEV is the source check's. */
      readonly code: string;
      /** The route or rule that discards the packet, where one does. */
      readonly by: Discarding | undefined;
      readonly words: string;
    };

/** What in a namespace's configuration discards a packet. */
export interface Discarding {
  readonly kind: "route" | "rule";
  /** "blackhole 10.20.0.0/16". */
  readonly words: string;
  /** The command that takes it away, to be typed in the namespace. */
  readonly remove: string;
}

/** The packet that a decision is about. */
export interface Asked {
  readonly to: Address;
  readonly from?: Address | undefined;
  /** The interface it came in by. */
  readonly iif?: string | undefined;
}

// include/uapi/linux/rtnetlink.h, RTN_*, and fib_rules.h, FR_ACT_*: the types that discard, numbered alike.
const DISCARDING: ReadonlyMap<number, string> = new Map([
  [6, "blackhole"],
  [7, "unreachable"],
  [8, "prohibit"],
  [9, "throw"],
]);
const RT_TABLE_LOCAL = 255;

/** Asks the kernel: `question` is a lookup (`lookupRoute`, `lookupForward`) for the packet. */
export function decide(namespace: Namespace, question: Request, asked: Asked): Decision {
  const [outcome, match] = namespace.netlink.exchange([question, matching(question)]);
  const [message] = outcome?.messages ?? [];
  const route = message && decodeRoute(message);
  if (route?.type === RTN_LOCAL) return { kind: "local", words: "its own address" };
  if (route?.type !== RTN_UNICAST || route.oif === undefined) {
    const by = discardingRule(namespace, asked) ?? discardingRoute(namespace, asked);
    const { code = "ENETUNREACH", reason = "Network is unreachable" } = outcome?.error ?? {};
    return { kind: "refused", code, by, words: by ? by.words : reason };
  }
  const [matched] = match?.messages ?? [];
  const dev = { name: linkName(namespace, route.oif), index: route.oif };
  const entry = matched && decodeRoute(matched);
  const { via, source, table } = route;
  const words = [via && `via ${formatAddress(via)}`, `dev ${dev.name}`, entry && `(${entryName(entry)})`];
  return {
    kind: "forward",
    dev,
    via,
    source,
    mtu: entry?.mtu ?? route.mtu,
    table,
    words: words.filter(Boolean).join(" "),
  };
}

function entryName({ dst }: Pick<Route, "dst">): string {
  return dst.length === 0 ? "default" : formatPrefix(dst);
}

/** The most particular route to the address, if it discards: in an answer of "no" the kernel does not name it. */
function discardingRoute(namespace: Namespace, { to }: Asked): Discarding | undefined {
  const [first] = namespace.netlink
    .dump(listRoutes(to.family))
    .map(decodeRoute)
    .filter(({ dst, table }) => table !== RT_TABLE_LOCAL && contains(dst, to))
    .sort((a, b) => b.dst.length - a.dst.length || (a.metric ?? 0) - (b.metric ?? 0));
  const type = DISCARDING.get(first?.type ?? 0);
  if (first === undefined || type === undefined) return undefined;
  const words = `${type} ${entryName(first)}${first.table === RT_TABLE_MAIN ? "" : ` table ${first.table}`}`;
  return { kind: "route", words, remove: `${ipCommand(to.family)} route delete ${words}` };
}

/** The first rule that refuses such packets, whatever the tables after it say. */
function discardingRule(namespace: Namespace, { to, from, iif }: Asked): Discarding | undefined {
  const isOf = (prefix: Prefix, address: Address | undefined) =>
    prefix.length === 0 || (address !== undefined && contains(prefix, address));
  const rule = namespace.netlink
    .dump(listRules(to.family))
    .map(decodeRule)
    .filter((rule) => DISCARDING.has(rule.action) && isOf(rule.to, to) && isOf(rule.from, from))
    .find((rule) => rule.iif === undefined || rule.iif === iif);
  if (rule === undefined) return undefined;
  const source = rule.from.length === 0 ? "from all" : `from ${formatPrefix(rule.from)}`;
  const target = rule.to.length === 0 ? "" : ` to ${formatPrefix(rule.to)}`;
  const words = `rule ${rule.priority}: ${source}${target} ${DISCARDING.get(rule.action)}`;
  return { kind: "rule", words, remove: `${ipCommand(to.family)} rule delete priority ${rule.priority}` };
}
