// Questions about the host that the handlers ask beside the wiring.
import { type Address, hostPrefix, samePrefix } from "../address.ts";
import { ALIAS_MARK, aliasPrefix, ROUTE_PROTOCOL } from "./endpoint.ts";
import type { Namespace } from "./netns.ts";
import { decodeLink, getLink, getLinkByIndex, type Link, listLinks } from "./rtnetlink/link.ts";
import {
  decodeRoute,
  listRoutesOf,
  lookupRoute,
  matchRoute,
  type Route,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTN_UNICAST,
} from "./rtnetlink/route.ts";

/** An interface by name; `undefined` when there is none. */
export function findLink(namespace: Namespace, name: string): Link | undefined {
  const [outcome] = namespace.netlink.exchange([getLink(name)]);
  if (outcome?.error && outcome.error.code !== "ENODEV") throw outcome.error;
  const [message] = outcome?.messages ?? [];
  return message && decodeLink(message);
}

/** What people call an interface that the kernel tells by number; "interface 7" when it has just gone. */
export function linkName(namespace: Namespace, index: number): string {
  const [outcome] = namespace.netlink.exchange([getLinkByIndex(index)]);
  const [message] = outcome?.messages ?? [];
  return message ? decodeLink(message).name : `interface ${index}`;
}

/**
 * Whether the host has a route to exactly this address, or owns it: the second witness of a lease. One question
 * to the FIB, however many routes there are.
 */
export function isAddressInUse(host: Namespace, address: Address): boolean {
  const [outcome] = host.netlink.exchange([matchRoute(address)]);
  const [message] = outcome?.messages ?? [];
  return message !== undefined && samePrefix(decodeRoute(message).dst, hostPrefix(address));
}

/** Whether packets to the address end in this namespace: it is one of its own. */
export function isOwnAddress(namespace: Namespace, address: Address): boolean {
  const [outcome] = namespace.netlink.exchange([lookupRoute(address)]);
  const [message] = outcome?.messages ?? [];
  return message !== undefined && decodeRoute(message).type === RTN_LOCAL;
}

/** The host's routes to single pods, known by their mark, whatever the store knows of them. */
export function listPodRoutes(host: Namespace): Route[] {
  return ([4, 6] as const)
    .flatMap((family) => host.netlink.dump(listRoutesOf(family, ROUTE_PROTOCOL)).map(decodeRoute))
    .filter(
      ({ dst, protocol, table, type }) =>
        protocol === ROUTE_PROTOCOL &&
        table === RT_TABLE_MAIN &&
        type === RTN_UNICAST &&
        samePrefix(dst, hostPrefix(dst.address)),
    );
}

/** The host ends of a network, or of all, known by their alias, whatever the store knows of them. */
export function listHostEnds(host: Namespace, network?: string): Link[] {
  const mark = network === undefined ? ALIAS_MARK : aliasPrefix(network);
  return host.netlink
    .dump(listLinks())
    .map(decodeLink)
    .filter(({ alias }) => alias?.startsWith(mark));
}
