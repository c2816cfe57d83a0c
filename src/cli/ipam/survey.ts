// Everything that store and kernel disagree on, both ways; found, and settled where that is wanted.
import { type Address, formatAddress, formatPrefix, sameAddress } from "../../address.ts";
import { type Attachment, attachmentKey } from "../../attachment.ts";
import { leasesInKernel } from "../../cni/witness.ts";
import { attachmentNumber, isAliasOf, ownerOf, ROUTE_PROTOCOL } from "../../datapath/endpoint.ts";
import { linkName, listHostEnds, listPodRoutes } from "../../datapath/host.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import type { Route } from "../../datapath/rtnetlink/route.ts";
import { StoreError } from "../../ipam/database.ts";
import type { Holding } from "../../ipam/lease.ts";
import { Store } from "../../ipam/store.ts";
import { join } from "../../paths.ts";
import { addressesOf } from "../node/addresses.ts";
import { exactRoute, examine, recordLease, routeRemoval } from "./attachment.ts";
import type { Finding, Mend } from "./finding.ts";
import { hasStore, type Scene } from "./scene.ts";

/** Carries out a mend of a finding, and tells whether it went well. */
export type Settle = (mend: Mend, finding: Finding) => boolean;

export interface Survey {
  /** What is left, if it was to be settled; else all. */
  readonly findings: readonly Finding[];
  /** Attachments that a verb is at work on: they are left to it. */
  readonly busy: readonly string[];
  /** What the stores that could be read hold. */
  readonly holdings: readonly Holding[];
}

// One mend brings the next to light: up, then the route, then the neighbour.
const ROUNDS = 4;

/**
 * Looks at every network of the scene. Each attachment is looked at while its lock is held, so that nothing is told of
 * it that is only half done. With `settle` every finding's mends are handed to it, and what is left then is returned.
 */
export function survey(scene: Scene, settle?: Settle): Survey {
  const findings: Finding[] = [];
  const busy: string[] = [];
  for (const network of scene.networks()) {
    const unsettled = settled(() => storeFindings(network, scene), settle);
    findings.push(...unsettled);
    if (unsettled.length > 0 || !Store.exists(scene.scope.stateDir, network)) continue;
    using store = settle ? scene.open(network) : Store.read(scene.scope.stateDir, network);
    for (const [key, { attachment, hostEnd }] of attachments(network, store, scene)) {
      using lock = store.tryLock(attachmentNumber(attachment));
      if (lock === undefined) busy.push(key);
      else findings.push(...settled(() => examine(attachment, hostEnd, store, scene), settle));
    }
    findings.push(...nameless(network, store, scene));
  }
  const explained = new Set([...busy, ...findings.map(({ attachment }) => attachment)]);
  findings.push(...settled(() => strayRoutes(explained, scene), settle));
  const holdings = [...recorded(scene).values()].flat();
  return { findings: [...findings, ...leasedTwice(holdings, scene)], busy, holdings };
}

function settled(look: () => Finding[], settle: Settle | undefined): Finding[] {
  let findings = look();
  for (let round = 0; settle && round < ROUNDS; round++) {
    const mendable = findings.filter(({ mends }) => mends.length > 0);
    if (mendable.length === 0) break;
    const isMended = mendable.map((finding) => finding.mends.every((mend) => settle(mend, finding)));
    if (!isMended.includes(true)) break;
    findings = look();
  }
  return findings;
}

/** Whether there is a store that can be read, if the kernel tells that there has to be one. */
function storeFindings(network: string, scene: Scene): Finding[] {
  const { stateDir } = scene.scope;
  const subject = `store in ${join(stateDir, network)}`;
  const witness = () => leasesInKernel(scene.host, network);
  if (!Store.exists(stateDir, network)) {
    const leases = witness();
    if (leases.length === 0) return [];
    const is = `missing, though ${leases.length} host ends are there`;
    const told = {
      kind: "store-missing",
      network,
      subject,
      is,
      should: "one that holds their leases",
    } as const;
    // A network that never had a store here may have it elsewhere: that has to be said.
    if (!hasStore(stateDir, network) && scene.scope.network === undefined) {
      const advice = `if it is not elsewhere (--state-dir): slash32 ipam repair --network ${network}`;
      return [{ ...told, mends: [], advice }];
    }
    return [{ ...told, mends: leases.map((lease) => recordAnew(lease, scene)) }];
  }
  try {
    Store.copy(stateDir, network)[Symbol.dispose]();
    return [];
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const told = { network, subject, is: reasonOf(error), should: "a sound database" };
    if (error.code !== "DAMAGED") {
      const advice = "see that root can read and write it, with the slash32 that wrote it";
      return [{ ...told, kind: "store-unreadable", mends: [], advice }];
    }
    const path = join(stateDir, network, "leases.db");
    const rebuild = {
      command: `mv ${path} ${path}.corrupt-TIME`,
      carryOut() {
        using store = scene.open(network);
        store.rebuild();
      },
    };
    const leases = witness().map((lease) => recordAnew(lease, scene));
    return [{ ...told, kind: "store-damaged", mends: [rebuild, ...leases] }];
  }
}

function recordAnew(lease: Parameters<typeof recordLease>[0], scene: Scene): Mend {
  const { command } = recordLease(lease, undefined as never);
  return {
    command,
    carryOut() {
      using store = scene.open(lease.attachment.network);
      store.adopt(lease);
    },
  };
}

function reasonOf({ cause, message }: StoreError): string {
  return cause instanceof Error ? cause.message : message;
}

/** By key: what the store knows, and what the kernel knows. */
function attachments(network: string, store: Store, scene: Scene) {
  const known = new Map<string, { attachment: Holding["attachment"]; hostEnd: string }>();
  for (const [key, { attachment, link }] of scene.ends(network))
    known.set(key, { attachment, hostEnd: link.name });
  for (const { attachment, hostEnd } of store.list())
    known.set(attachmentKey(attachment), { attachment, hostEnd });
  return known;
}

/** Host ends by their mark that no lease names and whose own name does not fit the alias: cut, or not made by us. */
function nameless(network: string, store: Store, { host }: Scene): Finding[] {
  const held = store.list();
  const ends = listHostEnds(host, network).filter(({ name, alias }) => {
    const isRecorded = held.some(
      ({ hostEnd, attachment }) => hostEnd === name || isAliasOf(attachment, alias),
    );
    return !isRecorded && !ownerOf(name, alias);
  });
  const advice = "nobody can tell whose it is: delete the pod that uses it, or ip link delete it";
  return ends.map(({ name }) => {
    const told = { subject: `host end ${name}`, is: "there", should: "recorded in the store" };
    return { kind: "link-without-lease", network, ...told, mends: [], advice };
  });
}

/** Our routes to what nobody holds. Routes first, leases second, then the route once more: what goes is not told. */
function strayRoutes(explained: ReadonlySet<string | undefined>, scene: Scene): Finding[] {
  const { scope, host } = scene;
  const routes = listPodRoutes(host);
  if (routes.length === 0) return [];
  const ends = new Map(listHostEnds(host).map((link) => [link.index, link]));
  const stores = recorded(scene);
  const held = new Set([...stores.values()].flat().flatMap(addressesOf).map(formatAddress));
  return routes.flatMap((route): Finding[] => {
    const { dst, oif = 0 } = route;
    const link = ends.get(oif);
    const owner = link && ownerOf(link.name, link.alias)?.attachment;
    if (held.has(formatAddress(dst.address)) || exactRoute(dst.address, scene)?.oif !== oif) return [];
    // Of a network that is not looked at, or whose store tells nothing, nothing is known.
    const isKnown = owner ? stores.has(owner.network) : scope.network === undefined;
    if (!isKnown || (owner && explained.has(attachmentKey(owner)))) return [];
    const holding = owner && stores.get(owner.network)?.find((held) => isSame(held.attachment, owner));
    return [strayRoute(route, linkName(host, oif), link, holding, scene)];
  });
}

/** The address is recorded if its sandbox has it, for then it is in use; else the route goes. */
function strayRoute(
  { dst, oif = 0 }: Route,
  name: string,
  link: Link | undefined,
  holding: Holding | undefined,
  scene: Scene,
): Finding {
  const end = link && scene.sandboxEnd(link);
  const isUsed = end?.addresses.some((address) => sameAddress(address, dst.address)) === true;
  const told = {
    kind: "route-without-lease",
    network: holding?.attachment.network ?? "",
    ...(holding ? { attachment: attachmentKey(holding.attachment) } : {}),
    subject: `host route to ${formatPrefix(dst)}`,
    is: `dev ${name} proto ${ROUTE_PROTOCOL}`,
    should: isUsed ? "held by the attachment that uses it" : "gone, as nobody holds the address",
  } as const;
  if (link && end === undefined)
    return { ...told, mends: [], advice: "its sandbox cannot be seen: delete the pod" };
  if (isUsed && holding === undefined)
    return { ...told, mends: [], advice: "nobody can tell whose it is: delete the pod" };
  const record = holding && recordAnew({ ...holding, addresses: [dst.address] }, scene);
  return { ...told, mends: [isUsed && record ? record : routeRemoval(dst, { name, index: oif }, scene)] };
}

/** The database sees to it in each network; between networks nobody does but the routing table. */
function leasedTwice(holdings: readonly Holding[], scene: Scene): Finding[] {
  const holders = new Map<string, { address: Address; keys: string[] }>();
  for (const holding of holdings) {
    for (const address of addressesOf(holding)) {
      const entry = holders.get(formatAddress(address)) ?? { address, keys: [] };
      entry.keys.push(attachmentKey(holding.attachment));
      holders.set(formatAddress(address), entry);
    }
  }
  return [...holders].flatMap(([text, { address, keys }]): Finding[] => {
    if (keys.length < 2) return [];
    const oif = exactRoute(address, scene)?.oif;
    const is = `held by ${keys.join(" and ")}; routed to ${oif === undefined ? "neither" : linkName(scene.host, oif)}`;
    const advice = "give the networks ranges that do not overlap, and delete the pod that has no route";
    const subject = `address ${text}`;
    return [
      { kind: "address-leased-twice", network: "", subject, is, should: "held once", mends: [], advice },
    ];
  });
}

/** What each store that can be read holds. */
function recorded(scene: Scene): ReadonlyMap<string, readonly Holding[]> {
  const { stateDir } = scene.scope;
  const stores = scene.networks().flatMap((network) => {
    if (!Store.exists(stateDir, network)) return [];
    try {
      using store = Store.copy(stateDir, network);
      return [[network, store.list()] as const];
    } catch {
      return []; // told by storeFindings
    }
  });
  return new Map(stores);
}

function isSame(a: Attachment, b: Attachment): boolean {
  return attachmentKey(a) === attachmentKey(b);
}
