// The host's own way out, from which a sandbox's MTU follows.
import { type Address, parseAddress } from "../address.ts";
import type { Namespace } from "./netns.ts";
import { decodeLink, getLinkByIndex } from "./rtnetlink/link.ts";
import { decodeRoute, lookupRoute } from "./rtnetlink/route.ts";

/** Addresses for documentation (RFC 5737, RFC 3849): nothing more particular than the default route leads there. */
const ELSEWHERE = ["192.0.2.1", "2001:db8::1"].map((text) => parseAddress(text) as Address);

/** MTU of the interface that the default route leaves by; `undefined` where there is no default route. */
export function egressMtu(host: Namespace): number | undefined {
  for (const address of ELSEWHERE) {
    const [found] = host.netlink.exchange([lookupRoute(address)]);
    const [route] = found?.messages ?? [];
    const oif = route && decodeRoute(route).oif;
    if (oif === undefined) continue;
    const [link] = host.netlink.execute(getLinkByIndex(oif));
    if (link) return decodeLink(link).mtu;
  }
  return undefined;
}
