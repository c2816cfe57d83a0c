// One attachment: its lease, its host end, its sandbox end, its routes. To be called with its lock held.
import { type Address, formatAddress, hostPrefix, sameAddress, samePrefix } from "../../address.ts";
import { type Attachment, attachmentKey } from "../../attachment.ts";
import { DEFAULT_STATE_DIR } from "../../cni/netconf.ts";
import { findEndsOf, remove } from "../../datapath/apply.ts";
import { aliasPrefix, type Endpoint, ownerOf, ROUTE_PROTOCOL } from "../../datapath/endpoint.ts";
import { findLink, linkName, listPodRoutes } from "../../datapath/host.ts";
import { deleteLink, type Link } from "../../datapath/rtnetlink/link.ts";
import { decodeNeighbour, getNeighbour } from "../../datapath/rtnetlink/neighbour.ts";
import {
  decodeRoute,
  deleteRoute,
  matchRoute,
  type Route,
  RTN_LOCAL,
} from "../../datapath/rtnetlink/route.ts";
import { commandOf, type MessageStep, requestOf, type Step } from "../../datapath/step.ts";
import { wiring } from "../../datapath/wiring.ts";
import type { Holding, Lease } from "../../ipam/lease.ts";
import { isLeasable } from "../../ipam/range.ts";
import type { Store } from "../../ipam/store.ts";
import { word } from "../../shell.ts";
import { addressesOf } from "../node/addresses.ts";
import type { Finding, Kind, Mend } from "./finding.ts";
import type { SandboxEnd, Scene } from "./scene.ts";

/** What is told about an attachment, but for whose it is. */
type Told = Omit<Finding, "network" | "attachment">;

/** All that is not as it should be. `hostEnd` is the interface that claims to be the attachment's. */
export function examine(
  attachment: Attachment,
  hostEnd: string | undefined,
  store: Store,
  scene: Scene,
): Finding[] {
  const holding = store.find(attachment);
  const name = holding?.hostEnd ?? hostEnd;
  const link = name === undefined ? undefined : findLink(scene.host, name);
  const told = holding ? recorded(holding, link, store, scene) : unrecorded(attachment, link, store, scene);
  const key = attachmentKey(attachment);
  return told.map((finding) => ({ ...finding, network: attachment.network, attachment: key }));
}

function unrecorded(attachment: Attachment, link: Link | undefined, store: Store, scene: Scene): Told[] {
  const owner = link && ownerOf(link.name, link.alias);
  if (link === undefined || owner === undefined) return [];
  const routed = listPodRoutes(scene.host).filter(({ oif }) => oif === link.index);
  const free = (address: Address) => !isLeased(address, store);
  const addresses =
    routed.length > 0
      ? routed.map(({ dst }) => dst.address)
      : (scene.sandboxEnd(link)?.addresses ?? []).filter(free);
  const subject = `host end ${link.name}`;
  const is = addresses.length > 0 ? `there, with ${words(addresses)}` : "there, with no address to it";
  const { pod } = owner;
  const lease = { attachment, pod, hostEnd: link.name, mtu: link.mtu, addresses };
  // Somebody uses these addresses: they are his. A cable that leads nowhere is nobody's.
  const mends =
    addresses.length > 0
      ? [recordLease(lease, store)]
      : [{ command: deleteLink(link.name).command, carryOut: () => void remove(link.name, scene.host) }];
  return [{ kind: "link-without-lease", subject, is, should: "recorded in the store", mends }];
}

/** For a lease that the kernel alone knows. No command stands for it. */
export function recordLease(lease: Lease, store: Store): Mend {
  const command = `# record ${words(lease.addresses) || "no address"} as held by ${attachmentKey(lease.attachment)}`;
  return { command, carryOut: () => store.adopt(lease) };
}

function recorded(holding: Holding, link: Link | undefined, store: Store, scene: Scene): Told[] {
  const addresses = addressesOf(holding);
  if (link === undefined) return [renamed(holding, scene) ?? withoutLink(holding, addresses, store, scene)];
  if (link.kind !== "veth" || !link.alias?.startsWith(aliasPrefix(holding.attachment.network))) {
    const subject = `interface ${link.name}`;
    const is = `${link.kind ?? "an interface"} with the alias ${JSON.stringify(link.alias ?? "")}`;
    const advice = "somebody else took the name, or changed the alias: see who it is, then delete the pod";
    return [{ kind: "link-not-ours", subject, is, should: "the attachment's host end", mends: [], advice }];
  }
  const end = scene.sandboxEnd(link);
  return [
    ...outside(addresses, holding, scene),
    ...sandboxFindings(holding, addresses, link, end, scene),
    ...(addresses.length === 0 ? unaddressed(holding, end, store) : []),
    ...linkFindings(link, scene),
    ...addresses.flatMap((address) => addressFindings(address, holding, link, end, scene)),
  ];
}

/** The pod uses its address all the same. */
function renamed({ attachment, hostEnd }: Holding, { host }: Scene): Told | undefined {
  const [name] = findEndsOf(attachment, host);
  if (name === undefined) return undefined;
  const command = `ip link set ${name} down && ip link set ${name} name ${hostEnd} && ip link set ${hostEnd} up`;
  const advice = `${command} && slash32 ipam repair; or delete the pod`;
  return {
    kind: "link-renamed",
    subject: `host end ${hostEnd}`,
    is: `called ${name}`,
    should: hostEnd,
    mends: [],
    advice,
  };
}

function withoutLink(holding: Holding, addresses: readonly Address[], store: Store, { scope }: Scene): Told {
  const { attachment, hostEnd } = holding;
  const subject = `lease of ${words(addresses) || "no address"}`;
  const common = {
    kind: "lease-without-link",
    subject,
    is: `held, but ${hostEnd} is missing`,
    should: "released",
  } as const;
  // Another IPAM plugin would go on holding what we forget.
  if (holding.addresses.length === 0) {
    const advice = "the runtime's DEL or GC has to come: the IPAM plugin that gave the address must be told";
    return { ...common, mends: [], advice };
  }
  const where = scope.stateDir === DEFAULT_STATE_DIR ? "" : `--state-dir ${word(scope.stateDir)} `;
  const command = `slash32 ipam release ${where}${word(attachmentKey(attachment))}`;
  return { ...common, mends: [{ command, carryOut: () => store.release(attachment) }] };
}

function outside(addresses: readonly Address[], { delegated }: Holding, { scope: { sets } }: Scene): Told[] {
  if (sets.length === 0 || delegated !== undefined) return [];
  const stray = addresses.filter((address) => !sets.flat().some((range) => isLeasable(range, address)));
  const advice = "it works; a pod that is made anew gets an address of the ranges";
  const kind = "lease-outside-ranges";
  const should = "in the configuration's ranges";
  return stray.map((address) => {
    return {
      kind,
      subject: `lease of ${formatAddress(address)}`,
      is: "outside, or reserved",
      should,
      mends: [],
      advice,
    };
  });
}

function sandboxFindings(
  { attachment, delegated }: Holding,
  addresses: readonly Address[],
  link: Link,
  end: SandboxEnd | undefined,
  scene: Scene,
): Told[] {
  const found = (kind: Kind, is: string, should: string, advice: string): Told[] => {
    return [{ kind, subject: `other end of ${link.name}`, is, should, mends: [], advice }];
  };
  const { ifName } = attachment;
  const inSandbox = `${ifName} in the sandbox`;
  if (link.peerNamespace === undefined)
    return found("sandbox-end-on-host", "on the host", inSandbox, "delete the pod");
  if (end === undefined) {
    if (scene.sandboxOf(link) !== undefined) return []; // just going
    return found(
      "sandbox-gone",
      "where no process and no path leads",
      inSandbox,
      "the runtime's DEL or GC removes it",
    );
  }
  const advice = `nsenter --net=${end.path} ip link set ${end.link.name} name ${ifName}; or delete the pod`;
  if (end.link.name !== ifName)
    return found("sandbox-end-renamed", `called ${end.link.name}`, ifName, advice);
  const missing = addresses.filter((address) => !end.addresses.some((held) => sameAddress(held, address)));
  if (missing.length === 0 || (delegated === undefined && addresses.length === 0)) return [];
  const command = commandOf(
    { kind: "address", on: "sandbox", dev: ifName, address: missing[0] as Address },
    end.path,
  );
  return found("sandbox-without-address", `without ${words(missing)}`, `with ${words(missing)}`, command);
}

/** A record without an address is what a rebuilt store has of a pod whose routes were gone. */
function unaddressed(holding: Holding, end: SandboxEnd | undefined, store: Store): Told[] {
  if (holding.delegated !== undefined) return [];
  const seen = (end?.addresses ?? []).filter((address) => !isLeased(address, store));
  const kind = "lease-without-address";
  const told = { kind, subject: "record", is: "without an address", should: "what the sandbox has" } as const;
  if (seen.length === 0) return [{ ...told, mends: [], advice: "delete the pod" }];
  return [{ ...told, mends: [recordLease({ ...holding, addresses: seen }, store)] }];
}

/** While it is down it has no routes. */
function linkFindings(link: Link, scene: Scene): Told[] {
  if (link.up) return [];
  const mends = [restore({ kind: "up", on: "host", dev: link.name }, link, scene)];
  return [{ kind: "link-down", subject: `host end ${link.name}`, is: "down", should: "up", mends }];
}

function addressFindings(
  address: Address,
  holding: Holding,
  link: Link,
  end: SandboxEnd | undefined,
  scene: Scene,
): Told[] {
  const [route, neighbour] = wayBack(address, holding, link, end);
  return [
    ...routeFindings(address, route, link, scene),
    ...(end ? neighbourFindings(address, end.link.mac, neighbour, link, scene) : []),
  ];
}

function routeFindings(address: Address, step: MessageStep, link: Link, scene: Scene): Told[] {
  const subject = `host route to ${formatAddress(address)}`;
  const should = `dev ${link.name} proto ${ROUTE_PROTOCOL}`;
  const seen = exactRoute(address, scene);
  const add = restore(step, link, scene);
  if (seen === undefined)
    return [{ kind: "lease-without-route", subject, is: "missing", should, mends: [add] }];
  if (seen.type === RTN_LOCAL) {
    const advice = `take ${formatAddress(address)} from the host's interface, or delete the pod`;
    return [{ kind: "address-of-host", subject, is: "the host's own address", should, mends: [], advice }];
  }
  const name = seen.oif === undefined ? "none" : linkName(scene.host, seen.oif);
  const is = `dev ${name} proto ${seen.protocol}`;
  if (seen.oif === link.index && seen.protocol === ROUTE_PROTOCOL) return [];
  if (seen.protocol !== ROUTE_PROTOCOL || seen.oif === undefined) {
    const advice = `it is not ours to delete; ip route replace ${formatAddress(address)} ${should} takes its place`;
    return [{ kind: "route-not-ours", subject, is, should, mends: [], advice }];
  }
  const mends = [routeRemoval(seen.dst, { name, index: seen.oif }, scene), add];
  return [{ kind: "route-elsewhere", subject, is, should, mends }];
}

function neighbourFindings(
  address: Address,
  mac: string,
  step: MessageStep,
  link: Link,
  scene: Scene,
): Told[] {
  const [outcome] = scene.host.netlink.exchange([getNeighbour(address, link)]);
  const [message] = outcome?.messages ?? [];
  const seen = message && decodeNeighbour(message);
  if (seen?.permanent && seen.mac === mac) return [];
  return [
    {
      kind: "lease-without-neighbour",
      subject: `host neighbour ${formatAddress(address)}`,
      is: seen ? `${seen.mac || "unresolved"}${seen.permanent ? "" : ", not permanent"}` : "missing",
      should: `${mac} permanent`,
      mends: [restore(step, link, scene)],
    },
  ];
}

/** Of a route by our mark; nobody else's. */
export function routeRemoval(dst: Route["dst"], dev: { name: string; index: number }, { host }: Scene): Mend {
  const request = deleteRoute({ dst, dev, protocol: ROUTE_PROTOCOL });
  return { command: request.command, carryOut: () => void host.netlink.execute(request) };
}

/** The host's route to this address and no other: what decides, else ours of the main table, which a rule may pass over. */
export function exactRoute(address: Address, { host }: Scene): Route | undefined {
  const [outcome] = host.netlink.exchange([matchRoute(address)]);
  const [message] = outcome?.messages ?? [];
  const route = message && decodeRoute(message);
  if (route && samePrefix(route.dst, hostPrefix(address))) return route;
  return listPodRoutes(host).find(({ dst }) => sameAddress(dst.address, address));
}

/** The two steps of the wiring that lead the host to an address: as ADD makes them. */
function wayBack(
  address: Address,
  holding: Holding,
  link: Link,
  end: SandboxEnd | undefined,
): [MessageStep, MessageStep] {
  const endpoint: Endpoint = {
    attachment: holding.attachment,
    hostEnd: link.name,
    sandboxMac: end?.link.mac ?? "",
    addresses: [address],
    routes: [],
    mtu: holding.mtu,
    alias: link.alias ?? "",
    allowIpForwarding: false,
    gatewayNeighbour: "auto",
  };
  const isWayBack = ({ kind, on }: Step) => on === "host" && (kind === "route" || kind === "neighbour");
  return wiring(endpoint).filter(isWayBack) as [MessageStep, MessageStep];
}

function restore(step: MessageStep, link: Link, { host }: Scene): Mend {
  return { command: commandOf(step, ""), carryOut: () => void host.netlink.execute(requestOf(step, link)) };
}

function isLeased(address: Address, store: Store): boolean {
  return store.list().some((holding) => addressesOf(holding).some((held) => sameAddress(held, address)));
}

export function words(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).join(" and ");
}
