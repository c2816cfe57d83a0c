// An attachment as the store knows it, and the sandbox it leads into: what CHECK is told, without a runtime to tell it.
import type { Attachment } from "../../attachment.ts";
import { endpointOf } from "../../cni/endpoint.ts";
import type { Netconf } from "../../cni/netconf.ts";
import type { Request } from "../../cni/request.ts";
import { addressSource } from "../../cni/source.ts";
import { findEndsOf, type Sides } from "../../datapath/apply.ts";
import { attachmentNumber, type Endpoint } from "../../datapath/endpoint.ts";
import { findLink } from "../../datapath/host.ts";
import { type Attempt, mend } from "../../datapath/mend.ts";
import { Namespace } from "../../datapath/netns.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import type { Step } from "../../datapath/step.ts";
import { type Difference, verify } from "../../datapath/verify.ts";
import { wiring } from "../../datapath/wiring.ts";
import type { Holding } from "../../ipam/lease.ts";
import { Store } from "../../ipam/store.ts";
import type { Network, Node } from "./node.ts";

/** What was seen of one attachment. */
export type Examined = { readonly holding: Holding } & (
  | {
      readonly kind: "verified";
      readonly network: Network;
      readonly hostEnd: Link;
      readonly sandboxEnd: Link | undefined;
      readonly sandboxPath: string;
      /** As they are when all is done. */
      readonly differences: readonly Difference[];
      /** What was tried to mend them, if that was wanted. */
      readonly attempts: readonly Attempt[];
    }
  /** There is no cable from host to sandbox, and what there is instead. */
  | { readonly kind: "unwired"; readonly subject: string; readonly is: string; readonly should: string }
  /** ADD or DEL is at work on it. */
  | { readonly kind: "busy" }
  /** Its sandbox cannot be looked into, and why. */
  | { readonly kind: "closed"; readonly reason: string }
);

// One mend may undo another: a MAC that is set costs the neighbours.
const ROUNDS = 3;

/** Verifies all recorded attachments of all networks. */
export function examineAll(node: Node): Examined[] {
  return node.networks().flatMap((network) => {
    const { stored } = network;
    if (stored.kind !== "read") return [];
    return stored.holdings.flatMap((holding) => examine(holding, network, node) ?? []);
  });
}

/** "default/web-0" where the runtime told, else the container and its interface. */
export function nameOf({ pod, attachment }: Pick<Holding, "pod" | "attachment">): string {
  return pod ?? shortName(attachment);
}

function shortName({ containerId, ifName }: Attachment): string {
  return `${containerId.slice(0, 12)}/${ifName}`;
}

/**
 * Verifies one attachment while its lock is held, so that nothing is told of what is half made. With `repair` the steps
 * that differ are applied again, and those only, and all is verified once more. `undefined` when it is gone meanwhile.
 */
export function examine(listed: Holding, network: Network, node: Node, repair = false): Examined | undefined {
  using store = Store.read(network.stateDir, network.name);
  using lock = store.tryLock(attachmentNumber(listed.attachment));
  if (lock === undefined) return { kind: "busy", holding: listed };
  const holding = store.find(listed.attachment);
  if (holding === undefined) return undefined;
  const { attachment, hostEnd: name } = holding;
  const hostEnd = findLink(node.host, name);
  const unwired = cableMissing(holding, hostEnd, node);
  if (unwired || hostEnd?.peerNamespace === undefined)
    return { kind: "unwired", holding, ...unwired } as Examined;
  const sandboxPath = node.sandboxOf(hostEnd);
  if (sandboxPath === undefined) {
    const reason = `${name} leads into a namespace that has neither a mount point nor a process to be seen here`;
    return { kind: "closed", holding, reason };
  }
  try {
    using sandbox = Namespace.open(sandboxPath);
    const sandboxEnd = findLink(sandbox, attachment.ifName);
    const endpoint = endpointAsRecorded(holding, network, sandboxPath, sandboxEnd);
    const outcome = verified(wiring(endpoint), { host: node.host, sandbox }, repair);
    return { kind: "verified", holding, network, hostEnd, sandboxEnd, sandboxPath, ...outcome };
  } catch (error) {
    return { kind: "closed", holding, reason: (error as Error).message };
  }
}

function cableMissing({ attachment, hostEnd }: Holding, link: Link | undefined, { host }: Node) {
  if (link === undefined) {
    const [name] = findEndsOf(attachment, host);
    const subject = `host end ${hostEnd}`;
    return name === undefined
      ? { subject, is: "missing", should: "there" }
      : { subject, is: `called ${name}`, should: hostEnd };
  }
  if (link.peerNamespace !== undefined) return undefined;
  const is = link.kind === "veth" ? "on the host" : "nowhere: it is no end of a cable";
  return { subject: `other end of ${hostEnd}`, is, should: `${attachment.ifName} in the sandbox` };
}

function verified(steps: readonly Step[], sides: Sides, repair: boolean) {
  let differences = verify(steps, sides);
  let attempts: Attempt[] = [];
  for (let round = 0; repair && differences.length > 0 && round < ROUNDS; round++) {
    const last = mend(differences, sides);
    attempts = [...attempts.filter(({ refusal }) => refusal === undefined), ...last];
    differences = verify(steps, sides);
    if (last.every(({ refusal }) => refusal !== undefined)) break;
  }
  return { differences, attempts };
}

/**
 * What ADD made, as far as it was written down. The MAC was not: it may have been asked for, or changed by a later
 * plugin, so the sandbox end's own is taken for right, and the host has to know it.
 */
function endpointAsRecorded(
  holding: Holding,
  network: Network,
  netns: string,
  sandboxEnd: Link | undefined,
): Endpoint {
  const { attachment, mtu, pod, hostEnd } = holding;
  const request = requestFor(attachment, netns, pod);
  const ipam = holding.delegated === undefined ? {} : { ipam: { ...network.document.ipam, type: "other" } };
  const document = { ...network.document, ...ipam };
  const netconf = network.part?.netconf ?? ({ name: network.name, cniVersion: "1.1.0" } as Netconf);
  const acquired = addressSource(request, netconf, document, network.stateDir).recall(holding);
  const endpoint = endpointOf(request, document, attachment, acquired, mtu);
  return { ...endpoint, hostEnd, sandboxMac: sandboxEnd?.mac ?? endpoint.sandboxMac };
}

function requestFor({ containerId, ifName }: Attachment, netns: string, pod: string | undefined): Request {
  const [namespace = "", name = ""] = pod?.split("/") ?? [];
  const args = new Map(
    pod
      ? [
          ["K8S_POD_NAMESPACE", namespace],
          ["K8S_POD_NAME", name],
        ]
      : [],
  );
  return { verb: "CHECK", containerId, ifName, netns, path: [], args, allowOwnNetns: false, environment: {} };
}
