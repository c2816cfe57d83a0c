// What a namespace's routing would do with a packet: the kernel's own answer, put into words.
import { type Address, contains, formatAddress, formatPrefix } from "../../address.ts";
import { linkName } from "../../datapath/host.ts";
import type { Request } from "../../datapath/netlink/message.ts";
import type { Namespace } from "../../datapath/netns.ts";
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
      /** The entry that discards the packet, where one does. */
      readonly by: Route | undefined;
      readonly words: string;
    };

// include/uapi/linux/rtnetlink.h, RTN_*: the types that discard.
const DISCARDING: ReadonlyMap<number, string> = new Map([
  [6, "blackhole"],
  [7, "unreachable"],
  [8, "prohibit"],
  [9, "throw"],
]);
const RT_TABLE_LOCAL = 255;

/** Asks the kernel: `question` is a lookup (`lookupRoute`, `lookupForward`) for `to`. */
export function decide(namespace: Namespace, question: Request, to: Address): Decision {
  const [outcome, match] = namespace.netlink.exchange([question, matching(question)]);
  const [message] = outcome?.messages ?? [];
  const route = message && decodeRoute(message);
  if (route?.type === RTN_LOCAL) return { kind: "local", words: "its own address" };
  if (route?.type !== RTN_UNICAST || route.oif === undefined) {
    const by = discarding(namespace, to);
    const { code = "ENETUNREACH", reason = "Network is unreachable" } = outcome?.error ?? {};
    return { kind: "refused", code, by, words: by ? routeWords(by) : reason };
  }
  const [matched] = match?.messages ?? [];
  const dev = { name: linkName(namespace, route.oif), index: route.oif };
  const entry = matched && decodeRoute(matched);
  const { via, source, table } = route;
  // Where they are the same, naming the entry would say the same twice.
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

/** "blackhole 10.20.0.0/16": a route that discards, as ip(8) takes it. */
export function routeWords({ type, dst, table }: Route): string {
  const where = table === RT_TABLE_MAIN ? "" : ` table ${table}`;
  return `${DISCARDING.get(type) ?? "unicast"} ${entryName({ dst })}${where}`;
}

function entryName({ dst }: Pick<Route, "dst">): string {
  return dst.length === 0 ? "default" : formatPrefix(dst);
}

/** The most particular route to the address, if it discards: in an answer of "no" the kernel does not name it. */
function discarding(namespace: Namespace, to: Address): Route | undefined {
  const [first] = namespace.netlink
    .dump(listRoutes(to.family))
    .map(decodeRoute)
    .filter(({ dst, table }) => table !== RT_TABLE_LOCAL && contains(dst, to))
    .sort((a, b) => b.dst.length - a.dst.length || (a.metric ?? 0) - (b.metric ?? 0));
  return first && DISCARDING.has(first.type) ? first : undefined;
}
