// The host's own way out, from which a sandbox's MTU follows.
import { type Address, parseAddress } from "../address.ts";
import type { Request } from "./netlink/message.ts";
import type { Namespace } from "./netns.ts";
import { decodeLink, getLinkByIndex } from "./rtnetlink/link.ts";
import { decodeRoute, lookupRoute, matchRoute, type Route } from "./rtnetlink/route.ts";

/**
 * Addresses for documentation (RFC 5737, 3849 and 9637): by rights nothing more particular than the default route
 * leads there. Several, as laboratories do use them.
 */
const ELSEWHERE = ["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1", "3fff::1"];

/** MTU of the interface that the default route leaves by; `undefined` where there is no default route. */
export function egressMtu(host: Namespace): number | undefined {
  for (const text of ELSEWHERE) {
    const address = parseAddress(text) as Address;
    const route = answered(host, matchRoute(address));
    if (route === undefined || route.dst.length > 0) continue;
    // Of several next hops, which one it comes to is another question.
    const oif = route.oif ?? answered(host, lookupRoute(address))?.oif;
    if (oif === undefined) continue;
    const [link] = host.netlink.execute(getLinkByIndex(oif));
    if (link) return decodeLink(link).mtu;
  }
  return undefined;
}

function answered(host: Namespace, request: Request): Route | undefined {
  const [outcome] = host.netlink.exchange([request]);
  const [message] = outcome?.messages ?? [];
  return message && decodeRoute(message);
}
