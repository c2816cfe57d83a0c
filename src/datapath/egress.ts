// The host's own way out, from which a sandbox's MTU follows.
import { type Address, parseAddress } from "../address.ts";
import type { Namespace } from "./netns.ts";
import { decodeLink, getLinkByIndex } from "./rtnetlink/link.ts";
import { decodeRoute, lookupRoute, matchRoute } from "./rtnetlink/route.ts";

/**
 * Addresses for documentation (RFC 5737, 3849 and 9637): by rights nothing more particular than the default route
 * leads there. Several, as laboratories do use them.
 */
const ELSEWHERE = ["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1", "3fff::1"];

/** MTU of the interface that the default route leaves by; `undefined` where there is no default route. */
export function egressMtu(host: Namespace): number | undefined {
  for (const text of ELSEWHERE) {
    const address = parseAddress(text) as Address;
    // One question tells which route decides, the other what it comes to where it has several next hops.
    const [match, lookup] = host.netlink.exchange([matchRoute(address), lookupRoute(address)]);
    const [rule] = match?.messages ?? [];
    const [outcome] = lookup?.messages ?? [];
    const oif = outcome && decodeRoute(outcome).oif;
    if (rule === undefined || decodeRoute(rule).dst.length > 0 || oif === undefined) continue;
    const [link] = host.netlink.execute(getLinkByIndex(oif));
    if (link) return decodeLink(link).mtu;
  }
  return undefined;
}
