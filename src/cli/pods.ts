// The pods of this host, from the stores and from the kernel: each pod once, whichever of the two knows it.
import { type Address, parseAddress, sameAddress } from "../address.ts";
import { type Attachment, attachmentKey } from "../attachment.ts";
import { isAliasOf, ownerOf } from "../datapath/endpoint.ts";
import { listHostEnds, listPodRoutes } from "../datapath/host.ts";
import type { Namespace } from "../datapath/netns.ts";
import { listDirectory } from "../directories.ts";
import { findStatus } from "../files.ts";
import type { Holding } from "../ipam/lease.ts";
import { Store } from "../ipam/store.ts";
import { addressesOf } from "./node/addresses.ts";

/** Shorter beginnings of a container ID are taken for mistakes. */
const LEAST_PREFIX = 4;

export interface Pod {
  /** Absent for a host end that carries no readable alias. */
  readonly attachment: Attachment | undefined;
  /** "namespace/name", where a runtime told. */
  readonly label: string | undefined;
  readonly hostEnd: string;
  readonly addresses: readonly Address[];
  /** Of both ends, as ADD made them; only the store knows. */
  readonly mtu: number | undefined;
}

export interface Roster {
  readonly pods: readonly Pod[];
  /** Stores that could not be read, and why. */
  readonly complaints: readonly string[];
}

/** How people call a pod: by its name, else by its container, else by its host end. */
export function podName({ label, attachment, hostEnd }: Pod): string {
  return label ?? attachment?.containerId ?? hostEnd;
}

/**
 * Those that a person calls so: by namespace/name, container ID, host end, address, or network/container/interface; if
 * none is, those whose container ID begins so.
 */
export function findPods(text: string, pods: readonly Pod[]): Pod[] {
  const address = parseAddress(text);
  const exact = pods.filter(({ label, attachment, hostEnd, addresses }) => {
    const names = [label, attachment?.containerId, hostEnd, attachment && attachmentKey(attachment)];
    return names.includes(text) || addresses.some((own) => address && sameAddress(own, address));
  });
  if (exact.length > 0 || text.length < LEAST_PREFIX) return exact;
  return pods.filter(({ attachment }) => attachment?.containerId.startsWith(text) === true);
}

/** Reads every network's store under `stateDir`, and adds what the kernel alone knows. */
export function listPods(stateDir: string, host: Namespace): Roster {
  const complaints: string[] = [];
  const recorded = networks(stateDir).flatMap((network) => {
    try {
      using store = Store.read(stateDir, network);
      return store.list().map(podOf);
    } catch (error) {
      complaints.push((error as Error).message);
      return [];
    }
  });
  return { pods: [...recorded, ...strangers(host, recorded)], complaints };
}

function networks(stateDir: string): string[] {
  if (!findStatus(stateDir)) return [];
  return listDirectory(stateDir).filter((name) => Store.exists(stateDir, name));
}

/** A pod as its lease tells of it. */
export function podOf(holding: Holding): Pod {
  const { attachment, pod, hostEnd, mtu } = holding;
  return { attachment, label: pod, hostEnd, mtu, addresses: addressesOf(holding) };
}

/** Host ends that are none of the known pods', whatever they are called by now; with the addresses that are routed to them. */
export function strangers(host: Namespace, known: readonly Pod[]): Pod[] {
  const names = new Set(known.map(({ hostEnd }) => hostEnd));
  const ends = listHostEnds(host).filter(
    ({ name, alias }) =>
      !names.has(name) && !known.some(({ attachment }) => attachment && isAliasOf(attachment, alias)),
  );
  if (ends.length === 0) return [];
  const routes = listPodRoutes(host);
  return ends.map(({ name, index, alias }) => {
    const owner = ownerOf(name, alias);
    const addresses = routes.filter(({ oif }) => oif === index).map(({ dst }) => dst.address);
    return {
      attachment: owner?.attachment,
      label: owner?.pod,
      hostEnd: name,
      addresses,
      mtu: undefined,
    };
  });
}
