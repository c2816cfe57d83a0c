// The attachments on a node, as items of what is to go: recorded ones as a runtime's DEL would take them away, and host
// ends that no store tells of.
import {
  type Address,
  contains,
  formatAddress,
  formatPrefix,
  hostPrefix,
  type Prefix,
  samePrefix,
} from "../address.ts";
import { attachmentKey } from "../attachment.ts";
import { type ConfFile, ownPart } from "../cli/node/configuration.ts";
import { readStored } from "../cli/node/store-file.ts";
import { del } from "../cni/del.ts";
import { readNetconf } from "../cni/netconf.ts";
import type { Request } from "../cni/request.ts";
import { linkName, listHostEnds, listPodRoutes } from "../datapath/host.ts";
import type { Namespace } from "../datapath/netns.ts";
import { deleteLinkByIndex } from "../datapath/rtnetlink/link.ts";
import { deleteRoute } from "../datapath/rtnetlink/route.ts";
import type { Holding } from "../ipam/lease.ts";
import { listStores } from "../ipam/store.ts";
import type { Places } from "./places.ts";
import type { Line } from "./report.ts";

/** Something on the node, to be told and removed. */
export interface Attached {
  readonly what: "pod" | "host end";
  /** "default/web-0", else network/container/interface; of a host end its name. */
  readonly path: string;
  readonly remove: () => void;
}

/** `lists` say how a network's pods were made, where another IPAM plugin has to be told. */
export function attachmentsOn(
  places: Places,
  host: Namespace,
  stateDirs: readonly string[],
  lists: readonly ConfFile[],
): Attached[] {
  const recorded = stateDirs
    .map((path) => places.seen(path))
    .flatMap((stateDir) =>
      listStores(stateDir).flatMap((network) => {
        const stored = readStored(stateDir, network);
        const list = lists.find((file) => file.network === network);
        return stored.kind === "read" ? stored.holdings.map((holding) => ({ holding, list, stateDir })) : [];
      }),
    );
  const known = new Set(recorded.map(({ holding }) => holding.hostEnd));
  const others = listHostEnds(host).filter(({ name }) => !known.has(name));
  return [
    ...recorded.map(({ holding, list, stateDir }): Attached => {
      const remove = () => {
        removeRoutes(holding.addresses, host);
        removeAttachment(holding, list, stateDir, places.seen(places.binDir));
      };
      return { what: "pod", path: holding.pod ?? attachmentKey(holding.attachment), remove };
    }),
    ...others.map(({ name, index }): Attached => {
      return {
        what: "host end",
        path: name,
        remove: () => void host.netlink.exchange([deleteLinkByIndex(index)]),
      };
    }),
  ];
}

/** Pods of the network with addresses in none of these subnets: no other node sends to them any more. */
export function podsOutside(places: Places, network: string, subnets: readonly Prefix[]): Line[] {
  const stored = readStored(places.seen(places.stateDir), network);
  const holdings = stored.kind === "read" ? stored.holdings : [];
  const ranges = subnets.map(formatPrefix).join(", ");
  return holdings.flatMap(({ attachment, pod, addresses }) => {
    const strange = addresses.filter((address) => !subnets.some((subnet) => contains(subnet, address)));
    if (strange.length === 0) return [];
    const words = `holds ${strange.map(formatAddress).join(", ")}, not in ${ranges}: delete the pod`;
    return [{ what: "pod", path: pod ?? attachmentKey(attachment), kind: "warning", words }];
  });
}

/** Also those that lead elsewhere by now: that they are ours only the lease tells, which is about to go. */
function removeRoutes(addresses: readonly Address[], host: Namespace): void {
  for (const { dst, oif = 0, protocol } of listPodRoutes(host)) {
    if (!addresses.some((address) => samePrefix(hostPrefix(address), dst))) continue;
    host.netlink.exchange([deleteRoute({ dst, dev: { name: linkName(host, oif), index: oif }, protocol })]);
  }
}

function removeAttachment(
  { attachment }: Holding,
  list: ConfFile | undefined,
  stateDir: string,
  binDir: string,
): void {
  const { network, containerId, ifName } = attachment;
  const netconf = (list && ownPart(list)?.netconf?.document) ?? { cniVersion: "1.1.0", type: "slash32" };
  const environment = {
    CNI_CONTAINERID: containerId,
    CNI_IFNAME: ifName,
    CNI_NETNS: "",
    CNI_ARGS: "",
    CNI_PATH: binDir,
  };
  const request: Request = {
    verb: "DEL",
    containerId,
    ifName,
    netns: "",
    path: [binDir],
    args: new Map(),
    allowOwnNetns: false,
    environment,
  };
  del(request, readNetconf(JSON.stringify({ ...netconf, name: network, stateDir })));
}
