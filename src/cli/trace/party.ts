// Who is meant by FROM and TO: a pod of this host, the host itself, or somebody beyond it.
import { type Address, type Family, formatAddress, parseAddress } from "../../address.ts";
import { isOwnAddress } from "../../datapath/host.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { UsageError } from "../command.ts";
import { findPods, type Pod, podName } from "../pods.ts";

export type Party =
  | { readonly kind: "pod"; readonly pod: Pod; readonly address: Address | undefined }
  | { readonly kind: "host"; readonly address: Address | undefined }
  | { readonly kind: "beyond"; readonly address: Address };

/**
 * A pod by its address, "namespace/name", container ID or the beginning of one, or host end; the host by "host" or one
 * of its addresses; anybody else by an address. Throws a UsageError for what is none of these, or more than one.
 */
export function findParty(text: string, pods: readonly Pod[], host: Namespace): Party {
  if (text === "host") return { kind: "host", address: undefined };
  const address = parseAddress(text);
  if (address) return byAddress(address, pods, host);
  const found = findPods(text, pods);
  const [pod] = found;
  if (pod === undefined) throw new UsageError(stranger(text, pods));
  if (found.length > 1) throw new UsageError(ambiguous(text, found));
  return { kind: "pod", pod, address: undefined };
}

/** The family in which the two can talk, and the address of each in it; the host's own may be left to the kernel. */
export function commonFamily(from: Party, to: Party): Family {
  const families = ([4, 6] as const).filter((family) => speaks(from, family) && speaks(to, family));
  const [family] = families;
  if (family !== undefined) return family;
  throw new UsageError(`${describe(from)} and ${describe(to)} have no family of addresses in common`);
}

/** The party's address in the family: the one that was asked for, else its first. */
export function addressOf(party: Party, family: Family): Address | undefined {
  if (party.address) return party.address;
  return party.kind === "pod" ? party.pod.addresses.find((address) => address.family === family) : undefined;
}

export function describe(party: Party): string {
  if (party.kind === "pod") return podName(party.pod);
  return party.address ? formatAddress(party.address) : "host";
}

function byAddress(address: Address, pods: readonly Pod[], host: Namespace): Party {
  const found = findPods(formatAddress(address), pods);
  const [pod] = found;
  if (found.length > 1) throw new UsageError(ambiguous(formatAddress(address), found));
  if (pod) return { kind: "pod", pod, address };
  return { kind: isOwnAddress(host, address) ? "host" : "beyond", address };
}

function speaks(party: Party, family: Family): boolean {
  if (party.address) return party.address.family === family;
  return party.kind === "host" || addressOf(party, family) !== undefined;
}

function stranger(text: string, pods: readonly Pod[]): string {
  const names = pods.slice(0, 5).map(podName);
  const some = names.length === 0 ? "this host has no pods" : `this host has ${names.join(", ")}`;
  const more = pods.length > names.length ? ` and ${pods.length - names.length} more` : "";
  return `${JSON.stringify(text)} is no address, no pod and no container of this host (${some}${more})`;
}

function ambiguous(text: string, found: readonly Pod[]): string {
  const names = found.map((pod) => `${pod.attachment?.containerId ?? pod.hostEnd} (host end ${pod.hostEnd})`);
  return `${JSON.stringify(text)} is ${found.length} pods; say which by its host end: ${names.join(", ")}`;
}
