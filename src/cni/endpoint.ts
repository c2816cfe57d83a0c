// From a request and its configuration to an endpoint: what ADD makes, and CHECK expects.
import { type Family, type Prefix, samePrefix } from "../address.ts";
import type { Attachment } from "../attachment.ts";
import { egressMtu } from "../datapath/egress.ts";
import {
  type Endpoint,
  hostEndAlias,
  hostEndName,
  type SandboxRoute,
  sandboxMac,
} from "../datapath/endpoint.ts";
import type { Namespace } from "../datapath/netns.ts";
import { defaultRoutes } from "../datapath/wiring.ts";
import { CniError, Code } from "./error.ts";
import { DEFAULT_PREFIX, DEFAULT_STATE_DIR, type NetconfDocument, refuse } from "./netconf.ts";
import { readNode } from "./node.ts";
import { podOf, type Request } from "./request.ts";
import { type Acquired, configuredRanges, ipamRoutes, routeDestination } from "./source.ts";

// Where nothing else is known: what Ethernet has.
const DEFAULT_MTU = 1500;
// Kernel: IPv6 is switched off on an interface with less (include/uapi/linux/ipv6.h, IPV6_MIN_MTU).
const LEAST_IPV6_MTU = 1280;
// include/uapi/linux/if_ether.h, ETH_MIN_MTU.
const LEAST_MTU = 68;

export function stateDirOf({ stateDir }: NetconfDocument): string {
  return stateDir ?? DEFAULT_STATE_DIR;
}

export function hostEndOf({ hostInterfacePrefix }: NetconfDocument, attachment: Attachment): string {
  return hostEndName(hostInterfacePrefix ?? DEFAULT_PREFIX, attachment);
}

/** The MTU asked for, else the node's (less an encapsulation), else that of the host's way out. */
export function mtuOf(document: NetconfDocument, host: Namespace): number {
  return toldMtu(document, stateDirOf(document)) ?? egressMtu(host) ?? DEFAULT_MTU;
}

/** The MTU asked for, else the node's; `undefined` where neither tells. Throws a CniError 7 for one that cannot be. */
export function toldMtu(document: NetconfDocument, stateDir: string): number | undefined {
  return askedMtu(document) ?? readNode(stateDir).mtu;
}

function askedMtu({ mtu = 0 }: NetconfDocument): number | undefined {
  if (mtu >= LEAST_MTU) return mtu;
  if (mtu !== 0) refuse([{ key: "mtu", value: mtu, expected: `0, or at least ${LEAST_MTU}` }]);
  return undefined;
}

/**
 * Throws what ADD would say of this configuration, whatever the pod, on a node with this MTU. What another IPAM plugin
 * would give is not known.
 */
export function assertServable(
  document: NetconfDocument,
  stateDir: string,
  nodeMtu: number | undefined,
): void {
  const mtu = askedMtu(document) ?? nodeMtu;
  configuredRoutes(document);
  ipamRoutes(document);
  const families = configuredRanges(document, stateDir).flatMap((set) => set.map(({ family }) => family));
  assertLargeEnough(mtu ?? DEFAULT_MTU, families);
}

export function endpointOf(
  request: Request,
  document: NetconfDocument,
  attachment: Attachment,
  { addresses, routes }: Acquired,
  mtu: number,
): Endpoint {
  assertLargeEnough(
    mtu,
    addresses.map(({ family }) => family),
  );
  return {
    attachment,
    hostEnd: hostEndOf(document, attachment),
    sandboxMac: requestedMac(request, document) ?? sandboxMac(attachment),
    addresses,
    routes: distinct([...configuredRoutes(document), ...routes.map((dst) => ({ dst }))]),
    mtu,
    alias: hostEndAlias(attachment, podOf(request)),
    allowIpForwarding: document.allowIpForwarding ?? false,
    gatewayNeighbour: document.gatewayNeighbour ?? "auto",
  };
}

function assertLargeEnough(mtu: number, families: readonly Family[]): void {
  if (mtu >= LEAST_IPV6_MTU || !families.includes(6)) return;
  refuse([{ key: "mtu", value: mtu, expected: `at least ${LEAST_IPV6_MTU} for IPv6` }]);
}

function configuredRoutes({ routes }: NetconfDocument): SandboxRoute[] {
  return (
    routes?.map(({ dst, mtu, priority }, at) => ({
      dst: routeDestination(dst, `routes[${at}].dst`),
      ...(mtu === undefined ? {} : { mtu }),
      ...(priority === undefined ? {} : { metric: priority }),
    })) ?? defaultRoutes()
  );
}

/** A destination once, as it was named first. */
function distinct(routes: readonly SandboxRoute[]): SandboxRoute[] {
  const has = (list: readonly { dst: Prefix }[], { dst }: SandboxRoute) =>
    list.some((route) => samePrefix(route.dst, dst));
  return routes.filter((route, at) => !has(routes.slice(0, at), route));
}

/** By the capability `mac`, else by CNI_ARGS `MAC=`. */
function requestedMac({ args }: Request, { runtimeConfig }: NetconfDocument): string | undefined {
  const mac = (runtimeConfig?.mac || args.get("MAC"))?.toLowerCase();
  if (!mac) return undefined;
  const isUnicast = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac) && !/^[0:]+$/.test(mac);
  if (isUnicast) return mac;
  const message = `Cannot use MAC ${JSON.stringify(mac)}: expected a unicast address such as "02:11:22:33:44:55"`;
  throw new CniError(Code.invalidConfig, "InvalidMac", message);
}
