// What a namespace's routing would do with a packet: the kernel's own answer, put into words.
import {
  type Address,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  type Prefix,
  sameAddress,
} from "../../address.ts";
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
import { decodeRule, FR_ACT_TO_TBL, listRules, type Rule } from "../../datapath/rtnetlink/rule.ts";

/** To whom packets are handed: who is `via`, or the receiver himself. */
export interface Hop {
  readonly dev: Device;
  readonly via: Address | undefined;
}

export type Decision =
  | {
      readonly kind: "forward";
      readonly dev: Device;
      /** May be of IPv6 for an IPv4 packet. */
      readonly via: Address | undefined;
      /** Where the route has several next hops: those that other packets take. */
      readonly others: readonly Hop[];
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
]);
const RTN_THROW = 9;

/** Asks the kernel: `question` is a lookup (`lookupRoute`, `lookupForward`) for the packet. */
export function decide(namespace: Namespace, question: Request, asked: Asked): Decision {
  const [outcome, match] = namespace.netlink.exchange([question, matching(question)]);
  const [message] = outcome?.messages ?? [];
  const route = message && decodeRoute(message);
  if (route?.type === RTN_LOCAL) return { kind: "local", words: "its own address" };
  if (route?.type !== RTN_UNICAST || route.oif === undefined) {
    const by = discarding(namespace, asked);
    const { code = "ENETUNREACH", reason = "Network is unreachable" } = outcome?.error ?? {};
    return { kind: "refused", code, by, words: by ? by.words : reason };
  }
  const [matched] = match?.messages ?? [];
  const dev = { name: linkName(namespace, route.oif), index: route.oif };
  const entry = matched && decodeRoute(matched);
  const { via, source, table } = route;
  const hops = (entry?.hops ?? []).map(({ via, oif }): Hop => {
    return { via, dev: { name: linkName(namespace, oif), index: oif } };
  });
  const one = hops.length > 1 ? `, one of ${hops.length} next hops` : "";
  const words = [hopWords({ via, dev }, asked.to), entry && `(${entryName(entry)}${one})`];
  return {
    kind: "forward",
    dev,
    via,
    others: hops.filter((hop) => !isSameHop(hop, { via, dev })),
    source,
    mtu: entry?.mtu ?? route.mtu,
    table,
    words: words.filter(Boolean).join(" "),
  };
}

/** "via 192.0.2.254 dev uplink0", "via inet6 fe80::1 dev uplink0". */
function hopWords({ via, dev }: Hop, to: Address): string {
  const gateway = via && `via ${via.family === to.family ? "" : "inet6 "}${formatAddress(via)} `;
  return `${gateway ?? ""}dev ${dev.name}`;
}

function isSameHop(a: Hop, b: Hop): boolean {
  const isSameVia = a.via && b.via ? sameAddress(a.via, b.via) : a.via === b.via;
  return a.dev.index === b.dev.index && isSameVia;
}

function entryName({ dst }: Pick<Route, "dst">): string {
  return dst.length === 0 ? "default" : formatPrefix(dst);
}

/**
 * What discards such a packet, as in an answer of "no" the kernel does not name it: the rules in their order, and of
 * each its table (net/core/fib_rules.c, fib_rules_lookup). Nothing is named after a rule that cannot be judged.
 */
function discarding(namespace: Namespace, asked: Asked): Discarding | undefined {
  const { to } = asked;
  const routes = namespace.netlink
    .dump(listRoutes(to.family))
    .map(decodeRoute)
    .filter(({ dst }) => contains(dst, to))
    .sort((a, b) => b.dst.length - a.dst.length || (a.metric ?? 0) - (b.metric ?? 0));
  let next = 0;
  for (const rule of namespace.netlink.dump(listRules(to.family)).map(decodeRule)) {
    const isAsked = rule.priority >= next && isFor(rule, asked);
    if (isAsked === undefined) return undefined;
    if (!isAsked) continue;
    if (DISCARDING.has(rule.action)) return discardingRule(rule, to.family);
    next = rule.goto ?? next;
    const route = rule.action === FR_ACT_TO_TBL && routes.find(({ table }) => table === rule.table);
    // "throw" is: on to the next rule.
    if (!route || route.type === RTN_THROW) continue;
    if (DISCARDING.has(route.type)) return discardingRoute(route);
    if (route.dst.length > rule.suppressed) return undefined;
  }
  return undefined;
}

/** Whether a rule is for the packet: one without a mark, and from no socket that is bound to an interface. */
function isFor(rule: Rule, { to, from, iif = "lo" }: Asked): boolean | undefined {
  const isOf = (prefix: Prefix, address: Address | undefined) =>
    prefix.length === 0 || (address !== undefined && contains(prefix, address));
  const isMatch =
    isOf(rule.to, to) &&
    isOf(rule.from, from) &&
    (rule.iif ?? iif) === iif &&
    rule.oif === undefined &&
    (rule.mark.value & rule.mark.mask) === 0 &&
    rule.tos === 0;
  if (isMatch && rule.isVague) return undefined;
  return isMatch !== rule.isInverted;
}

function discardingRoute({ dst, type, table }: Route): Discarding {
  const { family } = dst.address;
  const where = table === RT_TABLE_MAIN ? "" : ` table ${table}`;
  const words = `${DISCARDING.get(type)} ${entryName({ dst })}${where}`;
  return { kind: "route", words, remove: `${ipCommand(family)} route delete ${words}` };
}

function discardingRule(rule: Rule, family: Family): Discarding {
  const source = rule.from.length === 0 ? "from all" : `from ${formatPrefix(rule.from)}`;
  const target = rule.to.length === 0 ? "" : ` to ${formatPrefix(rule.to)}`;
  const words = `rule ${rule.priority}: ${rule.isInverted ? "not " : ""}${source}${target} ${DISCARDING.get(rule.action)}`;
  return { kind: "rule", words, remove: `${ipCommand(family)} rule delete priority ${rule.priority}` };
}
