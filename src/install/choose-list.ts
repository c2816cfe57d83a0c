// Which list is installed: one of ours, or the operator's own; and whether ADD could work with it on this node.
import { type Family, type Prefix, parsePrefix } from "../address.ts";
import { UsageError } from "../cli/command.ts";
import { ownPart, readConfFile } from "../cli/node/configuration.ts";
import { Files } from "../cli/node/files.ts";
import { DEFAULT_STATE_DIR, type IpamConfig } from "../cni/netconf.ts";
import { isOwn } from "../cni/source.ts";
import { absolutePath } from "../directories.ts";
import { readText } from "../files.ts";
import { type PodCidrs, podCidrFamily } from "../ipam/range.ts";
import { join } from "../paths.ts";
import { composeList, type List, refusalOf } from "./list.ts";
import type { Places } from "./places.ts";
import { lookFor } from "./plugins.ts";

export const NETWORK = "podnet";
const POD_CIDR = { 4: "usePodCidr", 6: "usePodCidrIPv6" } as const;

/** What a list says itself that somebody brings. */
const LISTS_OWN = [
  ["network", "--network"],
  ["cniVersion", "--cni-version"],
  ["logFile", "--log-file"],
] as const;

export interface ListWish {
  /** Of the operator's list, which then says all the rest. */
  readonly file: string | undefined;
  readonly network: string | undefined;
  readonly cniVersion: string | undefined;
  readonly logFile: string | undefined;
  readonly podCidrs: PodCidrs;
  /** Of pods, unless the list tells another. */
  readonly mtu: number | undefined;
  /** As Kubernetes names it; absent where nobody knows. */
  readonly runtime: string | undefined;
  /** Where everything is, if the list has this state directory. */
  readonly placesFor: (stateDir: string | undefined) => Places;
}

/** Throws what ADD would say of it, and what a runtime would say that finds one of its plugins missing. */
export function chooseList(wish: ListWish): { readonly list: List; readonly places: Places } {
  const { list, places } = wish.file === undefined ? composed(wish) : operators(wish, wish.file);
  const resolved = withPodCidrs(list, wish.podCidrs);
  const refusal = refusalOf(resolved, places.stateDir, wish.mtu)?.message;
  if (refusal !== undefined)
    throw wish.file === undefined ? new UsageError(refusal) : unusable(wish.file, refusal);
  return { list, places };
}

/** Of the addresses that a pod gets; IPv4 where another IPAM plugin gives them. */
export function familiesOf(list: List, podCidrs: PodCidrs): Family[] {
  const sets = subnetsOf(list, podCidrs);
  return sets ? sets.flatMap(([first]) => first?.address.family ?? []) : [4];
}

/** Of the ranges that our own leases are from, set by set; undefined where another IPAM plugin gives the addresses. */
export function subnetsOf(list: List, podCidrs: PodCidrs): Prefix[][] | undefined {
  const resolved = withPodCidrs(list, podCidrs);
  if (!hasOwnRanges(resolved)) return undefined;
  const { subnet, ranges = [] } = ipamOf(resolved);
  const sets = [...(subnet === undefined ? [] : [[{ subnet }]]), ...ranges];
  return sets.map((set) => set.flatMap((range) => parsePrefix(range.subnet) ?? []));
}

function composed({ network = NETWORK, podCidrs, placesFor, ...asked }: ListWish) {
  const places = placesFor(undefined);
  const subnets = ([4, 6] as const).filter((family) => podCidrs[family]).map((family) => POD_CIDR[family]);
  if (subnets.length === 0) throw new UsageError("no pod CIDR is told: give --pod-cidr, or say who knows it");
  const { cniVersion, logFile, runtime } = asked;
  return { places, list: composeList({ name: network, subnets, places, cniVersion, runtime, logFile }) };
}

function operators({ placesFor, ...wish }: ListWish, path: string) {
  for (const [key, option] of LISTS_OWN) {
    if (wish[key] !== undefined)
      throw new UsageError(
        `${option} ${JSON.stringify(wish[key])} is for the list to say, which --conflist gives`,
      );
  }
  const file = readConfFile(new Files("/"), path, "list.conflist");
  if (file.broken !== undefined) throw unusable(path, file.broken);
  const part = ownPart(file);
  if (part === undefined) throw unusable(path, "none of its plugins has the type slash32");
  if (part.refusal !== undefined) throw unusable(path, part.refusal);
  const stateDir = part.netconf?.document.stateDir ?? DEFAULT_STATE_DIR;
  const places = placesFor(stateDir);
  if (places.stateDir !== absolutePath(stateDir))
    throw unusable(path, `its stateDir is ${stateDir}, not ${places.stateDir}`);
  const list = JSON.parse(readText(path)) as List;
  assertPresent(list, places);
  return { places, list };
}

function unusable(path: string, reason: string): Error {
  return new Error(`Cannot use ${path}: ${reason}`);
}

/** A runtime calls a node ready whose plugins are missing, and fails at the first pod. */
function assertPresent({ plugins }: List, places: Places): void {
  const types = plugins.flatMap(({ type, ipam }) => [type, (ipam as IpamConfig | undefined)?.type]);
  for (const type of types) {
    if (type === undefined || type === "slash32" || lookFor(type, places) !== "nowhere") continue;
    const path = join(places.binDir, type);
    throw new Error(`Cannot use the list: it names ${JSON.stringify(type)}, and ${path} is no executable`);
  }
}

/** The list with the node's CIDRs in the place of the words for them. */
function withPodCidrs(list: List, podCidrs: PodCidrs): List {
  const named = <T extends { readonly subnet?: string }>(range: T): T => {
    const family = range.subnet === undefined ? undefined : podCidrFamily(range.subnet);
    if (family === undefined) return range;
    const subnet = podCidrs[family];
    if (subnet !== undefined) return { ...range, subnet };
    throw new UsageError(`the list's range is ${range.subnet}, and no IPv${family} pod CIDR is told`);
  };
  const plugins = list.plugins.map((entry) => {
    const ipam = entry.ipam as IpamConfig | undefined;
    if (entry.type !== "slash32" || ipam === undefined) return entry;
    const ranges = ipam.ranges?.map((set) => set.map(named));
    return { ...entry, ipam: { ...named(ipam), ...(ranges ? { ranges } : {}) } };
  });
  return { ...list, plugins };
}

function ipamOf({ plugins }: List): IpamConfig {
  return (plugins.find(({ type }) => type === "slash32")?.ipam ?? {}) as IpamConfig;
}

function hasOwnRanges(list: List): boolean {
  return isOwn(ipamOf(list));
}
