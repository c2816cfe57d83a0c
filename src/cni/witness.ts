// What the kernel knows of a network's leases, for a store that was lost.
import { ownerOf } from "../datapath/endpoint.ts";
import { listHostEnds, listPodRoutes } from "../datapath/host.ts";
import type { Namespace } from "../datapath/netns.ts";
import type { Lease } from "../ipam/lease.ts";

/**
 * The attachments whose host ends are there, by the ends' aliases, with the addresses that the host routes to them.
 * Nothing is entered and nothing is changed.
 */
export function leasesInKernel(host: Namespace, network: string): Lease[] {
  const routes = listPodRoutes(host);
  return listHostEnds(host, network).flatMap(({ name, index, mtu, alias }) => {
    const owner = ownerOf(name, alias);
    if (owner === undefined) return [];
    const addresses = routes.filter(({ oif }) => oif === index).map(({ dst }) => dst.address);
    return [{ ...owner, hostEnd: name, mtu, addresses }];
  });
}
